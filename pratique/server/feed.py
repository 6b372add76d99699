"""What happens, as it happens: the log's new records, read once, handed to everyone who listens.

Rules:
- An event's id is its record's number. Who comes back with the last one they saw gets everything since, from
  the ledger: nothing is remembered for them here.
- Events say that something happened, to what, and how it stands. They carry no argument, result or reason.
- What somebody missed is read of their session only, if they listen to one. It is read one page at a time for
  all who catch up: however many come back with an old number, calls go on beside them.
- A listener who does not keep up is let go; they come back with the last number, as after a lost connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from pratique.ledger import pages
from pratique.ledger.door import Ledger
from pratique.ledger.queries import Record
from pratique.ledger.watch import HEAD
from pratique.model import Value

POLL_SECONDS = 0.5
PAGE = 500
MOST_BEHIND = 1000
"""Events that one listener may leave unread."""


class Event(Value):
    """One thing that happened. `state` is how the question or call stands after it."""

    seq: int
    type: str
    session: str
    call_id: str = ""
    ticket: str = ""
    tool: str = ""
    tier: str = ""
    agent: str = ""
    state: str = ""
    ts_us: int


Wanted = Callable[[Event], bool]


class Feed:
    """Reads new records while somebody listens.

    Args:
        ledger: whose records.
        closing: set when the server is about to end: then every listener is let go.
    """

    def __init__(self, ledger: Ledger, closing: asyncio.Event) -> None:
        self._ledger, self._closing = ledger, closing
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._seq = 0
        self._catching_up = asyncio.Semaphore()

    def __len__(self) -> int:
        return len(self._listeners)

    async def last(self) -> int:
        """Return the number of the newest record."""
        return await self._ledger.query(pages.last)

    async def listen(self, after: int, wanted: Wanted, session: str = "") -> AsyncGenerator[Event, None]:
        """Yield what happened after record `after`, then what happens, until the server closes.

        Args:
            after: the last record that the listener knows of.
            wanted: says which events are theirs.
            session: the session that they are all of; empty for any.
        """
        mine: asyncio.Queue[Event | None] = asyncio.Queue(MOST_BEHIND)
        begun = await self._begin(mine)
        try:
            async for event in self._past(after, begun, session):
                if wanted(event):
                    yield event
            while (event_or_end := await mine.get()) is not None:
                if event_or_end.seq > after and wanted(event_or_end):
                    yield event_or_end
        finally:
            await self._end(mine)

    async def _begin(self, mine: asyncio.Queue[Event | None]) -> int:
        """Let a listener in; return the number of the record after which it hears everything."""
        if self._reader is None or self._reader.done():
            self._seq = await self._ledger.query(pages.last)
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read(), name="pratique-feed")
        self._listeners.add(mine)
        return self._seq

    async def _end(self, mine: asyncio.Queue[Event | None]) -> None:
        self._listeners.discard(mine)
        if not self._listeners and self._reader is not None:
            reader, self._reader = self._reader, None
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _past(self, after: int, until: int, session: str) -> AsyncIterator[Event]:
        while after < until:
            async with self._catching_up:
                page = await self._page(after, session)
            if not page:
                return
            for record in page:
                if record["seq"] <= until:
                    event = event_of(record)
                    if event is not None:
                        yield event
            after = page[-1]["seq"]

    async def _read(self) -> None:
        try:
            with self._ledger.watch.on(HEAD) as bell:
                while not self._closing.is_set():
                    page = await self._page(self._seq)
                    for record in page:
                        self._hand_out(event_of(record))
                    if page:
                        self._seq = page[-1]["seq"]
                    if len(page) < PAGE:
                        await bell.rung(POLL_SECONDS)
        finally:  # whatever ended it: they come back, and are told then
            for listener in self._listeners:
                _let_go(listener)

    def _hand_out(self, event: Event | None) -> None:
        if event is None:
            return
        for listener in tuple(self._listeners):
            try:
                listener.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(listener)
                _let_go(listener)

    async def _page(self, after: int, session: str = "") -> list[Record]:
        return await self._ledger.query(lambda connection: pages.records(connection, after, PAGE, session))


def event_of(record: Record) -> Event | None:
    """Return what a record tells listeners, or None when it is nothing of theirs."""
    state = _STATES.get(record["type"])
    if state is None:
        return None
    known: dict[str, Any] = {
        field: record[field] for field in Event.model_fields if field in record and field != "state"
    }
    return Event(**known, state=state(record))


_STATES: dict[str, Callable[[Record], str]] = {
    "session.open": lambda _: "open",
    "session.close": lambda _: "closed",
    "call.intent": lambda _: "started",
    "call.outcome": lambda record: record["outcome"],
    "approval.proposed": lambda _: "proposed",
    "approval.vote": lambda _: "proposed",
    "approval.decided": lambda record: record["state"],
    "approval.expired": lambda record: record["state"],
}


def _let_go(listener: asyncio.Queue[Event | None]) -> None:
    while listener.full():
        listener.get_nowait()
    listener.put_nowait(None)
