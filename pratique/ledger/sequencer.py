"""The one thread that writes: many entries, one transaction, one sync (group commit).

Rules:
- The thread takes whatever waits, commits it as one transaction, and only then answers each caller.
- The head of the chain is read again in every transaction: other processes may append as well.
- An entry is guards, records, values: all of them or none. One entry's refusal leaves the others alone.
- If the transaction fails, every entry in it gets the error. Whether it reached the disk is then unknown to
  the caller, so the caller must not act; recovery finds what did.
- The queue is bounded. When it is full the caller is told at once. Nothing is ever dropped.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pratique.audit import drafts
from pratique.audit.record import GENESIS, Draft, Sealed, seal
from pratique.errors import (
    CanonicalError,
    ForkError,
    LedgerCorruptError,
    LedgerFullError,
    LedgerUnavailableError,
    PratiqueError,
)
from pratique.ledger import tables as t
from pratique.ledger.checkpoints import Checkpoints
from pratique.ledger.database import immediate, savepoint, unavailable
from pratique.ledger.erasing import Erasing, erase_rows
from pratique.ledger.guards import Guard, Moment
from pratique.ledger.projection import changes_state, project
from pratique.ledger.tree import drop_records
from pratique.ledger.vault import Sealing
from pratique.ledger.watch import Watch

LARGEST_BATCH = 1024

CLOCK_US = 2 * 1_000_000
"""How far the clock may stand behind the last record before that is recorded: processes differ a little."""

_NOBODYS = b"", 0
"""A head that no log has: the next transaction reads what it appends to."""

_OF_SESSIONS = {"session.close", "session.resume"}
_OF_MANY = {"key.revoke", "mcp.add", "mcp.remove"}  # end sessions; say whose a tool's name is

_HEAD = "SELECT seq, leaf, (SELECT MAX(epoch) FROM policies) FROM records ORDER BY seq DESC LIMIT 1"
_BODY = "SELECT body FROM records WHERE seq = ?"
_APPEND = "INSERT INTO records (seq, type, session, call, leaf, body) VALUES (?, ?, ?, ?, ?, ?)"
_KEEP = "INSERT INTO vault (seq, subject, sealed) VALUES (?, ?, ?)"
_LEAF_OF = "SELECT leaf FROM records WHERE seq = ?"
_CARRIED = "SELECT 1 FROM written LIMIT 1"
_ERASED = "SELECT body FROM records WHERE seq > ? AND type = 'erase' ORDER BY seq"


class Entry(NamedTuple):
    """What is committed together: records, the values they commit to, and what must still be true.

    Attributes:
        drafts: the records, in order.
        values: for each draft, what the vault keeps for it, or None.
        guards: conditions that are looked at inside the transaction.
        blobs: SHA-256 (hex) → text that a record names.
        keys: subject → wrapped key, stored unless the subject has one.
        erase: values to be gone with this entry.
        rows: rows of tables beside the log, that authenticate themselves or say how something went; each
            replaces the one with its primary key.
        drop: delete the records up to this one, and their values; their hashes stay in the tree.
        checkpoint: sign the head that this entry leads to.
    """

    drafts: tuple[Draft, ...]
    values: tuple[Sealing | None, ...] = ()
    guards: tuple[Guard, ...] = ()
    blobs: tuple[tuple[str, bytes], ...] = ()
    keys: tuple[tuple[str, bytes], ...] = ()
    erase: tuple[Erasing, ...] = ()
    rows: tuple[tuple[Table, Mapping[str, Any]], ...] = ()
    drop: int = 0
    checkpoint: bool = False


class Receipt(NamedTuple):
    """The entry is on disk: the number of its last record, that record's time and hash."""

    seq: int
    ts_us: int
    leaf: bytes


class Refused(NamedTuple):
    """A guard said no; nothing of the entry was written."""

    guard: Guard
    why: str


Answer = Receipt | Refused


