"""What another server's tool is called here: `SERVER.tool`, in the grammar of our own tools' names. Pure.

Rules:
- A name depends on the server's name and the tool's, never on what else is listed.
- A name that our grammar has stays as it is. Of any other, what can be said in it stays readable, and eight
  digits of the SHA-256 of the whole name follow: two names that look alike do not become one.
"""

import hashlib
import re
from typing import Final

MOST_NAME: Final = 128
"""Characters that a server may call a tool by (MCP specification of 2026-07-28)."""

_OURS = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^a-z0-9_-]+")
_MOST_READABLE = 48


def local_name(server: str, tool: str) -> str:
    """Return the name of a server's tool here.

    Args:
        server: the server's name in the settings.
        tool: what the server calls the tool.
    """
    if _OURS.fullmatch(tool):
        return f"{server}.{tool}"
    readable = _OTHER.sub("_", _HUMP.sub("_", tool).lower()).strip("_")[:_MOST_READABLE] or "tool"
    return f"{server}.{readable}-{hashlib.sha256(tool.encode()).hexdigest()[:8]}"
