"""What records say of other programs' servers and of their tools: added, seen, approved, refused, removed.

Rules:
- A tool goes by its server's name and by what that server calls it. `tool` is what it is called here.
- `digest` is that of a whole definition (`pratique.proxy.definition`), whose text lies among the blobs.
- `before` is what was last seen of it, so that the records of one tool follow each other.
- Every draft says who did it. A definition is seen by the process that looked.
"""

from pratique.audit.record import Draft
from pratique.model import Tier, clip


def mcp_add(server: str, config: str, about: str, by: str) -> Draft:
    """Draft that a server is configured, or configured otherwise: all of its tools are new.

    Args:
        server: its name.
        config: digest of its configuration.
        about: what it is, for people: the command or the address.
        by: who did it.
    """
    return {"type": "mcp.add", "server": server, "config": config, "about": clip(about), "by": by}


def mcp_remove(server: str, by: str, reason: str) -> Draft:
    """Draft that a server is gone: nothing of it is approved any more."""
    return {"type": "mcp.remove", "server": server, "by": by, "reason": clip(reason)}


def mcp_seen(  # noqa: PLR0913  # one keyword per fact of the record
    server: str,
    name: str,
    *,
    tool: str,
    config: str,
    before: str,
    digest: str,
    least: Tier | None,
    problem: str,
    by: str,
) -> Draft:
    """Draft what a server now lists under a name, where that is another thing than before.

    Args:
        server: the server.
        name: what it calls the tool.
        tool: what the tool is called here.
        config: digest of the configuration under which it was seen.
        before: digest of what was last seen, empty for nothing.
        digest: of what is seen now; empty if the tool is gone, or cannot be used.
        least: the lowest tier that a person may give it.
        problem: why it cannot be used.
        by: which process looked.
    """
    return {
        "type": "mcp.seen",
        "server": server,
        "name": name,
        "tool": tool,
        "config": config,
        "before": before,
        "digest": digest,
        "least": "" if least is None else least.value,
        "problem": clip(problem),
        "by": by,
    }


def mcp_approve(server: str, name: str, *, tool: str, digest: str, tier: Tier, by: str) -> Draft:
    """Draft that somebody approves a definition as it was seen, at a tier."""
    return {
        "type": "mcp.approve",
        "server": server,
        "name": name,
        "tool": tool,
        "digest": digest,
        "tier": tier.value,
        "by": by,
    }


def mcp_refuse(server: str, name: str, *, tool: str, digest: str, by: str, reason: str) -> Draft:
    """Draft that somebody refuses a definition as it was seen, approved before or not."""
    return {
        "type": "mcp.refuse",
        "server": server,
        "name": name,
        "tool": tool,
        "digest": digest,
        "by": by,
        "reason": clip(reason),
    }