class _Item:
    """An entry on its way, and who waits for it."""

    __slots__ = ("answer", "delivered", "entry", "future", "loop")

    def __init__(self, entry: Entry, loop: asyncio.AbstractEventLoop | None, future: Any) -> None:
        self.entry, self.loop, self.future = entry, loop, future
        self.answer: Answer | Exception | None = None  # not valid before `delivered`: the commit may fail
        self.delivered = False

    def deliver(self) -> None:
        """Hand the answer to the waiter, in the waiter's own thread."""
        self.delivered = True
        if not self.future.done():
            if isinstance(self.answer, Exception):
                self.future.set_exception(self.answer)
            else:
                self.future.set_result(self.answer)


Keeps = Callable[[Sealing], bool]
"""Whether the vault still keeps what was sealed: its key may have been erased since."""


Acknowledged = Callable[[int, bytes], None]
"""Remembers the head that callers are about to be told, where it outlives this process."""

Erased = Callable[[Erasing], None]
"""Drops what is remembered of values that were erased, by this process or another one. In the thread."""


class _Chain:
    """The head of the chain inside one transaction, and the rows that will be appended to it."""

    def __init__(
        self, log: str, seq: int, prev: bytes, ts_us: int, epoch: int, keeps: Keeps, before_us: int = 0
    ) -> None:
        self.log, self.seq, self.prev, self.ts_us, self.epoch = log, seq, prev, ts_us, epoch
        self.keeps = keeps
        self.began = seq, prev
        self._before_us = before_us
        self.leaves: list[bytes] = []
        self.erased: list[Erasing] = []
        self.rows: list[tuple[Any, ...]] = []
        self.kept: list[tuple[Any, ...]] = []

    def append(self, draft: Draft, values: Sealing | None) -> Sealed:
        """Seal the draft at the head."""
        sealed = seal(draft, log=self.log, seq=self.seq + 1, prev=self.prev, ts_us=self.ts_us)
        where = (draft["type"], draft.get("session", ""), draft.get("call_id", ""))
        self.rows.append((sealed.seq, *where, sealed.leaf, sealed.body))
        if values is not None and self.keeps(values) and not self._is_gone(values.subject):
            self.kept.append((sealed.seq, values.subject, values.sealed))
        self.leaves.append(sealed.leaf)
        self.seq, self.prev = sealed.seq, sealed.leaf
        return sealed

    def _is_gone(self, subject: str) -> bool:
        return bool(self.erased) and any(erasing.subject == subject for erasing in self.erased)

    def flush(self, driver: sqlite3.Connection) -> None:
        """Write what was appended. It is still part of the transaction."""
        driver.executemany(_APPEND, self.rows)
        driver.executemany(_KEEP, self.kept)
        self.rows.clear()
        self.kept.clear()

    @property
    def written_us(self) -> int:
        """The time in the newest record."""
        return self.ts_us if self.leaves else self._before_us

    def mark(self) -> tuple[Any, ...]:
        """Return what `restore` needs to take back what is appended from now on."""
        return self.seq, self.prev, self.epoch, len(self.rows), len(self.kept), len(self.erased)

    def restore(self, mark: tuple[Any, ...]) -> None:
        """Take back what was appended since `mark`."""
        self.seq, self.prev, self.epoch, rows, kept, erased = mark
        del self.leaves[self.seq - self.began[0] :]
        del self.rows[rows:], self.kept[kept:], self.erased[erased:]


