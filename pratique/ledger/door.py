"""The ledger: open it, commit to it, read from it. Nothing else in Pratique touches the database.

Rules:
- Whatever changes, changes through `commit`. Reading never waits for writing.
- Opening creates what is missing, refuses what is newer, and takes a writer's lock.
"""

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar

import anyio.to_thread
import orjson
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DatabaseError

from pratique.audit.note import Signer
from pratique.errors import CanonicalError, LedgerCorruptError, LedgerError
from pratique.ledger import tables as t
from pratique.ledger.checkpoints import Cadence, Checkpoints
from pratique.ledger.database import immediate, prepare, reader_engine, unavailable, writer_engine
from pratique.ledger.erasing import Erasing
from pratique.ledger.flag import Flag
from pratique.ledger.keys import KeyFolder
from pratique.ledger.sequencer import Answer, Entry, Sequencer
from pratique.ledger.vault import Sealing, Vault
from pratique.ledger.watch import Watch
from pratique.ledger.writers import Writer
from pratique.ledger.written import Written

T = TypeVar("T")

Clock = Callable[[], int]


def wall_clock() -> int:
    """Return the time, microseconds since the epoch."""
    return time.time_ns() // 1000


class Companion(Protocol):
    """What lives as long as a ledger is open."""

    def close(self) -> None:
        """End, in bounded time; never raises."""


