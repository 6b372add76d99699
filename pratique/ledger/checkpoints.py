"""When a checkpoint is made, and how: in the transaction that appends the record that it ends with.

Rules:
- One is due when the number of records passes a multiple of `records`, when records are older than `seconds`
  and none covers them, when somebody asks, and when the ledger is closed.
- A checkpoint is not a record: a record cannot be in the tree that it signs, and the end of a log would never
  be covered. Each authenticates itself, and consistency proofs order them.
- A checkpoint that cannot be signed is said aloud and does not stop calls: the record is what calls need.
- Nothing is signed that contradicts what was signed here before (C2SP tlog-checkpoint, "Signatures").
"""

import sqlite3
from typing import Final, NamedTuple

import structlog

from pratique.audit.checkpoint import Checkpoint, SignedCheckpoint
from pratique.audit.merkle import root_of
from pratique.errors import ForkError, LedgerError
from pratique.ledger.keys import KeyFolder
from pratique.ledger.tree import StoredTree, grow

_KEY: Final = "SELECT key FROM log_keys ORDER BY seq DESC LIMIT 1"
_HAVE: Final = "SELECT 1 FROM checkpoints WHERE size = ?"
_KEEP: Final = "INSERT INTO checkpoints (size, note, ts_us) VALUES (?, ?, ?)"

log = structlog.get_logger("pratique")


class Cadence(NamedTuple):
    """How often checkpoints are made: after so many records, or so many seconds, whichever comes first."""

    records: int = 1024
    seconds: float = 60.0


class Checkpoints:
    """Grows the tree and signs its head, inside the sequencer's transactions.

    Args:
        name: the log's name.
        keys: what to sign with.
        cadence: how often.
    """

    def __init__(self, name: str, keys: KeyFolder, cadence: Cadence = Cadence()) -> None:  # noqa: B008  # frozen
        self.cadence = cadence
        self.uncovered = False
        self._name, self._keys = name, keys
        self._made: SignedCheckpoint | None = None
        self._last = ""

    def appended(
        self, driver: sqlite3.Connection, before: int, after: int, now_us: int, *, asked: bool
    ) -> None:
        """Take the records `before` + 1 to `after` into the tree, and sign its head if that is due."""
        self._made = None
        grow(driver, before, after)
        due = asked or before // self.cadence.records != after // self.cadence.records
        if due and after:
            self._sign(driver, after, now_us)

    def committed(self, *, appended: bool) -> None:
        """Remember what was signed, now that it is on disk."""
        if self._made is not None:
            try:
                self._keys.remember(self._made)
            except OSError as problem:
                log.warning("checkpoint not remembered", problem=str(problem))
            self._last = self._made.checkpoint.text
        self.uncovered = self._made is None and (self.uncovered or appended)

    def given_up(self) -> None:
        """Stop waiting to cover what cannot be signed now; the next record tries again."""
        self.uncovered = False

    def _sign(self, driver: sqlite3.Connection, size: int, now_us: int) -> None:
        if driver.execute(_HAVE, (size,)).fetchone() is not None:
            self.uncovered = False
            return
        try:
            tree = StoredTree(driver)
            self._refuse_fork(tree, size)
            row = driver.execute(_KEY).fetchone()
            signer = self._keys.first if row is None else self._keys.signer(row[0])
            made = SignedCheckpoint.sign(Checkpoint(self._name, size, root_of(size, tree)), signer)
        except LedgerError as problem:
            log.warning("no checkpoint", size=size, problem=str(problem))
            return
        driver.execute(_KEEP, (size, str(made.note), now_us))
        self._made = made

    def _refuse_fork(self, tree: StoredTree, size: int) -> None:
        last = self._keys.last_signed()
        if last is None or last.checkpoint.text == self._last:
            return
        signed = last.checkpoint
        if signed.size > size or root_of(signed.size, tree) != signed.root:
            raise ForkError(
                f"this ledger does not contain the checkpoint of {signed.size} records that was signed "
                "before: run `pratique audit verify`"
            )
