"""The sessions that this server holds for agents, and their calls: opened, found again, waited for, let go.

Rules:
- A session belongs to the key that opened it. To every other key it is not there.
- A session that is not in memory is looked up in the ledger and goes on here: a restart loses nothing.
- A call that waits for a person waits here, not in the runtime: when the server closes, or the caller's time
  is up, the answer is the pending ticket, and nothing was begun.
"""

import asyncio
from collections import OrderedDict
from typing import Unpack

from pratique.errors import SessionClosedError, UnknownSessionError
from pratique.identity.keys import Key
from pratique.ledger import queries
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.hosting import SessionFacts
from pratique.sessions.session import Session
from pratique.settings_sections import ServerSettings

POLL_SECONDS = 0.25
"""How often a call that waits looks for what another process has committed."""


class _Held:
    """A session in memory, whose it is, and how many of its calls run now."""

    def __init__(self, session: Session, key: str) -> None:
        self.session, self.key, self.calls = session, key, 0


class Serving:
    """Holds sessions.

    Args:
        runtime: what runs their calls.
        settings: how many, and how long one request may wait.
        closing: set when the server is about to end.
    """

    def __init__(self, runtime: Runtime, settings: ServerSettings, closing: asyncio.Event) -> None:
        self._runtime, self._settings, self._closing = runtime, settings, closing
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._resuming: dict[str, asyncio.Lock] = {}
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def open(self, key: Key, **facts: Unpack[SessionFacts]) -> Session:
        """Open a session for the key's agent."""
        session = await self._runtime.open_session(**facts)
        self._hold(session, key.id)
        return session

    async def take_over(self, key: Key, name: str) -> Session:
        """Go on with a session that another process may be serving.

        Raises:
            UnknownSessionError: there is none of this key's.
            SessionClosedError: it has ended.
        """
        async with self._resuming.setdefault(name, asyncio.Lock()):
            try:
                return await self._take_over(key, name)
            finally:
                self._resuming.pop(name, None)

    async def call(
        self, key: Key, name: str, tool: str, args: object, *, call_id: str | None, wait: float, why: str = ""
    ) -> Outcome:
        """Make a call in a session; see `Session.call`. Returns `pending` when the wait is over."""
        held = await self._find(key, name)
        self._enter(held)
        try:
            outcome = await held.session.call(tool, args, call_id=call_id, wait=0, why=why)
            return await self._patiently(held.session, outcome, wait)
        finally:
            self._leave(held)

    async def redeem(self, key: Key, name: str, ticket: str, *, wait: float) -> Outcome:
        """Go on with a pending call; see `Session.redeem`."""
        held = await self._find(key, name)
        self._enter(held)
        try:
            return await self._patiently(held.session, await held.session.redeem(ticket, wait=0), wait)
        finally:
            self._leave(held)

    async def close(self, key: Key, name: str, output: str, final_action: str | None) -> None:
        """End a session, with its answer."""
        held = await self._find(key, name)
        held.session.finish(output, final_action)
        await held.session.aclose()
        self._held.pop(name, None)

    async def find(self, key: Key, name: str) -> Session:
        """Return a session of this key's; it goes on here if it is not in memory.

        Raises:
            UnknownSessionError: there is none of this key's.
            SessionClosedError: it has ended.
        """
        return (await self._find(key, name)).session

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return self._calls

    def __len__(self) -> int:
        return len(self._held)

    async def drain(self, seconds: float) -> bool:
        """Wait until no call is under way; return whether that came to be in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def _find(self, key: Key, name: str) -> _Held:
        held = self._held.get(name)
        if held is None:
            await self.take_over(key, name)
            held = self._held[name]
        if held.key != key.id:
            raise _unknown(name)
        self._held.move_to_end(name)
        return held

    async def _take_over(self, key: Key, name: str) -> Session:
        row = await self._runtime.ledger.query(lambda connection: queries.session(connection, name))
        if row is None or row.id != name or row.api_key != key.id:
            raise _unknown(name)
        if row.closed_us:
            raise SessionClosedError(f"the session {name} has ended")
        held = self._held.get(name)
        if held is not None and row.writer == self._runtime.ledger.writer.id:
            return held.session
        session = await self._runtime.resume_session(name)
        self._hold(session, key.id)
        return session

    def _hold(self, session: Session, key: str) -> None:
        self._held[session.id] = _Held(session, key)
        if len(self._held) > self._settings.sessions:
            idle = next((name for name, held in self._held.items() if not held.calls), None)
            if idle is not None:
                self._held.pop(idle).session.let_go()

    async def _patiently(self, session: Session, outcome: Outcome, wait: float) -> Outcome:
        """Return the outcome once it is no longer pending, or when the wait is over."""
        if outcome.status is not Status.PENDING or wait <= 0:
            return outcome
        clock = asyncio.get_running_loop().time
        until = clock() + min(wait, self._settings.longest_wait)
        while clock() < until and not self._closing.is_set():
            with self._runtime.ledger.watch.on(outcome.ticket) as bell:
                if await self._still_waits(outcome.ticket):
                    await bell.rung(min(until - clock(), POLL_SECONDS))
                    continue
            outcome = await session.redeem(outcome.ticket, wait=0)  # an edited call has a ticket of its own
            if outcome.status is not Status.PENDING:
                break
        return outcome

    async def _still_waits(self, ticket: str) -> bool:
        """Return whether an answer can still come; if not, the call goes on, to whatever it comes to."""
        ledger = self._runtime.ledger
        question = await self._runtime.queue.get(ticket)
        epoch = await ledger.query(queries.epoch)
        return question.is_open(ledger.clock()) and question.epoch == epoch

    def _enter(self, held: _Held) -> None:
        held.calls += 1
        self._calls += 1
        self._quiet.clear()

    def _leave(self, held: _Held) -> None:
        held.calls -= 1
        self._calls -= 1
        if not self._calls:
            self._quiet.set()


def _unknown(name: str) -> UnknownSessionError:
    return UnknownSessionError(f"there is no session {name[:80]!r} of this key's")
