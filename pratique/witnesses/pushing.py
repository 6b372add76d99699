"""Hands checkpoints to witnesses, in a thread of its own: calls never wait for it.

Rules:
- Only the newest checkpoint is pushed: it vouches for all before it.
- What fails is tried again, after twice as long each time, at most every ten minutes; how it stands is in the
  table `witness_tries`, and `pratique audit witnesses` shows it.
- Closing tries each witness once more, and waits a bounded time.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Connection, Table, func, select

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import consistency_proof
from pratique.errors import LedgerError, PratiqueError, WitnessError
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import driver_of
from pratique.ledger.sequencer import Entry
from pratique.ledger.tree import StoredTree
from pratique.ledger.verification import Claim
from pratique.witnesses.kinds import Evidence, Witness

LONGEST_PAUSE: Final = 600.0
CLOSING_SECONDS: Final = 15.0

log = structlog.get_logger("pratique")


class Standing(NamedTuple):
    """How it stands with a witness: the size it holds, and the last error, if the last try failed."""

    witness: str
    size: int
    error: str
    failures: int
    ts_us: int


class Pusher:
    """Pushes each new checkpoint of a ledger to every witness.

    Args:
        ledger: whose checkpoints.
        witnesses: who gets them.
        pause: seconds before the first repetition.
    """

    def __init__(self, ledger: Ledger, witnesses: Sequence[Witness], pause: float = 2.0) -> None:
        self._ledger, self._witnesses, self._pause = ledger, witnesses, pause
        self._wake = threading.Event()
        self._closing = False
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name="pratique-witnesses", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a new checkpoint."""
        self._wake.set()

    def close(self) -> None:
        """Try everybody once more, and end."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSING_SECONDS)

    def _work(self) -> None:
        while True:
            for witness in self._witnesses:
                if self._closing or self._due.get(witness.name, 0.0) <= time.monotonic():
                    self._try(witness)
            if self._closing:
                return
            soonest = min([due for due in self._due.values() if due], default=None)
            self._wake.wait(None if soonest is None else max(0.0, soonest - time.monotonic()))
            self._wake.clear()

    def _try(self, witness: Witness) -> None:
        try:
            push_newest(self._ledger, witness)
        except (PratiqueError, OSError) as problem:
            failures = self._failures[witness.name] = self._failures.get(witness.name, 0) + 1
            pause = min(LONGEST_PAUSE, self._pause * 2 ** min(failures - 1, 20))
            self._due[witness.name] = time.monotonic() + pause
            log.warning("witness failed", witness=witness.name, failures=failures, problem=str(problem))
        else:
            self._failures.pop(witness.name, None)
            self._due[witness.name] = 0.0


def accompany(ledger: Ledger, witnesses: Sequence[Witness]) -> None:
    """Push every checkpoint of the ledger to the witnesses for as long as it is open."""
    if witnesses:
        pusher = Pusher(ledger, witnesses)
        ledger.checkpoints.listener = pusher.wake
        ledger.accompany(pusher)


def push_newest(ledger: Ledger, witness: Witness) -> int:
    """Hand the newest checkpoint over, if the witness lacks it; record how that went; return its size.

    Raises:
        WitnessError: it did not take it.
        LedgerError: the ledger cannot be read or written.
    """
    found = ledger.read(lambda connection: _newest(connection, witness.name))
    if found is None:
        return 0
    signed, old, failures = found
    size = signed.checkpoint.size
    if old >= size:
        return size
    try:
        answer = witness.push(signed, old, lambda before, after: _proof(ledger, before, after))
    except (WitnessError, LedgerError) as problem:
        _note(ledger, witness.name, old, str(problem), failures + 1)
        raise
    row = {"witness": witness.name, "size": size, "evidence": answer, "ts_us": ledger.clock()}
    _note(ledger, witness.name, size, "", 0, (t.witnessed, row))
    return size


def held(connection: Connection, witnesses: Sequence[Witness]) -> tuple[list[Claim], list[str]]:
    """Return what witnesses verifiably hold, and what could not be read or is forged, in one line each."""
    claims, problems = [], []
    for witness in witnesses:
        rows = connection.execute(
            select(t.checkpoints.c.note, t.witnessed.c.evidence)
            .join(t.witnessed, t.witnessed.c.size == t.checkpoints.c.size)
            .where(t.witnessed.c.witness == witness.name)
            .order_by(t.witnessed.c.size.desc())
            .limit(1)
        )
        try:
            claims += witness.held([Evidence(SignedCheckpoint.parse(row.note), row.evidence) for row in rows])
        except PratiqueError as problem:
            problems.append(f"{witness.name}: {problem}")
    return claims, problems


def standings(connection: Connection) -> list[Standing]:
    """Return how it stands with every witness that was tried."""
    rows = connection.execute(select(t.witness_tries).order_by(t.witness_tries.c.witness))
    return [Standing(row.witness, row.size, row.error, row.failures, row.ts_us) for row in rows]


def _newest(connection: Connection, witness: str) -> tuple[SignedCheckpoint, int, int] | None:
    note = connection.execute(
        select(t.checkpoints.c.note).order_by(t.checkpoints.c.size.desc()).limit(1)
    ).scalar()
    if note is None:
        return None
    chosen = select(func.max(t.witnessed.c.size)).where(t.witnessed.c.witness == witness)
    tried = select(t.witness_tries.c.failures).where(t.witness_tries.c.witness == witness)
    failures = connection.execute(tried).scalar() or 0
    return SignedCheckpoint.parse(note), connection.execute(chosen).scalar() or 0, failures


def _proof(ledger: Ledger, before: int, after: int) -> tuple[bytes, ...]:
    return ledger.read(lambda connection: consistency_proof(before, after, StoredTree(driver_of(connection))))


def _note(
    ledger: Ledger, witness: str, size: int, error: str, failures: int, *more: tuple[Table, Mapping[str, Any]]
) -> None:
    row = {"size": size, "error": error[:500], "failures": failures, "ts_us": ledger.clock()}
    ledger.commit_now(Entry((), rows=((t.witness_tries, {"witness": witness, **row}), *more)))
