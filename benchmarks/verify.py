"""What proof costs: verifying a long log, by one process and two; proofs out of it; checkpoints meanwhile.

Every ratio's two sides are measured in one run: raw SHA-256 hashes the same records' bytes, one call each,
and appends without checkpoints go to a ledger whose tree does not grow.
"""

import asyncio
import hashlib
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.calls import spread
from benchmarks.table import Row
from pratique.audit.merkle import consistency_proof, inclusion_proof
from pratique.audit.record import GENESIS, seal
from pratique.ledger.checkpoints import Cadence, Checkpoints
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import driver_of, read_only, reading
from pratique.ledger.scan import scan_file
from pratique.ledger.sequencer import Entry, Sequencer
from pratique.ledger.tree import StoredTree, grow

RECORDS = 1_000_000
DRAFT = {
    "type": "call.outcome",
    "session": "s_0123456789abcdef",
    "call_id": "c_0123456789abcdef",
    "ticket": "",
    "reasons": ["x" * 574],
}
_APPEND = "INSERT INTO records (seq, type, session, call, leaf, body) VALUES (?, ?, ?, ?, ?, ?)"


def fill(folder: Path, records: int) -> Path:
    """Make a ledger of so many records, tree and one checkpoint included."""
    with Ledger(folder) as ledger:
        path, name = ledger.path, ledger.log
    prev, start, tail = GENESIS, 1, list[bytes]()
    with closing(sqlite3.connect(path, isolation_level=None)) as driver:
        driver.execute("PRAGMA synchronous=OFF")
        while start <= records:
            driver.execute("BEGIN")
            rows = []
            last = min(start + 25_600, records + 1)
            for seq in range(start, last):
                sealed = seal(DRAFT, log=name, seq=seq, prev=prev, ts_us=seq)
                rows.append(
                    (seq, "call.outcome", DRAFT["session"], DRAFT["call_id"], sealed.leaf, sealed.body)
                )
                prev = sealed.leaf
            driver.executemany(_APPEND, rows)
            tail = grow(driver, (start - 1) >> 8, [*tail, *(row[4] for row in rows)])
            driver.execute("COMMIT")
            start = last
    with Ledger(folder) as ledger:
        ledger.commit_now(Entry((), checkpoint=True))
    return path


