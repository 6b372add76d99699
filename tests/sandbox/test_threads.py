"""One agent's slow tools take half of the tools' threads at most, and none of those that people use."""

import asyncio
import threading

import anyio.to_thread

from pratique.sandbox import threads
from pratique.sandbox.threads import MOST, SHARE, in_thread


class Slow:
    """Work that ends when it is let go; says how many are at it."""

    def __init__(self) -> None:
        self.go, self.at_it = threading.Event(), threading.Semaphore(0)

    def work(self) -> None:
        self.at_it.release()
        assert self.go.wait(30)

    async def begun(self, count: int) -> None:
        """Wait until so many are at it."""
        for _ in range(count):
            await anyio.to_thread.run_sync(lambda: self.at_it.acquire(timeout=30))


async def run_for(agent: str, slow: Slow) -> None:
    threads.agent.set(agent)
    await in_thread(slow.work)


async def test_one_agent_has_half_of_the_threads_and_the_others_the_rest() -> None:
    slow, quick = Slow(), Slow()
    quick.go.set()
    tasks = [asyncio.create_task(run_for("a", slow)) for _ in range(MOST + 20)]
    try:
        await slow.begun(SHARE)
        async with asyncio.timeout(20):
            await asyncio.create_task(run_for("b", quick))
        assert not slow.at_it.acquire(blocking=False)
    finally:
        slow.go.set()
        await asyncio.gather(*tasks)


async def test_all_tools_together_leave_people_their_threads() -> None:
    slow = Slow()
    tasks = [asyncio.create_task(run_for(agent, slow)) for agent in "abc" for _ in range(MOST)]
    try:
        await slow.begun(MOST)
        assert not slow.at_it.acquire(blocking=False)
        async with asyncio.timeout(20):
            assert await anyio.to_thread.run_sync(lambda: "a vote") == "a vote"
    finally:
        slow.go.set()
        await asyncio.gather(*tasks)
