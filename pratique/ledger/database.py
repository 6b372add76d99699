"""The SQLite file: opened with the settings that the promises need, at the version this code knows.

Rules:
- WAL and synchronous=FULL: a commit that was acknowledged is on disk.
- One connection writes, in IMMEDIATE transactions; readers cannot write.
- What is deleted is overwritten (`secure_delete`); after an erasure the file is rewritten as well (`purged`).
- A file of a newer version is refused, an older one is migrated, under a lock that one process holds.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool, QueuePool

from pratique.errors import LedgerUnavailableError, LedgerVersionError, told

REVISION = "0006"
"""The newest migration. A test compares it with the folder of migrations."""

BUSY_SECONDS = 10


def writer_engine(path: Path) -> Engine:
    """Return the engine of the one connection that writes; its transactions are made by `immediate`."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", lambda connection, _: _pragmas(connection))
    return engine


@contextmanager
def immediate(connection: Connection) -> Iterator[sqlite3.Connection]:
    """Hold the write lock from the start; commit at the end, or roll back if anything is raised.

    Gives the driver's own connection for the statements of the hot path; what goes through the SQLAlchemy
    connection is in the same transaction.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"{type(driver).__name__} is not SQLite's connection")
    driver.execute("BEGIN IMMEDIATE")
    try:
        yield driver
        driver.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(driver: sqlite3.Connection) -> Iterator[None]:
    """Take back what is done inside, and only that, if anything is raised."""
    driver.execute("SAVEPOINT entry")
    try:
        yield
    except BaseException:
        driver.execute("ROLLBACK TO entry")
        raise
    finally:
        driver.execute("RELEASE entry")


def reader_engine(path: Path) -> Engine:
    """Return an engine whose connections can only read: as many as there are threads that read at once.

    A bound would be one more thing to wait for, and whoever reads while they read would wait for themselves.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=0,  # no bound
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", lambda connection, _: _pragmas(connection, read_only=True))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def prepare(path: Path) -> None:
    """Create the file or bring it to the version that this code knows.

    Raises:
        LedgerUnavailableError: the file or its folder cannot be written, or is not a database.
        LedgerVersionError: a newer Pratique wrote it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusively(path.with_suffix(".migrating")), _connected(path) as connection:
            _migrate(connection, path)
        path.chmod(0o600)
    except (OSError, DatabaseError, sqlite3.Error, UnicodeDecodeError) as problem:
        raise LedgerUnavailableError(f"{path}: {told(problem)}") from problem


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Hold an advisory lock; the kernel lets go of it when the process dies."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def purged(path: Path) -> bool:
    """Rewrite the file, so that no page of it or of its write-ahead log keeps what was deleted.

    Returns:
        False when another process reads an old view of the file: its pages must stay until it is done.

    Raises:
        LedgerUnavailableError: the file cannot be written.
    """
    engine = writer_engine(path)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            return not busy
    except DatabaseError as problem:
        raise unavailable(problem, path) from problem
    finally:
        engine.dispose()


def unavailable(problem: Exception, path: Path) -> LedgerUnavailableError:
    """Return the driver's error as ours, in one line."""
    return LedgerUnavailableError(f"the log at {path} cannot be written ({told(problem)}); calls are denied")


def _pragmas(connection: Any, *, read_only: bool = False) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA query_only=ON" if read_only else "PRAGMA secure_delete=ON")


@contextmanager
def _connected(path: Path) -> Iterator[Connection]:
    engine = writer_engine(path)
    try:
        with engine.connect() as connection, immediate(connection):
            yield connection
    finally:
        engine.dispose()


def _migrate(connection: Connection, path: Path) -> None:
    version = None
    if inspect(connection).has_table("alembic_version"):
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version == REVISION:
        return
    from pratique.ledger.migrations import known, upgrade  # noqa: PLC0415  # alembic is slow to import

    if version is not None and version not in known():
        raise LedgerVersionError(
            f"{path} was written by a newer Pratique (schema {version}; this one knows up to {REVISION}): "
            "upgrade this installation"
        )
    upgrade(connection)
