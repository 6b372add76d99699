"""What one governed call costs in process, against a bare append of the same bytes to the same kind of file.

The bare append is what any durable log must do: one thread, group commit, synchronous=FULL, one wake-up of
the event loop per batch. It seals, chains, encrypts and decides nothing.

A caller is an agent: it opens a session for every `IN_A_SESSION` calls. What a read gave is taken into the
session's provenance when a later call is traced. The last row is for sessions that saw text from outside:
there, every call is.
"""

import asyncio
import os
import queue
import resource
import sqlite3
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pratique
from benchmarks.table import Row
from pratique.ledger import queries
from pratique.model import Status
from pratique.sessions.session import Session

POLICY = """
[agents.support]
owner = "ana@acme.example"
roles = ["support"]

[[allow]]
id = "support-reads"
to = "support"
tools = ["crm.*"]
taint = "sink"
"""

CALLS = 6000
IN_A_SESSION = 250
RUNS = 3

Work = Callable[[], Awaitable[object]]
Start = Callable[[], AbstractAsyncContextManager[Work]]


@pratique.tool("crm.lookup", tier="read", sources={"*": "authority"})
async def lookup(ctx: pratique.ToolContext, customer: str) -> dict[str, str]:
    """Look a customer up."""
    return {"customer": customer, "name": "Kim", "agent": ctx.agent}


class BareAppender:
    """A thread that appends bytes to SQLite, many waiting callers per transaction."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, bytes, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def append(self, body: bytes, values: bytes) -> None:
        """Return once the bytes are on disk."""
        done = self._loop.create_future()
        self._queue.put((body, values, done))
        await done

    def close(self) -> None:
        """Stop the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, body BLOB)")
        connection.execute("CREATE TABLE vault (seq INTEGER PRIMARY KEY, body BLOB)")
        while first := self._queue.get():
            batch = [first]
            while not self._queue.empty() and (item := self._queue.get()):
                batch.append(item)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO records (body) VALUES (?)", [(item[0],) for item in batch])
            connection.executemany("INSERT INTO vault (body) VALUES (?)", [(item[1],) for item in batch])
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_wake, [item[2] for item in batch])
        connection.close()


def _wake(waiting: list["asyncio.Future[None]"]) -> None:
    for future in waiting:
        future.set_result(None)


async def spread(start: Start, callers: int, calls: int = CALLS) -> tuple[float, float]:
    """Return seconds, and seconds of this process's CPU, for `calls` calls by so many callers at once."""

    async def caller() -> None:
        left = calls // callers
        while left > 0:
            async with start() as work:
                for _ in range(min(left, IN_A_SESSION)):
                    await work()
            left -= IN_A_SESSION

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started, time.process_time() - cpu


@pratique.tool("crm.letter", tier="read", sources={"text": "untrusted"})
async def letter(ctx: pratique.ToolContext) -> dict[str, str]:
    """Read what a customer wrote."""
    return {"text": f"Dear {ctx.agent}, please look up what I ordered last week."}


async def _compare(folder: Path) -> list[Row]:
    (folder / "policy.toml").write_text(POLICY)
    settings = pratique.Settings(folder=folder / "ledger", policy=folder / "policy.toml")
    async with pratique.open_runtime(settings, tools=[lookup, letter]) as runtime:

        async def look_up(session: Session) -> None:
            outcome = await session.call("crm.lookup", {"customer": "8821"})
            if outcome.status is not Status.DONE:
                raise RuntimeError(f"what is measured is a call that runs: {outcome.error}")

        @asynccontextmanager
        async def clean() -> AsyncIterator[Work]:
            async with runtime.session(agent="support", user="kim@acme.example") as session:
                yield lambda: look_up(session)

        @asynccontextmanager
        async def exposed() -> AsyncIterator[Work]:
            async with runtime.session(agent="support", user="kim@acme.example") as session:
                await session.call("crm.letter", {})
                yield lambda: look_up(session)

        await spread(clean, 16, 500)
        record = runtime.ledger.read(lambda c: queries.last_records(c, 2))[-2]
        bare = BareAppender(folder / "bare.db")
        body, values = os.urandom(_size(record)), os.urandom(420)

        @asynccontextmanager
        async def append() -> AsyncIterator[Work]:
            yield lambda: bare.append(body, values)

        await spread(append, 16, 500)
        rows = []
        for callers, now, end in ((1, 250, 120), (16, 100, 50)):
            measured = [(await spread(clean, callers), await spread(append, callers)) for _ in range(RUNS)]
            rows += _rows(callers, measured, now, end)
        cpu = sorted([(await spread(exposed, 16))[1] for _ in range(RUNS)])[RUNS // 2] / CALLS * 1e6
        rows.append(
            Row("the same after text from outside, 16 callers", "every call is traced", f"{cpu:.0f} µs", "")
        )
        bare.close()
    return rows


def _size(record: queries.Record) -> int:
    import orjson  # noqa: PLC0415  # only here

    return len(orjson.dumps(record))


def _rows(
    callers: int, measured: list[tuple[tuple[float, float], tuple[float, float]]], now: int, end: int
) -> list[Row]:
    middle = len(measured) // 2
    ours, bare = (sorted(pair[side][0] for pair in measured)[middle] for side in (0, 1))
    cpu, bare_cpu = (sorted(pair[side][1] for pair in measured)[middle] / CALLS * 1e6 for side in (0, 1))
    ratio = sorted(pair[1][0] / pair[0][0] for pair in measured)[middle]
    who = f"{callers} caller{'s' if callers > 1 else ''}"
    rows = [
        Row(
            f"CPU per governed read, {who}",
            f"{cpu:.0f} µs, bare append {bare_cpu:.0f} µs",
            f"{cpu:.0f} µs",
            f"{now} µs now, {end} µs in the end",
            cpu <= now,
        )
    ]
    if callers > 1:
        rows.append(
            Row(
                f"governed reads per second, {who}, against a bare append",
                f"{CALLS / ours:,.0f}/s of {CALLS / bare:,.0f}/s",
                f"{ratio:.2f}",
                "0.5 now, 0.75 in the end",
                ratio >= 0.5,
            )
        )
    return rows


async def _memory(folder: Path, calls: int) -> Row:
    (folder / "policy.toml").write_text(POLICY)
    settings = pratique.Settings(folder=folder / "ledger", policy=folder / "policy.toml")
    runtime = pratique.open_runtime(settings, tools=[lookup])
    async with runtime, runtime.session(agent="support", user="kim@acme.example") as session:

        @asynccontextmanager
        async def governed() -> AsyncIterator[Work]:
            yield lambda: session.call("crm.lookup", {"customer": "8821"})

        await spread(governed, 64, 6400)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await spread(governed, 64, calls)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (after - before) / 1024
    return Row(
        f"peak memory, {calls:,} calls in one session",
        f"{after / 1024:.0f} MB in all",
        f"+{grown:.1f} MB",
        "does not grow",
        grown < 20,
    )


def rows(*, quick: bool = False) -> list[Row]:
    """Measure, and return the table's rows."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = asyncio.run(_compare(Path(folder)))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found.append(asyncio.run(_memory(Path(folder), 10_000 if quick else 100_000)))
    return found
