"""One MCP client's calls in a session: which call a request is, and what it waits for.

Rules:
- A request that is asked again is the same call: by the state that the client gives back, by a key that the
  client chose, or because the very same call still waits for a person. Nothing runs twice by asking twice.
- A call id is made here, of the session and a secret of this process. No client can name another's call.
- A cancelled request cancels its call, and that is on record before the request ends.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import orjson

from pratique import Outcome, Status, ToolDeclarationError, ToolSpec
from pratique.adapters.executor import Caller, Offer
from pratique.adapters.mcp.shown import TICKET_TOOL
from pratique.adapters.mcp.structure import Promise, promise_of

MOST_WAITING = 1000
"""Calls that are remembered because they wait, or because nothing was heard of them."""

PROGRESS_S = 5.0
"""Seconds between two signs of life of a request that takes long."""

LONGEST_KEY = 256

Report = Callable[[float, str], Awaitable[None]]


class Calling:
    """The calls that one client makes in a session.

    Args:
        session: in process or over HTTP.
        every: seconds between two signs of life.
    """

    def __init__(self, session: Caller, *, every: float = PROGRESS_S) -> None:
        self.session, self._every = session, every
        self._waiting: OrderedDict[bytes, str] = OrderedDict()
        self._running: set[asyncio.Task[Outcome]] = set()
        self._names: dict[str, str] = {}  # what the client was told → the tool's own name
        self._promises: dict[str, Promise] = {}  # tool → what the client was promised of its results
        self._specs: tuple[ToolSpec, ...] | None = None
        self._offer = Offer(())

    @property
    def waits(self) -> bool:
        """Whether a call of this client waits for a person, as far as it was told."""
        return bool(self._waiting)

    async def offer(self) -> Offer:
        """Return what the session's agent may call now.

        Raises:
            ToolDeclarationError: two tools would get the same name.
        """
        specs = await self.session.tools()
        if specs is self._specs:  # over HTTP, the SDK's server lists the tools before each call
            return self._offer
        offer = Offer(specs)
        if TICKET_TOOL in offer.tools:
            raise ToolDeclarationError(
                f"{offer.real(TICKET_TOOL)} would be offered as {TICKET_TOOL}, which is taken: rename it"
            )
        self._names.update((name, spec.name) for name, spec in offer.tools.items())
        for spec in offer.tools.values():
            if promise := promise_of(spec):
                self._promises[spec.name] = promise
        self._specs, self._offer = specs, offer
        return offer

    def promise(self, tool: str) -> Promise | None:
        """Return what the client was promised of a tool's structured results, if it was ever told of it."""
        return self._promises.get(tool)

    async def real(self, name: str) -> str:
        """Return the tool's own name; a name that was never told is passed on, and denied on record."""
        if name not in self._names:
            await self.offer()
        return self._names.get(name, name)

    def id_for(self, tool: str, args: Any, key: str | None) -> str:
        """Return the id of a call that is asked for without a state.

        Args:
            tool: the tool's name.
            args: its arguments.
            key: what the client calls it, to ask for it again after it heard nothing.
        """
        if key is not None:
            return "m_" + hashlib.sha256(f"{self.session.id}\x00{key}".encode()).hexdigest()[:32]
        return self._waiting.get(_identity(tool, args)) or f"m_{secrets.token_hex(16)}"

    async def call(self, tool: str, args: Any, call_id: str, wait: float | None, report: Report) -> Outcome:
        """Make a call, or go on with it; `wait` is in seconds, None for what the session says."""
        identity = _identity(tool, args)
        try:
            outcome = await self._alive(
                self.session.call(tool, args, call_id=call_id, wait=wait), tool, report
            )
        except Exception:
            self._remember(identity, call_id)  # it may have run: the same call again is this one
            raise
        if outcome.status is Status.PENDING:
            self._remember(identity, call_id)
        else:
            self._waiting.pop(identity, None)
        return outcome

    async def redeem(self, ticket: str, wait: float, report: Report) -> Outcome:
        """Go on with a call that waits."""
        outcome = await self._alive(self.session.redeem(ticket, wait=wait), ticket, report)
        if outcome.status is not Status.PENDING:
            for identity in [one for one, known in self._waiting.items() if known == outcome.call_id]:
                del self._waiting[identity]
        return outcome

    async def aclose(self) -> None:
        """Cancel what runs, and wait until that is on record."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(set(self._running))

    def _remember(self, identity: bytes, call_id: str) -> None:
        self._waiting[identity] = call_id
        self._waiting.move_to_end(identity)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)

    async def _alive(self, call: Coroutine[Any, Any, Outcome], what: str, report: Report) -> Outcome:
        """Wait for a call and give signs of life. A cancellation is handed on once, and waited for.

        Raises:
            asyncio.CancelledError: the request was cancelled; what became of the call is on record.
        """
        task = asyncio.create_task(call, name=f"mcp {what}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        beats = 0
        try:
            while not (await asyncio.wait({task}, timeout=self._every))[0]:
                beats += 1
                await report(float(beats), f"{what}: no result yet")
        except BaseException:
            task.cancel()
            with anyio.CancelScope(shield=True):  # a cancelled scope would cancel each step of the recording
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen: the request that would have told it is gone
            raise
        return task.result()


def _identity(tool: str, args: Any) -> bytes:
    return hashlib.sha256(orjson.dumps([tool, args], option=orjson.OPT_SORT_KEYS, default=repr)).digest()
