"""The servers of one runtime: which of their tools can be called now, and the calls.

Rules:
- What can be called is what the ledger says is approved, of servers that these settings have, configured as
  they were when it was approved. It is read again whenever something rests on it and it may have changed.
- Before each call the server is asked what it lists now. A tool that is not, to the byte, what was approved
  is not called: that is put on record, and the tool is in quarantine. The call goes where that list came
  from, before the server says anything else of its tools; else it is asked again, so many times.
- A server is started, or reached, when it is first needed.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import anyio.to_thread
import structlog
from sqlalchemy import Connection as Database

from pratique.errors import (
    OutcomeUnknownError,
    PinError,
    PratiqueError,
    ProxiedServerError,
    ToolError,
)
from pratique.ledger.door import Ledger
from pratique.model import Tier
from pratique.proxy.configured import Configured
from pratique.proxy.connection import Connection, Listed, SaidNotRunError, StaleListingError
from pratique.proxy.definition import Definition, Listing
from pratique.proxy.foreign import foreign_tool, output_check
from pratique.proxy.listing import read_listing
from pratique.proxy.pins import Pin, Pins, pins, servers, stored_definition
from pratique.proxy.results import value_of
from pratique.proxy.schemas import Check
from pratique.sandbox.ladder import Ladder
from pratique.tools.hosts import Network
from pratique.tools.registry import Tool

log = structlog.get_logger("pratique")

RECORD_EVERY = 60.0
"""Seconds between two records of news about tools that nobody calls: a server may have news all the time."""

_LEAST_SECONDS = 0.05
_MOST_LOOKS = 5


class Ready(NamedTuple):
    """A tool that can be called, and what a person said of it."""

    tool: Tool
    pin: Pin


class Servers:
    """Other programs' servers, as a registry asks for them (`pratique.tools.registry.Elsewhere`).

    Args:
        ledger: what was approved.
        by_name: the servers of the settings.
        ladder: gives jails.
        network: the way out.
        by: the process that looks, for the records.
    """

    def __init__(
        self, ledger: Ledger, by_name: Mapping[str, Configured], ladder: Ladder, network: Network, by: str
    ) -> None:
        self.pins = Pins(ledger)
        self.by_name = dict(by_name)
        self._ledger, self._ladder, self._network, self._by = ledger, ladder, network, by
        self._connections: dict[str, Connection] = {}
        self._recorded: dict[str, float] = {}
        self._ready: Mapping[str, Ready] = MappingProxyType({})
        self._known: dict[str, Tool] = {}
        self._seqs: dict[str, int] = {}
        self._states: Mapping[str, str] = {}

    def begin(self) -> None:
        """Record servers that are new or configured otherwise, and take what is approved."""
        for server in self.by_name.values():
            if self.pins.add(server.name, server.config, server.about, self._by):
                log.warning(
                    "a server is new, or configured otherwise: nothing of it is approved", server=server.name
                )
        self.refresh()

    @property
    def names(self) -> frozenset[str]:
        """The servers that the settings name."""
        return frozenset(self.by_name)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools that can be called, by name."""
        return {name: ready.tool for name, ready in self._ready.items()}

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, if it can be called."""
        ready = self._ready.get(name)
        return None if ready is None else ready.tool

    def known(self, name: str) -> Tool | None:
        """Return the tool of that name as it could be called last, even if it no longer can."""
        return self._known.get(name)

    def why_not(self, name: str) -> str:
        """Say why a tool of a server cannot be called; empty if it is none of theirs."""
        state = self._states.get(name)
        if state is None or name in self._ready:
            return ""
        return f"it is in quarantine ({state}) until a person approves it"

    def pins_of(self, name: str) -> tuple[str, int] | None:
        """Return the server that a name speaks of, and the last record that this process knows about it."""
        server = name.partition(".")[0]
        return (server, self._seqs.get(server, 0)) if server in self.by_name else None

    def is_stale(self, database: Database) -> bool:
        """Return whether the ledger knows more about the servers than this process."""
        return {one.name: one.seq for one in servers(database)} != self._seqs

    def refresh(self) -> None:
        """Take what is approved now. One assignment: whoever reads meanwhile sees the one or the other."""
        seqs, found, ready = self._ledger.read(self._approved)
        self._known.update({name: one.tool for name, one in ready.items()})
        self._seqs, self._states, self._ready = seqs, {pin.tool: pin.state for pin in found}, ready

    async def check(self, name: str) -> list[Pin]:
        """Ask a server what it lists now, and record what changed; return the tools that did.

        Raises:
            PinError: no server of the settings has this name, or it was configured otherwise meanwhile.
            ProxiedServerError: it cannot be had.
        """
        if name not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise PinError(f"the settings have no server {name[:80]!r}; they have: {known}")
        return await self._record(name, (await self._listing(self.by_name[name]))[0])

    async def aclose(self) -> None:
        """End every server that was started."""
        connections, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*(one.aclose() for one in connections))

    async def _call(
        self, server: Configured, pin: Pin, check: Check | None, arguments: dict[str, Any]
    ) -> Any:
        """Call a tool, if its pin is what permitted the call, and its server still lists that definition."""
        until = time.monotonic() + server.timeout
        for _ in range(_MOST_LOOKS):
            try:
                answer = await self._call_once(server, pin, arguments, until)
            except StaleListingError as problem:
                log.info("a server is asked again before a call", server=server.name, why=str(problem))
                continue
            except SaidNotRunError as problem:
                if pin.tier == Tier.READ:
                    raise
                raise OutcomeUnknownError(f"{problem}, which nobody else can know") from problem
            return value_of(pin.tool, answer, check)
        raise ProxiedServerError(f"the MCP server {server.name} changes all the time: the call was not sent")

    async def _call_once(
        self, server: Configured, pin: Pin, arguments: dict[str, Any], until: float
    ) -> dict[str, Any]:
        """Ask a server what it lists, and send the call to where that was listed.

        Raises:
            StaleListingError: it was not sent: something came in between.
        """
        name = pin.tool
        now = self._ready.get(name)
        if now is None or now.pin != pin:
            raise ToolError(f"{name} is not what was approved any more: it did not run")
        listing, listed = await self._listing(server, max(until - time.monotonic(), _LEAST_SECONDS))
        found = listing.tools.get(pin.name)
        if not isinstance(found, Definition) or found.digest != pin.pin:
            await self._record(server.name, listing)
            raise ToolError(f"{name} is not what was approved any more: it did not run, and is in quarantine")
        await self._follow(server.name, listing)
        left = max(until - time.monotonic(), _LEAST_SECONDS)
        return await self._connection(server).call(pin.name, arguments, listed=listed, timeout=left)

    async def _follow(self, server: str, listing: Listing) -> None:
        """Record news about a server's other tools, now and then: they do not concern this call."""
        if time.monotonic() - self._recorded.get(server, -RECORD_EVERY) < RECORD_EVERY:
            return
        try:
            await self._record(server, listing)
        except PratiqueError as problem:
            log.warning("a server's news are not recorded", server=server, problem=str(problem))

    async def _record(self, server: str, listing: Listing) -> list[Pin]:
        self._recorded[server] = time.monotonic()
        changed = await anyio.to_thread.run_sync(self.pins.saw, server, listing, self._by)
        if listing.nameless:
            log.warning("a server lists tools without a name", server=server, entries=listing.nameless)
        for pin in changed:
            log.warning("a tool is in quarantine", tool=pin.tool, state=pin.state, problem=pin.problem)
        if changed:
            await anyio.to_thread.run_sync(self.refresh)
        return changed

    async def _listing(self, server: Configured, seconds: float | None = None) -> tuple[Listing, Listed]:
        return await _listed(server, self._connection(server), seconds)

    def _connection(self, server: Configured) -> Connection:
        found = self._connections.get(server.name)
        if found is None:
            found = self._connections[server.name] = server.connection(self._ladder, self._network)
        return found

    def _approved(self, database: Database) -> tuple[dict[str, int], list[Pin], Mapping[str, Ready]]:
        there = servers(database)
        configs = {one.name: one.config for one in there}
        found, ready = pins(database), {}
        for pin in found:
            server = self.by_name.get(pin.server)
            if server is None or configs.get(pin.server) != server.config or not pin.is_approved:
                continue
            before = self._ready.get(pin.tool)
            ready[pin.tool] = (
                before if before is not None and before.pin == pin else self._made(database, server, pin)
            )
        return (
            {one.name: one.seq for one in there},
            found,
            MappingProxyType({name: one for name, one in ready.items() if one is not None}),
        )

    def _made(self, database: Database, server: Configured, pin: Pin) -> Ready | None:
        """Return an approved tool, ready to be called; None, and a line in the log, if it cannot be."""
        try:
            definition = stored_definition(database, pin.pin)
            body = partial(self._call, server, pin, output_check(definition))
            return Ready(foreign_tool(server, pin, definition, body), pin)
        except (PratiqueError, ValueError) as problem:
            log.warning("an approved tool cannot be used", tool=pin.tool, problem=str(problem)[:500])
            return None


async def look(server: Configured, ladder: Ladder, network: Network) -> Listing:
    """Return what a server lists now, through a connection of its own, which ends with it.

    Raises:
        ProxiedServerError: it cannot be had.
    """
    connection = server.connection(ladder, network)
    try:
        return (await _listed(server, connection))[0]
    finally:
        await connection.aclose()


async def _listed(
    server: Configured, connection: Connection, seconds: float | None = None
) -> tuple[Listing, Listed]:
    """Ask a server what it lists, for so many seconds; it is read and digested in a thread."""
    listed = await connection.listed(timeout=seconds)
    reading = partial(read_listing, server.config, server.name, listed.tools, server.least)
    return await anyio.to_thread.run_sync(reading), listed
