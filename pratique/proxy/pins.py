"""Which definitions of other programs' tools a person has approved: seen, approved, refused, as records.

Rules:
- A tool is `approved` by its whole definition, under its server's whole configuration. What is new, changed,
  gone or unusable is in quarantine: not listed and not callable, until a person looks at it.
- A definition that comes back as it was once approved is approved again by a person, or not at all.
- Each change is compare-and-swap on the tool's last record: of two who look or answer at once, one is told.
- The text of every definition that was seen lies beside the log, under its digest.
- What became of a known tool is always recorded, of an approved one first. Only new names can be too many.

An attacker who can modify the tables can have a tool called that nobody approved, until `pratique audit
verify` is run: the intent on record breaks a law.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from pratique.audit import pinning as drafts
from pratique.audit.record import Draft
from pratique.errors import LedgerCorruptError, PinError
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.guards import Guard
from pratique.ledger.guards_pinning import ServerIs, ServerIsNot, ToolAt
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Tier, Value, printable
from pratique.proxy.definition import Definition, Listing, Unusable, kept_definition
from pratique.proxy.naming import local_name

APPROVED = "approved"
GONE = "gone"
LONGEST_REASON = 500
MOST_KNOWN = 1024
"""Names of tools that one server may ever have listed. One more is put on record as unusable, which says so;
further new names are not looked at."""

TOO_MANY = f"its server has listed more than {MOST_KNOWN} different tools: this name and others are not taken"

_TRIES = 3


class Pin(Value):
    """One tool of a server, as the ledger knows it. Times are microseconds since the epoch, 0 for never.

    Attributes:
        name: what its server calls it; `tool` is what it is called here.
        state: `approved`, or in quarantine: `new`, `changed`, `refused`, `gone`, `unusable`.
        seen: digest of the definition that was seen last; empty if there is none.
        least: the lowest tier that it may be given, by its server's own word.
        problem: why it cannot be used.
        pin: digest of the definition that was approved last; empty if none ever was.
        tier: the tier that it was approved as.
        said_by, said_us: who approved or refused it last, and when; `reason` is why it was refused.
        seq: the last record about it.
    """

    server: str
    name: str
    tool: str
    state: str
    seen: str
    seen_us: int
    least: str
    problem: str
    pin: str
    tier: str
    said_by: str
    said_us: int
    reason: str
    seq: int

    @property
    def is_approved(self) -> bool:
        """Whether it can be called."""
        return self.state == APPROVED and bool(self.seen) and self.seen == self.pin

    @property
    def waits(self) -> bool:
        """Whether a person has something to look at that nobody has answered yet."""
        return self.state in {"new", "changed"}


class Server(Value):
    """A server as the ledger knows it; `seq` is the last record about it or a tool of it."""

    name: str
    config: str
    about: str
    added_by: str
    added_us: int
    removed_us: int
    seq: int


class Pins:
    """The servers and tools in one ledger.

    Args:
        ledger: where they are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def servers(self) -> list[Server]:
        """Return every server that was added and not removed, by name."""
        return self._ledger.read(servers)

    def server(self, name: str) -> Server | None:
        """Return the server of this name, or None if it was never added, or was removed."""
        return next((one for one in self.servers() if one.name == name), None)

    def tools(self, server: str = "") -> list[Pin]:
        """Return every tool that was seen, by name; of one server only, if given."""
        return self._ledger.read(lambda connection: pins(connection, server))

    def find(self, tool: str) -> Pin:
        """Return the tool that is called this here.

        Raises:
            PinError: there is none.
        """
        server = tool.partition(".")[0]
        for pin in self.tools(server):
            if pin.tool == tool:
                return pin
        raise PinError(f"no tool is called {tool[:200]!r}; see `pratique mcp list {server[:40]}`")

    def definition(self, digest: str) -> Definition:
        """Return the definition of this digest.

        Raises:
            LedgerCorruptError: its text is not there, or is another.
        """
        return self._ledger.read(lambda connection: stored_definition(connection, digest))

    def add(self, server: str, config: str, about: str, by: str) -> bool:
        """Record that a server is configured like this, unless it is known; return whether it is news.

        Args:
            server: its name in the settings.
            config: digest of its configuration.
            about: its command or address, for people.
            by: who says so.
        """
        draft = drafts.mcp_add(server, config, printable(about), by)
        return not isinstance(self._commit(draft, ServerIsNot(server, config)), Refused)

    def remove(self, server: str, by: str, reason: str = "") -> None:
        """Record that a server is gone: nothing of it can be called any more.

        Raises:
            PinError: there is no such server.
        """
        for _ in range(_TRIES):
            found = self.server(server)
            if found is None:
                break
            draft = drafts.mcp_remove(server, by, printable(reason)[:LONGEST_REASON])
            if not isinstance(self._commit(draft, ServerIs(server, found.config)), Refused):
                return
        raise PinError(f"no server is called {server[:80]!r}; see `pratique mcp list`")

    def saw(self, server: str, listing: Listing, by: str) -> list[Pin]:
        """Record what a server lists now, where that is not what it listed before.

        Args:
            server: the server.
            listing: all that it lists.
            by: the process that looked.

        Approved tools come first, then the others that are known. New names come last, as far as there is
        room for them (`MOST_KNOWN`).

        Returns:
            The tools that changed, as they stand now.

        Raises:
            PinError: the server was configured otherwise meanwhile.
        """
        changed: set[str] = set()
        for _ in range(_TRIES):
            known = {pin.name: pin for pin in self.tools(server)}
            news = _news(known, listing)
            if not news:
                break
            for name, found in news:
                if self._record(server, listing, known.get(name), name, found, by):
                    changed.add(name)
        return [pin for pin in self.tools(server) if pin.name in changed]

    def approve(self, tool: str, digest: str, tier: Tier, by: str) -> Pin:
        """Approve a definition: from now on the tool can be called, as the policy says.

        Args:
            tool: what it is called here.
            digest: of the definition that the person looked at.
            tier: what a call can do to the world; raised to what the server itself says, if that is more.
            by: who approves it.

        Raises:
            PinError: there is no such tool, it cannot be used, or it is another definition by now.
        """
        pin = self._as_seen(tool, digest)
        tier = Tier.highest(tier, Tier(pin.least))
        if pin.is_approved and pin.tier == tier.value:
            return pin
        draft = drafts.mcp_approve(pin.server, pin.name, tool=tool, digest=digest, tier=tier, by=by)
        return self._answer(pin, draft)

    def refuse(self, tool: str, digest: str, by: str, reason: str = "") -> Pin:
        """Refuse a definition, or withdraw its approval: the tool cannot be called.

        Raises:
            PinError: as for `approve`.
        """
        pin = self._as_seen(tool, digest)
        reason = printable(reason)[:LONGEST_REASON]
        draft = drafts.mcp_refuse(pin.server, pin.name, tool=tool, digest=digest, by=by, reason=reason)
        return self._answer(pin, draft)

    def _as_seen(self, tool: str, digest: str) -> Pin:
        pin = self.find(tool)
        if not pin.seen:
            why = pin.problem or "its server does not list it any more"
            raise PinError(f"{tool} cannot be approved or refused: {why}")
        if pin.seen != digest:
            raise PinError(
                f"{tool} is another definition by now: look at it again (`pratique mcp show {tool}`)"
            )
        return pin

    def _answer(self, pin: Pin, draft: Draft) -> Pin:
        done = self._commit(draft, ToolAt(pin.server, pin.name, pin.seq))
        if isinstance(done, Refused):
            raise PinError(f"{pin.tool}: somebody else was faster; look at it again")
        return self.find(pin.tool)

    def _record(
        self,
        server: str,
        listing: Listing,
        known: Pin | None,
        name: str,
        found: "Definition | Unusable | None",
        by: str,
    ) -> bool:
        """Record one tool as it is seen now; return False if another process was faster."""
        definition = found if isinstance(found, Definition) else None
        problem = found.problem if isinstance(found, Unusable) else ""
        draft = drafts.mcp_seen(
            server,
            name,
            tool=local_name(server, name),
            config=listing.config,
            before=known.seen if known is not None else "",
            digest=definition.digest if definition is not None else "",
            least=Tier.highest(definition.at_least, listing.least) if definition is not None else None,
            problem=problem,
            by=by,
        )
        blobs = ((definition.digest, definition.text),) if definition is not None else ()
        guards = (
            ServerIs(server, listing.config),
            ToolAt(server, name, known.seq if known is not None else 0),
        )
        done = self._commit(draft, *guards, blobs=blobs)
        if isinstance(done, Refused) and isinstance(done.guard, ServerIs):
            raise PinError(f"{done.why} meanwhile; look again")
        return not isinstance(done, Refused)

    def _commit(self, draft: Draft, *guards: Guard, blobs: tuple[tuple[str, bytes], ...] = ()) -> Any:
        return self._ledger.commit_now(Entry(drafts=(draft,), guards=guards, blobs=blobs))


