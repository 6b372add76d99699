"""The laws of other programs' servers and their tools; see `pratique.audit.laws`.

Rules:
- Each says again, from the records alone, what a guard demanded (`pratique.ledger.guards_pinning`).
- A call of a server's tool runs by a definition that somebody had approved at that point, at that tier.
"""

from collections.abc import Iterator, Mapping

from pratique.audit.standing import Law, Pinned, Record, Standing
from pratique.model import Tier


def mcp_add(now: Standing, record: Record) -> Iterator[str]:
    """The server is new, or is configured otherwise; nothing of it is approved."""
    if not record["by"]:
        yield "nobody says who added the server"
    server = now.servers.get(record["server"])
    if server is not None and server.config == record["config"]:
        yield f"the server {record['server']} was added before, configured like this"
    now.servers[record["server"]] = Pinned(record["config"])


def mcp_remove(now: Standing, record: Record) -> Iterator[str]:
    """The server is there."""
    if now.servers.pop(record["server"], None) is None:
        yield f"it removes {record['server']}, which is not a server that was added"


def mcp_seen(now: Standing, record: Record) -> Iterator[str]:
    """The server is configured as it was when the process looked, and the record follows the last one."""
    server = now.servers.get(record["server"])
    if server is None or server.config != record["config"]:
        yield f"{record['server']} is not a server that was added with this configuration"
        return
    name = record["name"]
    if server.seen.get(name, ("", ""))[0] != record["before"]:
        yield f"it does not follow what was last seen of {record['tool']}"
    if record["digest"] and (record["problem"] or record["digest"] == record["before"]):
        yield f"{record['tool']} cannot be used, or did not change"
    server.seen[name] = record["digest"], record["least"]
    if server.approved.get(record["tool"], ("", ""))[0] != record["digest"]:
        server.approved.pop(record["tool"], None)


def mcp_approve(now: Standing, record: Record) -> Iterator[str]:
    """This very definition was seen last, and its tier is not below what its server says that it does."""
    server = now.servers.get(record["server"])
    digest, least = server.seen.get(record["name"], ("", "")) if server is not None else ("", "")
    if not record["by"]:
        yield "nobody says who approved it"
    if not digest or digest != record["digest"]:
        yield f"it approves a definition of {record['tool']} that is not the one that was seen last"
    elif Tier(record["tier"]).rank < Tier(least).rank:
        yield f"{record['tool']} is approved as {record['tier']}, and its server says that it is {least}"
    if server is not None:
        server.approved[record["tool"]] = record["digest"], record["tier"]


def mcp_refuse(now: Standing, record: Record) -> Iterator[str]:
    """This very definition was seen last; it is approved no more."""
    server = now.servers.get(record["server"])
    if not record["by"]:
        yield "nobody says who refused it"
    if server is None or server.seen.get(record["name"], ("", ""))[0] != record["digest"]:
        yield f"it refuses a definition of {record['tool']} that is not the one that was seen last"
    elif not record["digest"]:
        yield f"it refuses {record['tool']}, which its server does not list"
    if server is not None:
        server.approved.pop(record["tool"], None)


def is_pinned(now: Standing, record: Record) -> Iterator[str]:
    """Yield what is wrong with the definition by which a call is permitted to run."""
    tool, pin = record["tool"], record.get("pin", "")
    server = now.servers.get(tool.partition(".")[0])
    if server is None:
        if pin:
            yield f"{tool} ran by a definition of a server that is not there"
        return
    digest, tier = server.approved.get(tool, ("", ""))
    if not pin or pin != digest:
        yield f"{tool} ran, and nobody had approved that definition of it"
    elif record["tier"] != tier:
        yield f"{tool} ran as {record['tier']}, and it was approved as {tier}"


PINNING: Mapping[str, Law] = {
    "mcp.add": mcp_add,
    "mcp.remove": mcp_remove,
    "mcp.seen": mcp_seen,
    "mcp.approve": mcp_approve,
    "mcp.refuse": mcp_refuse,
}