class Sequencer:
    """Owns the writing connection and the thread that uses it.

    Args:
        engine: the engine of the connection that writes.
        path: the database file, watched for being replaced.
        log: the log's name.
        clock: gives the time, microseconds since the epoch.
        checkpoints: grows the tree over the records, and signs it now and then.
        most_waiting: how many entries may wait.
        keeps: says whether the vault still keeps what was sealed.
        erased: told of every erasure.
        acknowledged: told the head of every transaction before anybody is answered.
        carried: told that a write carries something from elsewhere, before it is committed.
    """

    def __init__(  # noqa: PLR0913  # what it works with; only the door makes one
        self,
        engine: Engine,
        path: Path,
        log: str,
        clock: Callable[[], int],
        checkpoints: Checkpoints,
        most_waiting: int = 10_000,
        *,
        keeps: Keeps = lambda _: True,
        erased: Erased = lambda _: None,
        acknowledged: Acknowledged = lambda _, __: None,
        carried: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._path, self._log, self._clock = engine, path, log, clock
        self._checkpoints = checkpoints
        self._keeps, self._erased = keeps, erased
        self._acknowledged, self._carried = acknowledged, carried
        self._seen = _last(engine, path)  # what was erased before now, this process has never known
        self._behind = False
        self._most_waiting = most_waiting
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._inode = _inode(path)
        self._closed = False
        self._closing = threading.RLock()  # `post` may come while this thread holds it
        self.batches = 0
        self.watch = Watch()
        self.counted: Callable[[int], None] | None = None  # is told how many entries each batch had
        self._own_head: tuple[bytes, int] = _NOBODYS
        self._uncovered_since = time.monotonic()
        self._held: set[tuple[str, str]] = set()
        self.epoch = 0  # as last seen in a transaction
        self._thread = threading.Thread(target=self._work, name="pratique-sequencer", daemon=True)
        self._thread.start()

    async def commit(self, entry: Entry) -> Answer:
        """Commit the entry; return once it is on disk, or was refused.

        A cancellation that arrives meanwhile is kept until the caller's next await: whoever commits must
        learn whether it happened.

        Raises:
            LedgerFullError: too many entries wait.
            LedgerUnavailableError: the log cannot be written; whether the entry reached it is unknown.
            CanonicalError: a draft is not a record.
        """
        loop = asyncio.get_running_loop()
        item = _Item(entry, loop, loop.create_future())
        self._put(item)
        try:
            return await item.future  # type: ignore[no-any-return]  # futures here are of two libraries
        except asyncio.CancelledError as cancellation:
            return await _uncancelled(item, loop, cancellation)

    def commit_now(self, entry: Entry) -> Answer:
        """Commit from a thread without an event loop; otherwise as `commit`."""
        item = _Item(entry, None, Future())
        self._put(item)
        return item.future.result()  # type: ignore[no-any-return]  # as above

    def post(self, entry: Entry) -> None:
        """Hand the entry over, wait for nothing: for what the garbage collector runs, in any thread."""
        self._put(_Item(entry, None, Future()))

    def close(self) -> None:
        """Commit what waits, then let go of the file."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _put(self, item: _Item) -> None:
        if self._queue.qsize() >= self._most_waiting:
            raise LedgerFullError(f"{self._most_waiting} entries wait for the log: back off, then call again")
        with self._closing:
            if self._closed:
                raise LedgerUnavailableError("the ledger is closed")
            self._queue.put(item)

    def _work(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._commit(batch)
                _answer(batch)
                self.watch.tell(_committed(batch))
                if self.counted is not None:
                    self.counted(len(batch))
            elif self._checkpoints.uncovered:
                self._cover()
            if self._closed and self._queue.empty():
                break
        if self._checkpoints.uncovered:
            self._cover()
        self._disconnect()

    def _cover(self) -> None:
        """Sign a head over records that nothing covers: nothing came for a while, or this is the end."""
        self._commit([_Item(Entry((), checkpoint=True), None, Future())])
        self._checkpoints.given_up()

    def _take(self) -> list[_Item]:
        try:
            batch = [self._queue.get(timeout=self._patience())]
        except Empty:
            return []
        while len(batch) < LARGEST_BATCH and not self._queue.empty():  # nobody else takes from it
            batch.append(self._queue.get_nowait())
        return [item for item in batch if item is not None]

    def _is_overdue(self) -> bool:
        return self._checkpoints.uncovered and self._patience() == 0

    def _patience(self) -> float | None:
        """Return how many seconds to wait for the next entry; None for as long as it takes."""
        if not self._checkpoints.uncovered:
            self._uncovered_since = time.monotonic()
            return None
        return max(0.0, self._uncovered_since + self._checkpoints.cadence.seconds - time.monotonic())

    def _commit(self, batch: list[_Item]) -> None:
        try:
            self._same_file()
            connection = self._connected()
            with immediate(connection) as driver:
                chain = self._head(driver)
                for item in batch:
                    item.answer = self._apply(connection, driver, chain, item.entry)
                chain.flush(driver)
                asked = any([item.entry.checkpoint for item in batch]) or self._is_overdue()
                self._checkpoints.appended(driver, chain.began, chain.leaves, chain.ts_us, asked=asked)
            self._checkpoints.committed(appended=bool(chain.leaves))
            self.batches += 1
            self._own_head, self._seen = (chain.prev, chain.written_us), (chain.seq, chain.prev)
            self._acknowledged(chain.seq, chain.prev)
            self.epoch = chain.epoch
            for erasing in chain.erased:
                self._erased(erasing)
        except Exception as problem:  # noqa: BLE001  # whatever it is, every caller in the batch must hear of it
            error = problem if isinstance(problem, PratiqueError) else unavailable(problem, self._path)
            for item in batch:
                item.answer = error
            self._own_head = _NOBODYS
            self._disconnect()

    def _apply(
        self, connection: Connection, driver: sqlite3.Connection, chain: _Chain, entry: Entry
    ) -> Answer | Exception:
        moment = Moment(connection, chain.epoch, chain.ts_us, self._held)
        for guard in entry.guards:
            why = guard.refuses(moment)
            if why is not None:
                return Refused(guard, why)
        for draft in entry.drafts:
            self._expect(draft)
        if entry.erase:
            chain.flush(driver)  # what waits in this batch is erased with the rest
        mark = chain.mark()
        try:
            if _has_state(entry):
                with savepoint(driver):
                    return _append_with_state(connection, driver, chain, entry)
            return _append(chain, entry)
        except CanonicalError as problem:
            chain.restore(mark)
            return problem
        except IntegrityError as problem:
            chain.restore(mark)
            return LedgerCorruptError(f"the state does not take this entry: {problem.orig}")

    def _expect(self, draft: Draft) -> None:
        """Let go of what this record may put an end to, before it is written."""
        if draft["type"] in _OF_SESSIONS:
            self._held.discard(("session", draft["session"]))
        elif draft["type"] in _OF_MANY:
            self._held.clear()
        elif "carried" in draft:
            self._carried()  # no longer is nothing carried

    def _head(self, driver: sqlite3.Connection) -> _Chain:
        row = driver.execute(_HEAD).fetchone()
        now = self._clock()
        if row is None:
            self._demand_same_history(driver, 0)
            return _Chain(self._log, 0, GENESIS, now, 0, self._keeps)
        seq, leaf, epoch = row
        own, before = self._own_head
        if leaf != own:
            self._held.clear()  # another process has written: what was known may be over
            self._demand_same_history(driver, seq)
            for (erased,) in driver.execute(_ERASED, (self._seen[0],)).fetchall():
                self._erased(Erasing.of(orjson.loads(erased)))
            if driver.execute(_CARRIED).fetchone() is not None:
                self._carried()
            before = orjson.loads(driver.execute(_BODY, (seq,)).fetchone()[0])["ts_us"]
        chain = _Chain(self._log, seq, leaf, max(now, before), epoch or 0, self._keeps, before)
        self._note_clock(chain, before - now)
        return chain

    def _demand_same_history(self, driver: sqlite3.Connection, last: int) -> None:
        """Stop when what was acknowledged is not there any more: another copy was put in this one's place."""
        seq, leaf = self._seen
        if seq == 0:
            return
        row = driver.execute(_LEAF_OF, (seq,)).fetchone()
        if row is None and last > seq:
            return  # sealed and dropped since
        if row is None or row[0] != leaf:
            raise ForkError(
                f"record {seq}, which this process has seen, is not in {self._path} any more: another "
                "copy was put in its place. Calls are denied; run `pratique audit recover`"
            )

    def _note_clock(self, chain: "_Chain", behind_us: int) -> None:
        """Record, once, that the clock is behind the log, in which time stands still until it is there."""
        if behind_us > CLOCK_US and not self._behind:
            chain.append(drafts.recovered("clock", behind_us=behind_us), None)
        self._behind = behind_us > CLOCK_US

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            if self._connection is not None:
                self._connection.invalidate()
                self._connection.close()
        self._connection = None

    def _same_file(self) -> None:
        """Stop when the file was deleted or replaced: SQLite would go on writing to what nobody can read."""
        if _inode(self._path) != self._inode:
            raise LedgerUnavailableError(
                f"{self._path} is no longer the file that was opened; calls are denied"
            )


def _has_state(entry: Entry) -> bool:
    beside = entry.blobs or entry.keys or entry.rows or entry.erase
    return bool(beside) or any(map(changes_state, entry.drafts))


def _append(chain: _Chain, entry: Entry) -> Receipt:
    values = entry.values or (None,) * len(entry.drafts)
    sealed = Sealed(chain.seq, chain.ts_us, chain.prev, b"")
    for draft, kept in zip(entry.drafts, values, strict=True):
        sealed = chain.append(draft, kept)
    return Receipt(sealed.seq, sealed.ts_us, sealed.leaf)


def _append_with_state(
    connection: Connection, driver: sqlite3.Connection, chain: _Chain, entry: Entry
) -> Receipt:
    for digest, body in entry.blobs:
        _add_missing(connection, t.blobs, digest=digest, body=body)
    for subject, wrapped in entry.keys:
        _add_missing(connection, t.vault_keys, subject=subject, wrapped=wrapped)
    for table, row in entry.rows:
        key = [column == row[column.name] for column in table.primary_key]
        connection.execute(delete(table).where(*key))
        connection.execute(insert(table).values(**row))
    if entry.drop:
        drop_records(driver, entry.drop)
    values = entry.values or (None,) * len(entry.drafts)
    receipt = Receipt(chain.seq, chain.ts_us, chain.prev)
    for draft, kept in zip(entry.drafts, values, strict=True):
        sealed = chain.append(draft, kept)
        project(connection, {**draft, "seq": sealed.seq, "ts_us": sealed.ts_us})
        if draft["type"] == "policy.load":
            chain.epoch = draft["epoch"]
        receipt = Receipt(sealed.seq, sealed.ts_us, sealed.leaf)
    for erasing in entry.erase:
        erase_rows(connection, erasing)
        chain.erased.append(erasing)
    return receipt


def _add_missing(connection: Connection, table: Table, **row: Any) -> None:
    """Insert the row unless its first column's value is there; the transaction holds the only write lock."""
    column, value = next(iter(row.items()))
    if connection.execute(select(table.c[column]).where(table.c[column] == value)).first() is None:
        connection.execute(insert(table).values(**row))


async def _uncancelled(
    item: _Item, loop: asyncio.AbstractEventLoop, cancellation: asyncio.CancelledError
) -> Answer:
    """Wait for the answer although the task was cancelled; its next await gets the cancellation."""
    while not item.delivered:
        item.future = loop.create_future()
        try:
            await item.future
        except asyncio.CancelledError as again:
            cancellation = again
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
        task.cancel(*cancellation.args)  # its message says whose it is: anyio's scopes know theirs by it
    if isinstance(item.answer, Exception):
        raise item.answer
    return item.answer  # type: ignore[return-value]  # delivered, so it is not None


async def let_cancellation_in() -> None:
    """Let a cancellation that `commit` kept back arrive now, after the last commit of an operation.

    Otherwise it would arrive in whatever the caller awaits next, outside of the time limit that sent it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)


def _committed(batch: list[_Item]) -> Iterator[Draft]:
    return (draft for item in batch if isinstance(item.answer, Receipt) for draft in item.entry.drafts)


def _answer(batch: list[_Item]) -> None:
    """Wake every waiter: one call into each event loop, whatever the size of the batch."""
    loops: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in batch:
        if item.loop is None:
            item.deliver()
        else:
            loops.setdefault(item.loop, []).append(item)
    for loop, items in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is gone, and its waiters with it
            loop.call_soon_threadsafe(_deliver, items)


def _deliver(items: list[_Item]) -> None:
    for item in items:
        item.deliver()


def _last(engine: Engine, path: Path) -> tuple[int, bytes]:
    """Return the head as it is before anything is written."""
    newest = select(t.records.c.seq, t.records.c.leaf).order_by(t.records.c.seq.desc()).limit(1)
    try:
        with engine.connect() as connection:
            row = connection.execute(newest).one_or_none()
    except SQLAlchemyError as problem:
        raise unavailable(problem, path) from problem
    return (row.seq, row.leaf) if row is not None else (0, GENESIS)


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # for every transaction: half the time of `Path.stat`
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino
