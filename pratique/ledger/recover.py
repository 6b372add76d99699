"""What went wrong with a log: found, named, and, when somebody says so, recorded and gone on from.

What is held against the log, and what it shows:
- the last checkpoint signed here (`keys/signed`), and the heads that dead writers acknowledged (`writers/`):
  what of it the log does not contain was **lost** (its write-ahead log is gone), or this is another copy;
- the file itself: what cannot be read is **torn**; it is cut to the last whole record.

Time that went back is recorded by whoever writes first (`clock`); calls that were begun and not ended, at the
next start (`unknown`).

Rules:
- To look changes nothing. To recover takes a name and a reason, appends `recovery`, and keeps what was
  damaged.
- Nothing here repairs a chain that was changed: that is no accident, and it is evidence.
- While another process writes, nothing is recovered.
- If folder and file were put back together, nothing here shows it: only what is held elsewhere does.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection

from pratique.audit import drafts
from pratique.audit.chain import Break, Verdict
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import root_of
from pratique.errors import ForkError, LedgerError, LedgerUnavailableError, RecoveryRefusedError
from pratique.ledger.door import Clock, Ledger, wall_clock
from pratique.ledger.keys import SIGNED, last_signed
from pratique.ledger.readonly import driver_of, read_only
from pratique.ledger.salvage import salvage, whole_prefix
from pratique.ledger.sequencer import Entry, Receipt
from pratique.ledger.tree import StoredTree
from pratique.ledger.verification import verify_file
from pratique.ledger.writers import noted
from pratique.model import Value


class Kind(StrEnum):
    """What went wrong."""

    TORN = "torn"
    LOST = "lost"
    CHANGED = "changed"
    BUSY = "busy"


class Finding(Value):
    """One thing that is wrong with a ledger.

    Attributes:
        kind: what; only `torn` and `lost` can be recovered from, `busy` says that somebody is writing.
        problem: in one line.
        evidence: what shows it: the text of a checkpoint, or `writer seq:leaf`.
        upto: how far the evidence says that the log went; 0 when it does not.
        remedy: what `recover` would do about it, in one line.
    """

    kind: Kind
    problem: str
    evidence: str
    upto: int
    remedy: str


class Diagnosis(Value):
    """What is wrong with a ledger, and how much of it stands.

    Attributes:
        records: how many records stand.
        findings: what is wrong.
    """

    records: int
    findings: tuple[Finding, ...]

    @property
    def recoverable(self) -> bool:
        """Whether there is something to do, and nothing that forbids it."""
        kinds = {finding.kind for finding in self.findings}
        return bool(kinds) and kinds <= {Kind.TORN, Kind.LOST}


def diagnose(folder: Path) -> Diagnosis:
    """Return what is wrong with the ledger in a folder. Nothing is changed.

    Raises:
        LedgerUnavailableError: there is none.
    """
    path = folder / "ledger.db"
    if not path.is_file():
        raise LedgerUnavailableError(f"{path}: there is no such file")
    try:
        with closing(sqlite3.connect(read_only(path), uri=True, isolation_level=None)) as driver:
            driver.execute("BEGIN")
            records = _head(driver)[0]
            _readable(driver)
            lost = list(_lost(folder, driver, records))
    except sqlite3.DatabaseError as problem:
        stands = whole_prefix(path)
        return Diagnosis(records=stands, findings=(*_busy(folder), _torn(stands, str(problem))))
    report = verify_file(path)
    if report.verdict is Verdict.BROKEN and report.kind not in {Break.CUT, Break.REWRITTEN}:
        lost = [_changed(report.problem, report.broken_at or 0)]
    return Diagnosis(records=records, findings=(*_busy(folder), *lost))


def demand_whole(ledger: Ledger) -> None:
    """Stop before anything is written to a log that lost records, or is another copy.

    Raises:
        ForkError: it did, or is; the message says what shows it and what to do.
    """

    def look(connection: Connection) -> list[Finding]:
        driver = driver_of(connection)
        return list(_lost(ledger.path.parent, driver, _head(driver)[0], besides=ledger.writer.id))

    findings = ledger.read(look)
    if findings:
        raise ForkError(f"{findings[0].problem}; look at it with `pratique audit recover`")


def recover(folder: Path, by: str, reason: str, clock: Clock = wall_clock) -> Receipt:
    """Go on from what stands, and record what was lost, how that is known, who says so and why.

    Args:
        folder: the ledger's.
        by: who, as their login says.
        reason: why.
        clock: gives the time, microseconds since the epoch.

    Raises:
        RecoveryRefusedError: there is nothing to recover from, or what is wrong is no accident.
        LedgerError: it cannot be written.
    """
    found = diagnose(folder)
    if not found.recoverable:
        first = next(iter(found.findings), None)
        raise RecoveryRefusedError(first.remedy if first else "nothing is wrong: there is nothing to recover")
    if not reason.strip():
        raise RecoveryRefusedError("say why: the record is what is left to explain it")
    torn = next((finding for finding in found.findings if finding.kind is Kind.TORN), None)
    aside = salvage(folder) if torn is not None else {}
    with contextlib.ExitStack() as stack:
        signed = last_signed(folder / "keys")
        ledger = stack.enter_context(Ledger(folder, clock=clock))
        lost = found.findings if torn is None else (*found.findings, *_lost_of(ledger))
        draft = drafts.recovered(
            "torn" if torn is not None else "lost",
            kept=found.records,
            upto=max(finding.upto for finding in lost),
            evidence=[finding.evidence for finding in lost if finding.evidence],
            by=by,
            reason=reason[:1000],
            **aside,
        )
        _set_aside(folder, signed, found.records)
        done = ledger.commit_now(Entry(drafts=(draft,), checkpoint=True))
        ledger.writer.sweep()
    if not isinstance(done, Receipt):
        raise RecoveryRefusedError(done.why)
    return done


def _lost_of(ledger: Ledger) -> list[Finding]:
    def look(connection: Connection) -> list[Finding]:
        driver = driver_of(connection)
        return list(_lost(ledger.path.parent, driver, _head(driver)[0], besides=ledger.writer.id))

    return ledger.read(look)


def _lost(folder: Path, driver: sqlite3.Connection, records: int, besides: str = "") -> Iterator[Finding]:
    """Yield what was acknowledged or signed and is not in this log."""
    signed = last_signed(folder / "keys")
    if signed is not None and not _contains(driver, signed, records):
        size = signed.checkpoint.size
        yield _missing(records, size, f"a checkpoint of {size} records was signed here", str(signed.note))
    for writer, (seq, leaf, alive) in noted(folder / "writers").items():
        if writer == besides or alive or seq == 0:
            continue
        row = driver.execute("SELECT leaf FROM records WHERE seq = ?", (seq,)).fetchone()
        dropped = row is None and seq < _first(driver)
        if not dropped and (row is None or row[0].hex() != leaf):
            why = f"the process {writer} acknowledged record {seq}"
            yield _missing(records, seq, why, f"{writer} {seq}:{leaf}")


def _missing(records: int, upto: int, why: str, evidence: str) -> Finding:
    if upto > records:
        problem = f"{why}, and this log ends at {records}: its tail was lost, or this is an older copy"
    else:
        problem = f"{why}, and this log has other records there: it is another copy that went its own way"
    remedy = (
        "first look for the newest copy (its -wal file as well), and put that back. If there is none: record "
        f"that what came after {min(records, upto)} is lost, and go on from record {records}"
    )
    return Finding(kind=Kind.LOST, problem=problem, evidence=evidence, upto=upto, remedy=remedy)


def _torn(stands: int, problem: str) -> Finding:
    return Finding(
        kind=Kind.TORN,
        problem=f"the file cannot be read whole ({problem}); {stands} records of it stand",
        evidence="",
        upto=0,
        remedy=f"keep the damaged file, make a new one of the first {stands} records, and record that",
    )


def _changed(problem: str, at: int) -> Finding:
    return Finding(
        kind=Kind.CHANGED,
        problem=f"record {at}: {problem}" if at else problem,
        evidence="",
        upto=0,
        remedy="nothing: what was changed is evidence. Keep this copy, and put back one that verifies",
    )


def _busy(folder: Path) -> Iterator[Finding]:
    for writer, (seq, _, alive) in noted(folder / "writers").items():
        if alive:
            yield Finding(
                kind=Kind.BUSY,
                problem=f"the process {writer} is writing to it (record {seq})",
                evidence="",
                upto=0,
                remedy="end every process that uses this ledger, then look again",
            )


def _contains(driver: sqlite3.Connection, signed: SignedCheckpoint, records: int) -> bool:
    checkpoint = signed.checkpoint
    if checkpoint.size > records:
        return False
    try:
        return root_of(checkpoint.size, StoredTree(driver)) == checkpoint.root
    except LedgerError:
        return False


def _head(driver: sqlite3.Connection) -> tuple[int, bytes]:
    row = driver.execute("SELECT seq, leaf FROM records ORDER BY seq DESC LIMIT 1").fetchone()
    return (int(row[0]), bytes(row[1])) if row is not None else (0, b"")


def _first(driver: sqlite3.Connection) -> int:
    return int(driver.execute("SELECT MIN(seq) FROM records").fetchone()[0] or 0)


def _readable(driver: sqlite3.Connection) -> None:
    """Raise unless every page of the file can be read."""
    (answer,) = driver.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise sqlite3.DatabaseError(str(answer).splitlines()[0])


def _set_aside(folder: Path, signed: SignedCheckpoint | None, records: int) -> None:
    """Let the next checkpoint be signed: what contradicts it is kept under another name."""
    if signed is not None and signed.checkpoint.size > 0:
        current = folder / "keys" / SIGNED
        with contextlib.suppress(FileNotFoundError):
            current.rename(folder / "keys" / f"{SIGNED}.lost-{signed.checkpoint.size}-at-{records}")
