"""What must still be true of other programs' tools when it is committed; see `pratique.ledger.guards`."""

from typing import NamedTuple

from sqlalchemy import select

from pratique.ledger import tables as t
from pratique.ledger.guards import Moment


class PinIs(NamedTuple):
    """Somebody approved this very definition of the tool, at this tier, and it was seen last."""

    tool: str
    pin: str
    tier: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(select(t.mcp_tools).where(t.mcp_tools.c.tool == self.tool)).first()
        if row is None:
            return f"nobody has approved {self.tool}"
        if (row.state, row.pin, row.seen, row.tier) == ("approved", self.pin, self.pin, self.tier):
            return None
        return f"{self.tool} is in quarantine ({row.state}): a person looks at it first"


class IsOurs(NamedTuple):
    """The log knows no server that this name speaks of: a tool of that name is our own, and has no pin.

    Looked at for every call of such a tool, so asked again only when it may have changed (`Moment.held`).
    """

    tool: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        if ("ours", self.tool) in moment.held:
            return None
        server = self.tool.partition(".")[0]
        if ServerIs(server, "").refuses(moment) is None:
            moment.held.add(("ours", self.tool))
            return None
        return (
            f"{self.tool} is called like a tool of the server {server!r}, which the log knows: "
            f"rename one, or `pratique mcp remove {server}`"
        )


class PinsAre(NamedTuple):
    """Nothing was said of this server's tools since record `seq`."""

    server: str
    seq: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        seq = moment.connection.execute(
            select(t.mcp_servers.c.seq).where(t.mcp_servers.c.name == self.server)
        ).scalar()
        return None if (seq or 0) == self.seq else f"what is known of the server {self.server} changed"


class ToolAt(NamedTuple):
    """The last record about a server's tool is still this one; 0 for none."""

    server: str
    name: str
    seq: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        seq = moment.connection.execute(
            select(t.mcp_tools.c.seq).where(
                t.mcp_tools.c.server == self.server, t.mcp_tools.c.name == self.name
            )
        ).scalar()
        return None if (seq or 0) == self.seq else f"{self.server}'s {self.name} changed meanwhile"


class ServerIs(NamedTuple):
    """The server is there with this configuration; without one, it is not there."""

    server: str
    config: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.mcp_servers).where(t.mcp_servers.c.name == self.server)
        ).one_or_none()
        config = "" if row is None or row.removed_us else row.config
        if config == self.config:
            return None
        return f"the server {self.server} {'was configured otherwise' if config else 'is not there'}"


class ServerIsNot(NamedTuple):
    """The server is not there, or is configured otherwise."""

    server: str
    config: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        same = ServerIs(self.server, self.config).refuses(moment) is None
        return f"the server {self.server} is there already" if same else None