def servers(connection: Connection) -> list[Server]:
    """Return every server that is there, by name."""
    chosen = select(t.mcp_servers).where(t.mcp_servers.c.removed_us == 0).order_by(t.mcp_servers.c.name)
    return [Server(**row._mapping) for row in connection.execute(chosen)]  # noqa: SLF001  # SQLAlchemy's public name


def pins(connection: Connection, server: str = "") -> list[Pin]:
    """Return every tool that was seen, by name; of one server only, if given."""
    chosen = select(t.mcp_tools).order_by(t.mcp_tools.c.tool)
    if server:
        chosen = chosen.where(t.mcp_tools.c.server == server)
    return [Pin(**row._mapping) for row in connection.execute(chosen)]  # noqa: SLF001  # as above


def stored_definition(connection: Connection, digest: str) -> Definition:
    """Return the definition of this digest; see `Pins.definition`."""
    body = connection.execute(select(t.blobs.c.body).where(t.blobs.c.digest == digest)).scalar()
    if type(body) is not bytes or hashlib.sha256(body).hexdigest() != digest:
        raise LedgerCorruptError(
            f"the definition {digest[:12]} is not stored, or is not the one that was seen"
        )
    return kept_definition(body)


def _news(known: dict[str, Pin], listing: Listing) -> list[tuple[str, Definition | Unusable | None]]:
    """Return what is to be recorded, in this order; None for a tool that is gone."""
    changed = sorted(_changed(known, listing), key=lambda one: not known[one[0]].is_approved)
    return [*changed, *_new(known, listing)]


def _changed(known: dict[str, Pin], listing: Listing) -> Iterable[tuple[str, Definition | Unusable | None]]:
    for name, pin in known.items():
        found = listing.tools.get(name)
        if found is None:
            if pin.state != GONE:
                yield name, None
            continue
        if pin.problem == TOO_MANY:
            continue
        seen, problem = (found.digest, "") if isinstance(found, Definition) else ("", found.problem)
        if (pin.seen, pin.problem) != (seen, problem):
            yield name, found


def _new(known: dict[str, Pin], listing: Listing) -> Iterable[tuple[str, Definition | Unusable]]:
    room = MOST_KNOWN - len(known)
    for name, found in listing.tools.items():
        if name in known or room < 0:
            continue
        yield name, found if room else Unusable(name=name, problem=TOO_MANY)
        room -= 1
