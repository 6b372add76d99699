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
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from pratique.audit.checkpoint import Checkpoint, SignedCheckpoint
from pratique.audit.merkle import TILE, TILE_HEIGHT, root_of
from pratique.audit.record import GENESIS
from pratique.errors import ForkError, LedgerError
from pratique.ledger.keys import KeyFolder
from pratique.ledger.tree import StoredTree, grow
from pratique.ledger.tree import leaves as stored_leaves

_KEY: Final = "SELECT key FROM log_keys ORDER BY seq DESC LIMIT 1"
_HAVE: Final = "SELECT 1 FROM checkpoints WHERE size = ?"
_KEEP: Final = "INSERT INTO checkpoints (size, note, ts_us) VALUES (?, ?, ?)"

Place = tuple[int, bytes]
"""A record's number and leaf hash."""

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

    `listener` is told, in the sequencer's thread, that one is on disk: it must return at once.
    """

    def __init__(self, name: str, keys: KeyFolder, cadence: Cadence = Cadence()) -> None:  # noqa: B008  # frozen
        self.cadence = cadence
        self.uncovered = False
        self.listener: Callable[[], None] | None = None
        self._name, self._keys = name, keys
        self._made: SignedCheckpoint | None = None
        self._last = ""
        self._at: Place = (0, GENESIS)
        self._tail: list[bytes] = []
        self._grown = self._at, self._tail

    def appended(
        self, driver: sqlite3.Connection, before: Place, leaves: list[bytes], now_us: int, *, asked: bool
    ) -> None:
        """Take records that were just appended into the tree, and sign its head if that is due.

        Args:
            driver: the driver's connection, inside the transaction.
            before: where they were appended: the number and leaf hash of the last record before them.
            leaves: their leaf hashes.
            now_us: the transaction's time.
            asked: whether it is due in any case.
        """
        self._made = None
        self._grown = self._at, self._tail
        if leaves:
            self._grow(driver, before, leaves)
        after = before[0] + len(leaves)
        due = asked or before[0] // self.cadence.records != after // self.cadence.records
        if due and after:
            self._sign(driver, after, now_us)

    def committed(self, *, appended: bool) -> None:
        """Remember what was signed, now that it is on disk."""
        self._at, self._tail = self._grown
        if self._made is not None:
            try:
                self._keys.remember(self._made)
            except OSError as problem:
                log.warning("checkpoint not remembered", problem=str(problem))
            self._last = self._made.checkpoint.text
            if self.listener is not None:
                self.listener()
        self.uncovered = self._made is None and (self.uncovered or appended)

    def _grow(self, driver: sqlite3.Connection, before: Place, leaves: list[bytes]) -> None:
        seq, tile = before[0], before[0] >> TILE_HEIGHT
        tail = self._tail if before == self._at else stored_leaves(driver, tile)[: seq % TILE]
        self._grown = (seq + len(leaves), leaves[-1]), grow(driver, tile, tail + leaves)

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
