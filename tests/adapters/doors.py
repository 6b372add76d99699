"""The doors that a framework's session comes through: in process, over HTTP, over MCP's own HTTP."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2

from pratique import client
from pratique.runtime import Runtime
from pratique.tools.declaration import Tool
from tests.house import House
from tests.server.front import BASE, Front, front_of

KIM = "kim@acme.example"


class Door(ABC):
    """A runtime, and the one session of a test. A restart ends the process that held both.

    Args:
        house: where the ledger is.
    """

    runtime: Runtime

    def __init__(self, house: House) -> None:
        self.house = house
        self._open = AsyncExitStack()

    @abstractmethod
    async def enter(self, tools: Iterable[Tool] = ()) -> Any:
        """Start the process and open a session."""

    @abstractmethod
    async def restart(self) -> Any:
        """Start another process, and go on with the session."""

    async def leave(self) -> None:
        """End the process."""
        await self._open.aclose()
        self._open = AsyncExitStack()


class InProcess(Door):
    """`runtime.open_session`."""

    async def enter(self, tools: Iterable[Tool] = ()) -> Any:
        self.runtime = await self._open.enter_async_context(self.house.runtime(tools=tools))
        session = await self.runtime.open_session(agent="support", user=KIM)
        self._session = session.id
        return session

    async def restart(self) -> Any:
        await self.leave()
        self.runtime = await self._open.enter_async_context(self.house.runtime())
        return await self.runtime.resume_session(self._session)


class OverHTTP(Door):
    """`client.connect`, with the application behind it in this process."""

    _front: Front

    async def enter(self, tools: Iterable[Tool] = ()) -> Any:
        await self._start(tools)
        self._key = self._front.key().text
        session = await (await self._connect()).open_session(agent="support", user=KIM)
        self._session = session.id
        return session

    async def restart(self) -> Any:
        await self.leave()
        await self._start()
        return await (await self._connect()).resume_session(self._session)

    async def _start(self, tools: Iterable[Tool] = ()) -> None:
        self._front = await self._open.enter_async_context(front_of(self.house.runtime(tools=tools)))
        self.runtime = self._front.runtime

    async def _connect(self) -> client.Client:
        transport = httpx2.ASGITransport(app=self._front.app, raise_app_exceptions=False)
        return await self._open.enter_async_context(client.connect(BASE, self._key, transport=transport))


class StreamableHTTP(Door):
    """`/mcp`: the server finds the session by the key, the user and the run."""

    _front: Front

    async def enter(self, tools: Iterable[Tool] = ()) -> Any:
        await self._start(tools)
        self._key = self._front.key(acts_for=[KIM])
        return self

    async def restart(self) -> Any:
        await self.leave()
        await self._start()
        return self

    async def _start(self, tools: Iterable[Tool] = ()) -> None:
        self._front = await self._open.enter_async_context(front_of(self.house.runtime(tools=tools)))
        await self._open.enter_async_context(_kept(self._front.app.router.lifespan_context(self._front.app)))
        self.runtime = self._front.runtime

    @asynccontextmanager
    async def connected(self, era: str, **options: Any) -> AsyncIterator[Any]:
        """Give a client of it."""
        from mcp import Client  # noqa: PLC0415  # not every environment of the tests has the extra
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415  # as above

        http = self._front.agent(self._key)
        there = streamable_http_client(f"{BASE}/mcp", http_client=http)
        async with Client(there, mode=era, **options) as made:
            yield made


@asynccontextmanager
async def _kept(lifespan: AbstractAsyncContextManager[Any]) -> AsyncIterator[None]:
    """Begin and end it in a task of its own, as a server does: a test may end in another than it began in."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with lifespan:
            begun.set()
            await ended.wait()

    task = asyncio.create_task(keep())
    await begun.wait()
    try:
        yield
    finally:
        ended.set()
        await task


DOORS: dict[str, type[Door]] = {
    "in process": InProcess,
    "over HTTP": OverHTTP,
    "Streamable HTTP": StreamableHTTP,
}
