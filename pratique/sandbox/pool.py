"""Keeps single-use workers ready: one is taken, another is started in its place.

Rules:
- A worker is given out once. One that died while it waited is replaced, never given out.
- At most `most` are out at a time; who comes later waits, first come first served.
- Starting happens behind the caller's back, and a moment later, so that it does not take the processor from
  the call that just took a worker. When it fails, the caller who needs a worker is told why.
- Closing kills what waits and waits for what starts.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import anyio

from pratique.errors import SandboxUnavailableError


class Worker(Protocol):
    """What a pool needs to know of its workers."""

    def alive(self) -> bool:
        """Whether it still waits for its work."""
        ...

    async def aclose(self) -> None:
        """Kill it. A second call does nothing."""
        ...


W = TypeVar("W", bound=Worker)

_DELAY = 0.015  # seconds: longer than a short call, shorter than the start of a worker


class Pool(Generic[W]):
    """Workers of one kind, for one event loop.

    Args:
        start: starts one; raises SandboxUnavailableError when the machine refuses.
        warm: how many wait for work.
        most: how many may be at work.
    """

    def __init__(self, start: Callable[[], Awaitable[W]], *, warm: int, most: int) -> None:
        self._start = start
        self._warm = warm
        self._out = asyncio.Semaphore(most)
        self._ready: deque[W] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def ready(self) -> int:
        """How many wait for work now."""
        return len(self._ready)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[W]:
        """Give out one worker; it is dead when the block ends.

        Raises:
            SandboxUnavailableError: none can be started, or the pool is closed.
        """
        async with self._out:
            worker = await self._take()
            try:
                yield worker
            finally:
                with anyio.CancelScope(shield=True):
                    await worker.aclose()
                self._refill()

    async def fill(self) -> None:
        """Start workers until enough are warm, and wait for them.

        Raises:
            SandboxUnavailableError: the first one cannot be started.
        """
        if self._warm and not self._ready:
            self._ready.append(await self._started())
        self._refill()
        while self._starting:
            await asyncio.wait(self._starting)

    async def aclose(self) -> None:
        """Kill every worker that waits. A second call does nothing."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            for task in self._starting:
                task.cancel()
            if self._starting:
                await asyncio.wait(self._starting)
            while self._ready:
                await self._ready.pop().aclose()

    async def _take(self) -> W:
        while self._ready:
            worker = self._ready.popleft()
            if worker.alive():
                asyncio.get_running_loop().call_later(_DELAY, self._refill)
                return worker
            with anyio.CancelScope(shield=True):
                await worker.aclose()
        worker = await self._started()
        asyncio.get_running_loop().call_later(_DELAY, self._refill)
        return worker

    async def _started(self) -> W:
        if self._closed:
            raise SandboxUnavailableError("the pool of workers is closed")
        return await self._start()

    def _refill(self) -> None:
        """Start what is missing. It is tried again at the next taking, so a failure needs no retry here."""
        while not self._closed and len(self._ready) + len(self._starting) < self._warm:
            task = asyncio.create_task(self._add())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _add(self) -> None:
        with contextlib.suppress(SandboxUnavailableError):
            worker = await self._started()
            if self._closed:
                await worker.aclose()
            else:
                self._ready.append(worker)
