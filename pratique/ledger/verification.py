"""Is a ledger file what it says? The chain, the heads that others hold, and what lies beside the records.

The steps, each marked where it is done:
1. Every record's bytes have the hash that is stored for them (`pratique.ledger.scan`).
2. The log's keys follow from the first one; every stored checkpoint is signed by the key then in force.
3. The tree over the hashes has the root of every checkpoint, stored here or held elsewhere.
4. What no trusted checkpoint covers is read record by record (`pratique.audit.chain`); all of it if `strict`.
5. Index columns and the tree say what the records say; the schema holds nothing that is not ours.
6. Every step in the log was allowed when it was made (`pratique.audit.legality`).
7. State tables are what the log makes of them.
8. If `values`, and the vault's key is at hand: its values are those that the records commit to,
   all that were not erased.

Rules:
- A file is only read, and need not be one that this installation could write to.
- A database that SQLite itself cannot read is BROKEN, not an error.
- OK takes a head from outside. The log's own key says that nothing was changed, not that nothing was cut off.
"""

import sqlite3
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from pratique.audit.chain import (
    Break,
    BrokenError,
    Head,
    Held,
    Report,
    Start,
    Verdict,
    checked,
    verify_chain,
)
from pratique.audit.checkpoint import Checkpoint, Keyring, SignedCheckpoint
from pratique.audit.legality import Illegal, illegal
from pratique.audit.merkle import root_of
from pratique.audit.note import Verifier
from pratique.audit.record import GENESIS
from pratique.errors import LedgerCorruptError, LedgerUnavailableError, NoteError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.beside import BesideLedger
from pratique.ledger.erasing import restored
from pratique.ledger.keys import first_key, last_signed
from pratique.ledger.readonly import driver_of, is_ragged, read_only, reading
from pratique.ledger.rebuild import forged_table
from pratique.ledger.scan import Progress, ScannedTree, scan_file
from pratique.ledger.schema import foreign_objects
from pratique.ledger.tree import leaves
from pratique.ledger.vault import Vault
from pratique.ledger.vault_check import wrong_values

NOWHERE = Head(seq=0, leaf=GENESIS.hex())

_ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What a column that holds another type than it should leads to, wherever it is first used."""

MOST_SHOWN = 100
"""Illegal records that a report names."""


class Claim(NamedTuple):
    """A checkpoint that somebody holds, whose signature or place was looked at already.

    Attributes:
        checkpoint: what they hold.
        by: who, in words.
        outside: it is kept where the log's owner cannot change it.
        at: when they took it, seconds since the epoch; 0 when nobody says.
    """

    checkpoint: Checkpoint
    by: str
    outside: bool
    at: int = 0

    @property
    def held(self) -> Held:
        """What the report says of it."""
        return Held(by=self.by, size=self.checkpoint.size, outside=self.outside, at=self.at)


class Asked(NamedTuple):
    """What to hold a file against, and how.

    Attributes:
        anchor: a head that somebody outside kept.
        claims: checkpoints that others hold.
        key: the log's first key; left out, the one in the folder `keys/` beside the file.
        strict: read every record, and demand its canonical form.
        processes: how many may hash.
        progress: told how many records more were hashed.
        values: open every value in the vault, too, and hold it against its record's commitment.
    """

    anchor: Head | None = None
    claims: Sequence[Claim] = ()
    key: Verifier | None = None
    strict: bool = False
    processes: int = 1
    progress: Progress = lambda _: None
    values: bool = False


def verify_file(path: Path, anchor: Head | None = None, asked: Asked | None = None) -> Report:
    """Return what verification finds in a ledger file.

    Args:
        path: the database file; it is opened for reading only.
        anchor: a head that somebody outside kept.
        asked: more to hold it against; its own `anchor` counts if it has one.

    Raises:
        LedgerUnavailableError: there is no such file.
    """
    asked = asked or Asked()
    asked = asked._replace(anchor=asked.anchor or anchor, key=asked.key or first_key(path.parent / "keys"))
    if not path.is_file():
        raise LedgerUnavailableError(f"{path}: there is no such file")
    try:
        with reading(path) as connection:
            return _Verification(connection, path, asked).report()
    except (SQLAlchemyError, sqlite3.Error, LedgerCorruptError, BrokenProcessPool, *_ODD) as problem:
        text = str(getattr(problem, "orig", None) or problem).splitlines()[0]
        bad = BrokenError(Break.UNREADABLE, f"the file is not a readable ledger: {text}")
        return _broken(NOWHERE, asked.anchor, bad)


class _Verification:
    """One run over one view of a file."""

    def __init__(self, connection: Connection, path: Path, asked: Asked) -> None:
        self._connection, self._path, self._asked = connection, path, asked
        self._driver = driver_of(connection)
        if is_ragged(self._driver, path):
            raise LedgerCorruptError("it ends in the middle of a page")
        self._log: str = connection.execute(select(t.log.c.name)).scalar_one()
        self._head = queries.head(connection)
        self._start = self._after_dropped()
        if self._head.seq < self._start.seq:
            self._head = Head(seq=self._start.seq, leaf=self._start.leaf)
        self._signed = 0

    def report(self) -> Report:
        """Take the steps; the first one that fails is the answer."""
        try:
            tree = self._hash()  # 1
            stored = self._stored_checkpoints()  # 2
            claims = self._meet(tree, stored)  # 3
            report = self._read(claims)  # 4
            if report.verdict is not Verdict.BROKEN:
                self._beside(tree)  # 5
                self._legal(report)  # 6
                self._state()  # 7
                self._values()  # 8
        except BrokenError as bad:
            report = _broken(self._head, self._asked.anchor, bad)
        except _FoundError as found:
            report = found.report
        return report.model_copy(update={"signed": self._signed, "dropped": self._start.seq})

    def _hash(self) -> ScannedTree:
        asked = self._asked
        found = scan_file(
            read_only(self._path),
            self._driver,
            self._start.seq,
            self._head.seq,
            asked.progress,
            asked.processes,
        )
        if not found.sound:
            raise _FoundError(self._slowly())
        tree = ScannedTree(self._driver, self._start.seq, found.roots)
        if self._start.seq and root_of(self._start.seq, tree).hex() != self._segment.root:
            raise BrokenError(Break.BESIDE, "the hashes of dropped records are not those that were sealed")
        return tree

    def _slowly(self) -> Report:
        """Return what reading every record finds: where exactly it breaks."""
        report = verify_chain(
            queries.stored(self._connection, self._start.seq),
            self._log,
            start=self._start,
            strict=self._asked.strict,
        )
        return report.model_copy(update={"anchor": self._asked.anchor})

    def _stored_checkpoints(self) -> list[Claim]:
        ring = Keyring(self._asked.key)
        for row in self._connection.execute(select(t.log_keys).order_by(t.log_keys.c.seq)):
            stated = {"seq": row.seq, "log": self._log, "old": row.old, "new": row.key}
            try:
                ring.rotate({**stated, "statement": row.statement})
            except NoteError as problem:
                raise BrokenError(Break.ROTATION, f"{problem}", row.seq) from None
        found = []
        for row in self._connection.execute(select(t.checkpoints).order_by(t.checkpoints.c.size)):
            try:
                signed = SignedCheckpoint.parse(row.note)
                if ring.verify(signed):
                    self._signed = max(self._signed, row.size)
            except NoteError as problem:
                raise BrokenError(Break.SIGNATURE, f"the checkpoint of {row.size}: {problem}") from None
            if (signed.checkpoint.origin, signed.checkpoint.size) != (self._log, row.size):
                raise BrokenError(Break.SIGNATURE, f"the checkpoint of {row.size} is about something else")
            found.append(Claim(signed.checkpoint, "the log's own key", outside=False))
        return found

    def _meet(self, tree: ScannedTree, stored: list[Claim]) -> list[Claim]:
        """Hold the tree against every checkpoint; return those from elsewhere that it meets."""
        claims = list(self._asked.claims)
        own = last_signed(self._path.parent / "keys")
        if own is not None:
            claims.append(Claim(own.checkpoint, "this installation's key folder", outside=False))
        met = 0
        for claim in sorted([*stored, *claims], key=lambda claim: claim.checkpoint.size):
            self._meets(tree, claim, met)
            met = claim.checkpoint.size
        return sorted(claims, key=lambda claim: claim.checkpoint.size)

    def _meets(self, tree: ScannedTree, claim: Claim, met: int) -> None:
        size = claim.checkpoint.size
        if claim.checkpoint.origin != self._log:
            raise BrokenError(
                Break.FOREIGN, f"{claim.by} holds a checkpoint of {claim.checkpoint.origin}, not of this log"
            )
        if size <= self._head.seq and root_of(size, tree) == claim.checkpoint.root:
            return
        exact = self._slowly()
        if exact.verdict is Verdict.BROKEN:
            raise _FoundError(exact)
        if size > self._head.seq:
            raise BrokenError(
                Break.CUT,
                f"the log ends at {self._head.seq}, {claim.by} holds a checkpoint of {size} records: "
                "the tail was cut off, or this is an older copy",
                self._head.seq + 1,
            )
        raise BrokenError(
            Break.REWRITTEN,
            f"records {met + 1} to {size} are not those of the checkpoint held by {claim.by}: "
            "history was rewritten",
            met + 1,
        )

    def _read(self, claims: list[Claim]) -> Report:
        asked = self._asked
        outside = [claim.held for claim in claims if claim.outside]
        vouched = max([self._signed, *(held.size for held in outside)])
        start = self._start
        if vouched > start.seq and not asked.strict and asked.anchor is None:
            start = self._start_after(vouched)
        report = verify_chain(
            queries.stored(self._connection, start.seq),
            self._log,
            asked.anchor,
            start=start,
            strict=asked.strict,
        )
        if asked.anchor is not None:
            outside.append(Held(by="the head given", size=asked.anchor.seq, outside=True))
        held = [claim.held for claim in claims if not claim.outside]
        verdict = Verdict.OK if outside and report.verdict is not Verdict.BROKEN else report.verdict
        return report.model_copy(update={"verdict": verdict, "held": (*held, *outside)})

    def _start_after(self, seq: int) -> Start:
        row = self._connection.execute(
            select(t.records.c.leaf, t.records.c.body).where(t.records.c.seq == seq)
        ).one()
        return Start(seq=seq, leaf=row.leaf.hex(), ts_us=checked(row.body, row.leaf)["ts_us"])

    def _after_dropped(self) -> Start:
        self._segment: Any = self._connection.execute(
            select(t.segments).where(t.segments.c.dropped_seq > 0).order_by(t.segments.c.last.desc()).limit(1)
        ).one_or_none()
        if self._segment is None:
            return Start()
        last = self._segment.last
        found = leaves(self._driver, (last - 1) >> 8)[(last - 1) % 256].hex()
        if found != self._segment.leaf:
            raise LedgerCorruptError("the hashes of dropped records are damaged")
        return Start(seq=last, leaf=self._segment.leaf)

    def _beside(self, tree: ScannedTree) -> None:
        misfiled = queries.misfiled(self._connection)
        if misfiled is not None:
            raise BrokenError(Break.BESIDE, "its index columns do not say what the record says", misfiled)
        foreign = foreign_objects(self._connection)
        if foreign:
            raise BrokenError(Break.BESIDE, f"the database holds what no ledger has: {', '.join(foreign)}")
        expected = {(level, at): hash_ for level in range(1, 8) for at, hash_ in enumerate(tree.level(level))}
        nodes = {(row.level, row.idx): row.hash for row in self._connection.execute(select(t.tree))}
        if nodes != expected:
            raise BrokenError(Break.BESIDE, "the stored tree is not the records': no proof would verify")
        for erased, there in restored(self._connection):
            problem = f"its values are in the vault, and record {erased} erased them"
            raise BrokenError(Break.BESIDE, problem, there)

    def _legal(self, report: Report) -> None:
        if self._start.seq:
            return  # what the first records here rest on was dropped; it was judged before that
        beside = BesideLedger(self._connection, _vault_beside(self._path))
        found = list(islice(illegal(queries.every_record(self._connection), beside), MOST_SHOWN))
        if found:
            bad = BrokenError(Break.ILLEGAL, found[0].problem, found[0].seq)
            raise _FoundError(_broken(report.head, self._asked.anchor, bad, tuple(found)))

    def _state(self) -> None:
        forged = forged_table(self._connection)
        if forged:
            raise BrokenError(Break.BESIDE, f"the table {forged} is not what the log makes of it")

    def _values(self) -> None:
        vault = _vault_beside(self._path) if self._asked.values else None
        if vault is None:
            return
        for wrong in wrong_values(self._connection, vault):
            raise BrokenError(Break.VANISHED if wrong.gone else Break.BESIDE, wrong.problem, wrong.seq)


class _FoundError(Exception):
    """Carries a report that is complete."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(report.problem)


def _vault_beside(path: Path) -> Vault | None:
    """Return the vault whose key lies beside the file; None if there is none, or it is no key."""
    try:
        return Vault((path.parent / "vault.key").read_bytes())
    except OSError:
        return None


def _broken(head: Head, anchor: Head | None, bad: BrokenError, found: tuple[Illegal, ...] = ()) -> Report:
    return Report(
        verdict=Verdict.BROKEN,
        records=head.seq,
        head=head,
        anchor=anchor,
        broken_at=bad.at,
        problem=str(bad),
        kind=bad.kind,
        illegal=found,
    )
