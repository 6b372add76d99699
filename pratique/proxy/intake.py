"""What comes in from a server, before the SDK's client gets it: counted, thinned out, cut off in a flood.

Rules:
- As many answers pass as there were requests. Of what nobody asked for, requests pass (the client answers
  each with a refusal), of the notifications only those that end or open something of the protocol's. The
  rest (logging, progress, news of lists) ends here; that the tools changed is remembered.
- What nobody asked for draws on a budget (`pratique.proxy.budget`), which the transport asks before it reads
  a message. Who empties it is cut off.
- What is on standard output and is no message is skipped, so many times.
- How a connection ended is said once, in one line; the first cause counts.
"""

import asyncio
import secrets
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
from pratique.proxy.budget import Budget
from pratique.proxy.streams import Incoming, Streams, Transport, Writing

log = structlog.get_logger("pratique")

FLOOD = "it floods us with messages that nobody asked for"

_PASSED_ON = frozenset({"notifications/cancelled"})
_LONGEST_WORD = 80
_TOLD_REFUSALS = 16


class Fate:
    """How a connection ended: set once, by whoever sees it first.

    Attributes:
        why: what ended it.
        problem: what went wrong last without ending it, for whoever cannot make the connection.
        heard: whether the server has said anything yet.

    A request that never left is told by a word that is made for it alone, and that the server never hears:
    whatever number a server answers with, it cannot say that a request was not sent.
    """

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.why = ""
        self.problem = ""
        self.heard = False
        self._unsent: set[str] = set()

    def not_sent(self) -> str:
        """Return a new word for one request that did not leave."""
        word = secrets.token_hex(16)
        self._unsent.add(word)
        return word

    def was_not_sent(self, word: str) -> bool:
        """Whether a word stands for a request that did not leave. It does so once."""
        if word not in self._unsent:
            return False
        self._unsent.remove(word)
        return True

    def end(self, why: str) -> None:
        """Say that it is over, and why. Only the first word counts."""
        if not self.over.is_set():
            self.why = why
            self.over.set()


class Intake:
    """Stands between a transport and the client.

    Args:
        name: of the server, for the log.
        bounds: how much junk it may write.
        budget: how much it may say.
        fate: is told when it said too much, or nothing any more.
        changed: is called when the server says that its tools changed.
    """

    def __init__(
        self, name: str, bounds: Bounds, budget: Budget, fate: Fate, changed: Callable[[], None]
    ) -> None:
        self._name, self._bounds, self._budget = name, bounds, budget
        self._fate, self._changed = fate, changed
        self._junk = 0
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
            return self._budget.answered() or self._spends()
        if message.method == "notifications/tools/list_changed":
            self._changed()
        return self._spends() and (
            message.method in _PASSED_ON or message.method.startswith("notifications/subscriptions/")
        )

    def _sent(self, item: SessionMessage) -> None:
        if isinstance(item.message, JSONRPCRequest):
            self._budget.asked()

    def _closed(self) -> None:
        self._done = True

    def _refuse(self, method: str) -> None:
        """Note that the server asked for something; the client refuses it, because it offers nothing."""
        word = visible(method[:_LONGEST_WORD])
        if len(self.refused) < _TOLD_REFUSALS:
            self.refused.append(word)
            log.warning("an MCP server asked for something, which was refused", server=self._name, asked=word)

    def _spends(self) -> bool:
        """Take one message from the budget; false, and the end of the connection, if there is none left."""
        if self._budget.takes_unasked():
            return True
        self._fate.end(FLOOD)
        return False


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
