"""What the ledger does with a disk, and what verification does with a processor.

The disk's own rate is append and fdatasync of the same bytes, one after the other, in the same folder and
run.
"""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.calls import Work, spread
from benchmarks.table import Row
from pratique.audit.chain import verify_chain
from pratique.audit.record import GENESIS, seal
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry

DRAFT = {
    "type": "call.outcome",
    "session": "s_0123456789abcdef",
    "call_id": "c_0123456789abcdef",
    "ticket": "",
    "reasons": ["x" * 480],
}
RECORDS = 100_000


def disk_rate(folder: Path, size: int, seconds: float = 1.0) -> float:
    """Return how often per second this disk appends and syncs `size` bytes."""
    handle = os.open(folder / "disk", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    body, count = os.urandom(size), 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        os.write(handle, body)
        os.fdatasync(handle)
        count += 1
    took = time.perf_counter() - started
    os.close(handle)
    return count / took


async def _append(folder: Path) -> list[Row]:
    rows = []
    with Ledger(folder / "ledger") as ledger:

        @asynccontextmanager
        async def commit() -> AsyncIterator[Work]:
            yield lambda: ledger.commit(Entry((DRAFT,)))

        await spread(commit, 16, 1000)
        for callers, budget in ((1, None), (16, 10), (256, 25)):
            disk = disk_rate(folder, 813)
            calls = 2000 if callers == 1 else 12_000
            seconds, _ = await spread(commit, callers, calls)
            ratio = calls / seconds / disk
            rows.append(
                Row(
                    f"ledger, {callers} callers, against the disk's append and sync",
                    f"{calls / seconds:,.0f}/s, disk {disk:,.0f}/s",
                    f"{ratio:.1f} times",
                    f"{budget} times" if budget else "",
                    ratio >= budget if budget else None,
                )
            )
    return rows


def _verify(records: int) -> Row:
    stored, prev = [], GENESIS
    for seq in range(1, records + 1):
        sealed = seal(DRAFT, log="log_0", seq=seq, prev=prev, ts_us=seq)
        stored.append((seq, sealed.leaf, sealed.body))
        prev = sealed.leaf
    started = time.perf_counter()
    for _, _, body in stored:
        hashlib.sha256(body).digest()
    raw = time.perf_counter() - started
    started = time.perf_counter()
    report = verify_chain(stored, "log_0")
    took = time.perf_counter() - started
    assert report.records == records
    return Row(
        "chain verification, against raw SHA-256 of the same bytes",
        f"{records / took:,.0f}/s, raw {records / raw:,.0f}/s",
        f"{raw / took:.2f}",
        "0.33",
        raw / took >= 0.33,
    )


def rows(*, quick: bool = False) -> list[Row]:
    """Measure, and return the table's rows."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = asyncio.run(_append(Path(folder)))
    return [*found, _verify(RECORDS // 10 if quick else RECORDS)]
