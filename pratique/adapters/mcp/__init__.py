"""The Model Context Protocol: an agent's tools for any MCP client, each call through a session.

Rules:
- Who asks, and for whom, is what the session was opened with. Nothing in a request names it.
- A pending call is shown to a person by a link. What the client says of that link is no answer.
"""

from importlib.util import find_spec

NEEDED = ("mcp", "mcp_types", "jsonschema_rs")
"""What the extra brings. Other packages bring an SDK of their own, which may be older or alone."""


def is_installed() -> bool:
    """Return whether the extra `mcp` is there, whole."""
    return all(find_spec(name) is not None for name in NEEDED)


__all__ = ["NEEDED", "is_installed"]