def timed(what: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    what()
    return clock() - started


def raw(path: Path, records: int) -> float:
    """Return the processor seconds that SHA-256 alone takes over the same bytes, already in memory."""
    took, at = 0.0, 0
    with reading(path) as connection:
        while at < records:
            rows = driver_of(connection).execute(
                "SELECT body FROM records WHERE seq > ? ORDER BY seq LIMIT 50000", (at,)
            )
            bodies = [body for (body,) in rows]
            started = time.process_time()
            for body in bodies:
                hashlib.sha256(body).digest()
            took += time.process_time() - started
            at += len(bodies)
    return took


def hashed(path: Path, records: int, processes: int) -> float:
    """Return the seconds that verification's pass over every record takes, its tree included.

    Of one process its processor time, which other work on the machine does not lengthen; of more, the wall's.
    """
    with reading(path) as connection:
        driver = driver_of(connection)

        def scan() -> None:
            assert scan_file(read_only(path), driver, 0, records, lambda _: None, processes).sound

        return timed(scan, time.process_time if processes == 1 else time.perf_counter)


def together(path: Path, records: int) -> tuple[float, float]:
    """Return the seconds that two processes take by the clock, and half of their processor time and ours.

    The clock says how it went on this machine with whatever else ran on it; the other, what two free cores
    would make of it.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    wall = hashed(path, records, 2)
    after = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    theirs = sum(after[0][:2]) - sum(before[0][:2])
    return wall, theirs / 2 + after[1] - before[1]


def peak(path: Path, records: int) -> float:
    """Return how many megabytes that pass adds to a fresh process."""
    code = (
        "import resource, sys; from benchmarks.verify import hashed; from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "hashed(Path(sys.argv[1]), int(sys.argv[2]), 1)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run(  # noqa: S603  # this interpreter, our own code
        [sys.executable, "-c", code, str(path), str(records)], capture_output=True, check=True
    )
    return float(done.stdout)


def _speed(path: Path, records: int) -> list[Row]:
    pairs = [(raw(path, records), hashed(path, records, 1)) for _ in range(3)]
    base, one = (statistics.median(column) for column in zip(*pairs, strict=True))
    alone = statistics.median(timed(partial(hashed, path, records, 1)) for _ in range(3))
    turns = [together(path, records) for _ in range(3)]
    two, share = (statistics.median(column) for column in zip(*turns, strict=True))
    small, large = peak(path, records // 10), peak(path, records)
    return [
        Row(
            f"hashing {records:,} stored records into their tree, against raw SHA-256 of the same bytes",
            f"{records / one:,.0f}/s, raw {records / base:,.0f}/s",
            f"{base / one:.2f}",
            "0.33",
            base / one >= 0.33,
        ),
        Row(
            "the same by two processes: one's processor time against half of theirs",
            f"on this clock {records / two:,.0f}/s, one {records / alone:,.0f}/s",
            f"{one / share:.2f} times",
            "1.6 times",
            one / share >= 1.6,
        ),
        Row(
            "memory that it adds: a tenth of them, all of them",
            f"{small:.1f} MB, {large:.1f} MB",
            f"{large - small:.1f} MB",
            "10 MB",
            large - small < 10,
        ),
    ]


def _proofs(path: Path, records: int) -> list[Row]:
    with reading(path) as connection:
        driver = driver_of(connection)
        places = [(records * n) // 101 for n in range(1, 100)]
        included = [timed(partial(inclusion_proof, at, records, StoredTree(driver))) for at in places]
        grown = [timed(partial(consistency_proof, at, records, StoredTree(driver))) for at in places]
    return [
        Row(
            f"{name} proof at {records:,} records, median",
            "",
            f"{1000 * statistics.median(found):.1f} ms",
            "10 ms",
            statistics.median(found) < 0.01,
        )
        for name, found in (("inclusion", included), ("consistency", grown))
    ]


class NoProof(Checkpoints):
    """Neither tree nor signature: what appends cost without them."""

    def appended(self, *_: Any, **__: Any) -> None:
        """Do nothing."""


async def _appending(folder: Path, records: int, *, proof: bool) -> float:
    """Return the seconds of processor time per append, with 256 callers at once."""
    with Ledger(folder, cadence=Cadence(1024, 3600)) as ledger:
        if not proof:
            ledger._sequencer.close()  # noqa: SLF001  # the same sequencer, without the tree
            made = NoProof(ledger.log, ledger.keys)
            ledger._sequencer = Sequencer(ledger._writing, ledger.path, ledger.log, ledger.clock, made)  # noqa: SLF001

        async def commit() -> object:
            return await ledger.commit(Entry((DRAFT,)))

        @asynccontextmanager
        async def caller() -> AsyncIterator[Callable[[], Awaitable[object]]]:
            yield commit

        await spread(caller, 256, 2_560)
        _, seconds = await spread(caller, 256, records)
        return seconds / records


def _checkpoints(folder: Path, records: int) -> Row:
    costs = []
    for turn in range(7):
        without = asyncio.run(_appending(folder / f"{turn}a", records, proof=False))
        with_ = asyncio.run(_appending(folder / f"{turn}b", records, proof=True))
        costs.append((without, with_))
    without, with_ = (statistics.median(column) for column in zip(*costs, strict=True))
    added = statistics.median(after / before for before, after in costs) - 1
    return Row(
        "tree and checkpoints, against appends without them: processor time, 256 callers",
        f"{1e6 * with_:.1f} µs, {1e6 * without:.1f} µs",
        f"{100 * added:+.1f} %",
        "+5 %",
        added < 0.05,
    )


def rows(*, quick: bool = False) -> list[Row]:
    """Measure, and return the table's rows."""
    records = RECORDS // 20 if quick else RECORDS
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = fill(Path(folder) / "long", records)
        found = [*_speed(path, records), *_proofs(path, records)]
        path.unlink()
        found.append(_checkpoints(Path(folder), 5_120 if quick else 25_600))
    return found