class Ledger:
    """One log and what lies beside it: `ledger.db`, `vault.key`, `keys/`, `writers/`, `carried`.

    Args:
        folder: made when it is not there.
        clock: gives the time, microseconds since the epoch.
        most_waiting: how many entries may wait to be written before calls are denied.
        keys: the folder of signing keys, if it is not `keys/`.
        cadence: how often checkpoints are made.

    Raises:
        LedgerUnavailableError: the folder cannot be written, or others may read the keys.
        LedgerVersionError: a newer Pratique wrote it.
        LedgerCorruptError: its parts do not fit each other.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock = wall_clock,
        most_waiting: int = 10_000,
        keys: Path | None = None,
        cadence: Cadence = Cadence(),  # noqa: B008  # frozen
    ) -> None:
        self.path = folder / "ledger.db"
        self.clock = clock
        prepare(self.path)
        self.vault = Vault.at(folder / "vault.key")
        self._reader = reader_engine(self.path)
        self._writing = writer_engine(self.path)
        carried = Flag(folder / "carried")
        self.written = Written(self._reader, carried, lambda problem: unavailable(problem, self.path))
        self.log = self._name()
        self.keys = KeyFolder(keys or folder / "keys", self.log)
        self.writer = Writer(folder / "writers")
        self.checkpoints = Checkpoints(self.log, self.keys, cadence)
        self.on_erased: list[Callable[[Erasing], None]] = []
        """Who drops what they remember when values are erased, by whichever process. In another thread."""
        self._sequencer = Sequencer(
            self._writing,
            self.path,
            self.log,
            clock,
            self.checkpoints,
            most_waiting,
            keeps=self.vault.keeps,
            erased=self._erased,
            acknowledged=self.writer.note,
            carried=self.written.will_be_filled,
        )
        self._companions: list[Companion] = []

    async def commit(self, entry: Entry) -> Answer:
        """Commit an entry and return once it is on disk; see `Sequencer.commit`."""
        return await self._sequencer.commit(entry)

    def commit_now(self, entry: Entry) -> Answer:
        """Commit an entry from a thread without an event loop."""
        return self._sequencer.commit_now(entry)

    def post(self, entry: Entry) -> None:
        """Hand an entry over without waiting; see `Sequencer.post`."""
        self._sequencer.post(entry)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Return what `query` finds in one consistent view of the ledger.

        Raises:
            LedgerUnavailableError: the database cannot be read.
            LedgerCorruptError: what is stored is no text or JSON any more.
            CanonicalError: what is asked for has no UTF-8 form, so it cannot be stored.
        """
        try:
            with self._reader.connect() as connection, connection.begin():
                return query(connection)
        except DatabaseError as problem:
            raise unavailable(problem, self.path) from problem
        except UnicodeEncodeError as problem:
            raise CanonicalError(
                f"{problem.object[:80]!r}: half of a surrogate pair has no UTF-8 form"
            ) from None
        except (UnicodeDecodeError, orjson.JSONDecodeError) as problem:
            raise LedgerCorruptError(f"{self.path}: what is stored cannot be read ({problem})") from problem

    async def query(self, query: Callable[[Connection], T]) -> T:
        """As `read`, in a thread, so that the event loop goes on."""
        return await anyio.to_thread.run_sync(self.read, query)

    async def know(self, subject: str) -> None:
        """Make sure that the subject's vault key exists and is in memory."""
        if self.vault.knows(subject):
            return
        await self.commit(Entry(drafts=(), keys=((subject, self.vault.new_key(subject)),)))
        await self.query(lambda connection: self.learn(connection, subject))

    def know_now(self, subject: str) -> None:
        """As `know`, from a thread without an event loop."""
        if self.vault.knows(subject):
            return
        self.commit_now(Entry(drafts=(), keys=((subject, self.vault.new_key(subject)),)))
        self.read(lambda connection: self.learn(connection, subject))

    def learn(self, connection: Connection, subject: str) -> bool:
        """Take the subject's key into memory; return False when there is none (any more)."""
        if self.vault.knows(subject):
            return True
        wrapped = connection.execute(
            select(t.vault_keys.c.wrapped).where(t.vault_keys.c.subject == subject)
        ).scalar()
        if wrapped is None:
            return False
        self.vault.learn(subject, wrapped)
        return True

    def signer(self) -> Signer:
        """Return the log's signing key that is in force.

        Raises:
            LedgerUnavailableError: it is not in the folder of keys.
        """
        newest = select(t.log_keys.c.key).order_by(t.log_keys.c.seq.desc()).limit(1)
        key = self.read(lambda connection: connection.execute(newest).scalar())
        return self.keys.first if key is None else self.keys.signer(str(key))

    def seal(self, subject: str, about: str, values: Mapping[str, bytes]) -> Sealing:
        """Return commitments and ciphertext for an entry; see `Vault.seal`."""
        return self.vault.seal(subject, about, values)

    @property
    def epoch(self) -> int:
        """The epoch in force, as the last transaction saw it: a hint to look, never a reason to permit."""
        return self._sequencer.epoch

    @property
    def batches(self) -> int:
        """How many transactions this process has committed."""
        return self._sequencer.batches

    def accompany(self, companion: Companion) -> None:
        """Close `companion` when the ledger closes, after the last checkpoint and before the last write."""
        self._companions.append(companion)

    @property
    def watch(self) -> Watch:
        """Wakes who waits for what this process commits."""
        return self._sequencer.watch

    def count_batches(self, counted: Callable[[int], None]) -> None:
        """Tell `counted` how many entries each transaction of this process has; in the writing thread."""
        self._sequencer.counted = counted

    def close(self) -> None:
        """Commit what waits, then let go of everything."""
        if self._companions:
            with contextlib.suppress(LedgerError):
                self.commit_now(Entry((), checkpoint=True))
        while self._companions:
            self._companions.pop().close()
        self._sequencer.close()
        self.written.close()
        self._reader.dispose()
        self._writing.dispose()
        self.writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _erased(self, erasing: Erasing) -> None:
        if erasing.subject:
            self.vault.forget(erasing.subject)
        for forget in self.on_erased:
            forget(erasing)

    def _name(self) -> str:
        """Return the log's name; give it one when it is new."""
        try:
            with self._writing.connect() as connection, immediate(connection):
                name = connection.execute(select(t.log.c.name)).scalar()
                if name is None:
                    if connection.execute(select(t.records.c.seq).limit(1)).first() is not None:
                        raise LedgerCorruptError(f"{self.path}: records without a log name")
                    name = f"log_{secrets.token_hex(8)}"
                    connection.execute(insert(t.log).values(id=1, name=name))
                return str(name)
        except (DatabaseError, sqlite3.Error, UnicodeDecodeError) as problem:
            raise unavailable(problem, self.path) from problem
