"""What comes in from a server, before the SDK's client gets it: counted, thinned out, cut off in a flood.

Rules:
- As many answers pass as there were requests. Of what nobody asked for, requests pass (the client answers
  each with a refusal), of the notifications only those that end or open something of the protocol's. The
  rest (logging, progress, news of lists) ends here; that the tools changed is remembered.
- What nobody asked for draws on a budget that fills up again with time. Who empties it is cut off.
- What is on standard output and is no message is skipped, so many times.
- How a connection ended is said once, in one line; the first cause counts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import structlog
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from pratique.appearance import visible
from pratique.proxy.bounds import Bounds
from pratique.proxy.streams import Incoming, Streams, Transport, Writing

log = structlog.get_logger("pratique")

Clock = Callable[[], float]

NOT_SENT = -32098
"""The error of a request that never left (from the range that JSON-RPC leaves to implementations)."""

_PASSED_ON = frozenset({"notifications/cancelled"})
_LONGEST_WORD = 80
_TOLD_REFUSALS = 16


class Fate:
    """How a connection ended: set once, by whoever sees it first.

    Attributes:
        why: what ended it.
        problem: what went wrong last without ending it, for whoever cannot make the connection.
    """

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.why = ""
        self.problem = ""

    def end(self, why: str) -> None:
        """Say that it is over, and why. Only the first word counts."""
        if not self.over.is_set():
            self.why = why
            self.over.set()


class Intake:
    """Stands between a transport and the client.

    Args:
        name: of the server, for the log.
        bounds: how much it may say.
        fate: is told when it said too much, or nothing any more.
        changed: is called when the server says that its tools changed.
        clock: seconds, monotonic.
    """

    def __init__(
        self, name: str, bounds: Bounds, fate: Fate, changed: Callable[[], None], clock: Clock
    ) -> None:
        self._name, self._bounds, self._fate, self._changed, self._clock = name, bounds, fate, changed, clock
        self._budget, self._since = float(bounds.burst), clock()
        self._junk = 0
        self._awaited = 0
        self._done = False
        self.refused: list[str] = []

    @asynccontextmanager
    async def around(self, transport: Transport) -> AsyncIterator[Streams]:
        """Open a transport and give its streams, with this in between."""
        async with transport as (theirs, write):
            # No buffer: what the client has not taken yet is not read from the server.
            send, receive = anyio.create_memory_object_stream[Incoming](0)
            with send, receive:
                pumping = asyncio.create_task(self._pump(theirs, send), name=f"mcp {self._name}")
                try:
                    yield receive, _Told(write, self._sent, self._closed)
                finally:
                    pumping.cancel()
                    await asyncio.wait([pumping])

    async def _pump(self, theirs: Any, ours: Any) -> None:
        try:
            async with ours:
                async for item in theirs:
                    if self._admits(item):
                        await ours.send(item)
                    else:
                        await asyncio.sleep(0)  # a flood shall not have the event loop for itself
                    if self._fate.over.is_set():
                        return
            if not self._done:
                self._fate.end("it ended the connection")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client has gone: nobody listens any more

    def _admits(self, item: Incoming) -> bool:
        """Whether the client shall see it."""
        if isinstance(item, Exception):
            self._junk += 1
            if self._junk > self._bounds.junk:
                self._fate.end("it writes what is not MCP to its standard output")
            return False
        message = item.message
        if isinstance(message, JSONRPCRequest):
            if message.method != "ping":
                self._refuse(message.method)
            return self._spends()
        if not isinstance(message, JSONRPCNotification):
            return self._answers() or self._spends()
        if message.method == "notifications/tools/list_changed":
            self._changed()
        return self._spends() and (
            message.method in _PASSED_ON or message.method.startswith("notifications/subscriptions/")
        )

    def _sent(self, item: SessionMessage) -> None:
        self._awaited += isinstance(item.message, JSONRPCRequest)

    def _closed(self) -> None:
        self._done = True

    def _answers(self) -> bool:
        """Whether an answer is one of those that are awaited, by their number."""
        awaited, self._awaited = self._awaited > 0, max(0, self._awaited - 1)
        return awaited

    def _refuse(self, method: str) -> None:
        """Note that the server asked for something; the client refuses it, because it offers nothing."""
        word = visible(method[:_LONGEST_WORD])
        if len(self.refused) < _TOLD_REFUSALS:
            self.refused.append(word)
            log.warning("an MCP server asked for something, which was refused", server=self._name, asked=word)

    def _spends(self) -> bool:
        """Take one message from the budget; false, and the end of the connection, if there is none left."""
        now = self._clock()
        gained = (now - self._since) * self._bounds.rate
        self._budget, self._since = min(float(self._bounds.burst), self._budget + gained), now
        if self._budget < 1:
            self._fate.end("it floods us with messages that nobody asked for")
            return False
        self._budget -= 1
        return True


class _Told:
    """The way out, with each message and the end told of."""

    def __init__(
        self,
        inner: Writing,
        sent: Callable[[SessionMessage], None],
        closed: Callable[[], None],
    ) -> None:
        self._inner, self._sent, self._closed = inner, sent, closed

    async def send(self, item: SessionMessage, /) -> None:
        self._sent(item)
        await self._inner.send(item)

    async def aclose(self) -> None:
        self._closed()
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._closed()
        return await self._inner.__aexit__(kind, error, trace)
