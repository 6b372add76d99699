"""One life of a connection: opened once, used by many calls at a time, closed once.

Rules:
- A task of its own opens and closes it, because the SDK's client must end in the task that it began in.
- It ends when the server ends it, says too much, or is retired. Whoever still waits for an answer hears it.
- What was started is ended, in the time that the bounds give.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import anyio
import mcp_types as types
import structlog
from httpx2 import HTTPError
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from pratique.appearance import visible
from pratique.errors import ProxiedServerError, ToolError
from pratique.logs import quoting_servers
from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import Budget
from pratique.proxy.intake import Fate, Intake
from pratique.proxy.streams import Streams, Transport

log = structlog.get_logger("pratique")

Opener = Callable[[Fate, Budget], Transport]
"""Starts or reaches the server; the streams are ours until the block ends. It tells the fate what it sees,
and asks the budget before it reads a message.

`partial(child, server, ladder, name, bounds)` and `partial(remote, server, network, name, bounds)` are such.
"""

_US = types.Implementation(name="pratique", version="1")
_CLOSING = 15.0
_LONGEST_WORDS = 500


class Link:
    """A connection to one server, from its start to its end.

    Args:
        name: of the server, for people.
        opener: makes its transport.
        bounds: what it gets.
        mode: which version to speak: `auto` (the newest that it has), `legacy` (2025-11-25), or a version.
    """

    def __init__(self, name: str, opener: Opener, bounds: Bounds, mode: str) -> None:
        self._name, self._opener, self._bounds, self._mode = name, opener, bounds, mode
        self.fate = Fate()
        self.changes = 0
        self._budget = Budget(bounds, time.monotonic)
        self._intake = Intake(name, bounds, self._budget, self.fate, self._changed)
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_seen)
        self._users = 0
        self._retired = False
        self._keeper = asyncio.create_task(self._keep(), name=f"mcp {name}")

    @property
    def usable(self) -> bool:
        """Whether something may be begun on it."""
        return not (self._retired or self.fate.over.is_set() or self._keeper.done())

    @property
    def refused(self) -> list[str]:
        """What the server asked us for, and did not get."""
        return self._intake.refused

    async def client(self) -> Client:
        """Return the client, once the server is there.

        Raises:
            ProxiedServerError: it cannot be had.
        """
        return await asyncio.shield(self._ready)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep it open for as long as the block takes, even when it is retired meanwhile."""
        self._users += 1
        try:
            with quoting_servers():
                yield
        finally:
            self._users -= 1
            if self._retired and self._users == 0:
                self._end("it was retired")

    def retire(self) -> None:
        """Begin nothing more on it; close it when nobody uses it any more."""
        self._retired = True
        if self._users == 0:
            self._end("it was retired")

    async def aclose(self) -> None:
        """End it now, and wait until nothing of it is left."""
        self._retired = True
        self._end("the connection was closed here")
        done, _ = await asyncio.wait([self._keeper], timeout=_CLOSING)
        if not done:
            self._keeper.cancel()
            await asyncio.wait([self._keeper], timeout=_CLOSING)

    async def gone(self) -> None:
        """Let those who use it finish, then wait until nothing of it is left."""
        self.retire()
        await asyncio.wait([self._keeper])

    def _end(self, why: str) -> None:
        if not self.fate.over.is_set():
            self.fate.end(why)
            if not self._ready.done():
                self._keeper.cancel()  # it waits for the server, which nobody wants any more

    def _changed(self) -> None:
        self.changes += 1

    async def _keep(self) -> None:
        with quoting_servers():
            await self._live()

    async def _live(self) -> None:
        try:
            async with self._intake.around(self._opener(self.fate, self._budget)) as streams:
                async with asyncio.timeout(self._bounds.start) as patience:
                    async with Client(
                        _Given(streams), mode=self._mode, client_info=_US, cache=None
                    ) as client:
                        patience.reschedule(None)
                        self._ready.set_result(client)
                        log.info(
                            "connected to an MCP server", server=self._name, protocol=client.protocol_version
                        )
                        await self._listen(client)
        except BaseException as problem:  # noqa: BLE001  # whatever ends it is told to whoever waits
            self._fail(problem)
        finally:
            self.fate.end("it ended the connection")

    async def _listen(self, client: Client) -> None:
        """Hear that tools changed, where one has to ask for that; wait for the end."""
        tools = client.server_capabilities.tools
        wants = bool(tools and tools.list_changed) and client.session.discover_result is not None
        listening = asyncio.create_task(_hear(client, self._changed)) if wants else None
        try:
            await self.fate.over.wait()
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.wait([listening])

    def _fail(self, problem: BaseException) -> None:
        for cause in _causes(problem):
            if isinstance(cause, ToolError):
                self._refuse(cause)
                return
        if isinstance(problem, TimeoutError) and not self._ready.done():
            self.fate.end(f"it did not answer within {self._bounds.start:g} s of its start")
        words = visible("; ".join(str(cause) for cause in _causes(problem))[:_LONGEST_WORDS])
        log.warning("an MCP server failed", server=self._name, problem=self.fate.problem, words=words)
        self.fate.end(self.fate.problem or _in_our_words(problem))
        self._refuse(ProxiedServerError(f"the MCP server {self._name} cannot be had: {self.fate.why}"))

    def _refuse(self, problem: ToolError) -> None:
        self.fate.end(str(problem))
        if not self._ready.done():
            self._ready.set_exception(problem)


class _Given:
    """Streams that are open already, as the transport that a client wants; closing them is not its affair."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def __aenter__(self) -> Streams:
        return self._streams

    async def __aexit__(self, *_: object) -> None:
        return


async def _hear(client: Client, begun: Callable[[], None]) -> None:
    """Keep a stream open on which the server tells that its tools changed; `Intake` notes it."""
    # Without it, a list's age decides.
    with contextlib.suppress(Exception):
        async with client.listen(tools_list_changed=True) as news:
            begun()  # what changed before is told by nobody
            async for _ in news:
                pass


def _causes(problem: BaseException) -> list[BaseException]:
    """Return the errors that a group holds, or the one."""
    if isinstance(problem, BaseExceptionGroup):
        return [cause for inner in problem.exceptions for cause in _causes(inner)]
    return [problem]


def _in_our_words(problem: BaseException) -> str:
    """Say what went wrong without a word of the server's."""
    cause = _causes(problem)[0]
    if isinstance(cause, MCPError):
        return f"it answered with error {cause.error.code} when the connection was made"
    if isinstance(cause, ValidationError | ValueError):
        return "it answered with what the protocol does not have"
    if isinstance(cause, HTTPError | OSError | anyio.EndOfStream):
        return "it cannot be reached"
    if isinstance(cause, asyncio.CancelledError):
        return "the connection was given up"
    return f"the connection failed ({type(cause).__name__})"


def _seen(future: "asyncio.Future[Client]") -> None:
    """Take note of an error that nobody may have waited for."""
    if not future.cancelled():
        future.exception()
