"""Promise: a worker is given out once and alive; what fails or is closed is told, and nothing is left."""

import asyncio
import contextlib

import pytest

from pratique.errors import SandboxUnavailableError
from pratique.sandbox.pool import Pool


class FakeWorker:
    """A worker that does nothing but live and die."""

    def __init__(self) -> None:
        self.living = True
        self.uses = 0

    def alive(self) -> bool:
        return self.living

    async def aclose(self) -> None:
        self.living = False


class Factory:
    """Starts workers, or refuses to."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.refuses = False

    async def start(self) -> FakeWorker:
        await asyncio.sleep(0)
        if self.refuses:
            raise SandboxUnavailableError("no more")
        self.made.append(FakeWorker())
        return self.made[-1]

    @property
    def living(self) -> int:
        return sum(worker.living for worker in self.made)


async def settle(pool: Pool[FakeWorker]) -> None:
    await asyncio.sleep(0.03)
    await pool.fill()


async def test_a_worker_is_given_out_once_and_replaced() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=2, most=4)
    await pool.fill()
    assert pool.ready == 2
    seen = []
    for _ in range(5):
        async with pool.worker() as worker:
            assert worker.living
            seen.append(worker)
        assert not worker.living
    assert len(set(map(id, seen))) == 5
    await settle(pool)
    assert pool.ready == 2
    await pool.aclose()
    assert factory.living == 0


async def test_a_worker_that_died_while_it_waited_is_not_given_out() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=2, most=4)
    await pool.fill()
    for worker in factory.made:
        worker.living = False
    async with pool.worker() as worker:
        assert worker.living
    await pool.aclose()


async def test_no_more_than_so_many_are_out_and_who_waits_is_served() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=0, most=3)
    out = most = 0

    async def use() -> None:
        nonlocal out, most
        async with pool.worker():
            out += 1
            most = max(most, out)
            await asyncio.sleep(0.001)
            out -= 1

    await asyncio.gather(*(use() for _ in range(50)))
    assert (most, factory.living) == (3, 0)
    await pool.aclose()


async def test_a_refusal_is_told_to_who_needs_a_worker_and_to_nobody_else() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=1, most=2)
    await pool.fill()
    factory.refuses = True
    async with pool.worker():
        pass
    await asyncio.sleep(0.03)
    with pytest.raises(SandboxUnavailableError, match="no more"):
        async with pool.worker():
            pass
    factory.refuses = False
    async with pool.worker():
        pass
    await pool.aclose()


async def test_a_failing_user_and_a_cancelled_one_give_their_place_back() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=0, most=1)
    with contextlib.suppress(RuntimeError):
        async with pool.worker():
            raise RuntimeError
    holder = asyncio.create_task(_hold(pool))
    await asyncio.sleep(0.01)
    waiter = asyncio.create_task(_hold(pool))
    await asyncio.sleep(0.01)
    for task in (waiter, holder):
        task.cancel()
    await asyncio.wait([holder, waiter])
    async with pool.worker() as worker:
        assert worker.living
    assert factory.living == 0
    await pool.aclose()


async def test_a_closed_pool_starts_nothing() -> None:
    factory = Factory()
    pool = Pool(factory.start, warm=1, most=1)
    await pool.fill()
    await pool.aclose()
    await pool.aclose()
    with pytest.raises(SandboxUnavailableError, match="closed"):
        async with pool.worker():
            pass
    assert factory.living == 0


async def _hold(pool: Pool[FakeWorker]) -> None:
    async with pool.worker():
        await asyncio.sleep(60)
