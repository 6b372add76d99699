"""A ledger file opened for reading only, by whoever looks at it from outside.

Rules:
- SQLite itself refuses to write through what is opened here, whatever the file's own rights are.
- A reader has one view of the file, however it goes on growing.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Give one consistent view of a ledger file that is opened for reading only, and goes on growing."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            read_only(path), uri=True, isolation_level=None, check_same_thread=False
        ),
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
    finally:
        engine.dispose()


def read_only(path: Path) -> str:
    """Return the URI by which SQLite opens a file for reading only."""
    return f"file:{quote(str(path.resolve()))}?mode=ro"


def is_ragged(driver: sqlite3.Connection, path: Path) -> bool:
    """Return whether a file ends in the middle of a page, with nothing beside it that would complete it.

    SQLite refuses a file of which whole pages are missing, and rounds up what is left of the last one. With a
    write-ahead log beside it that is no damage: after a power cut the log has what the file lacks.

    Source: SQLite, "Database File Format", sections 1.2 and 4.
    """
    size = driver.execute("PRAGMA page_size").fetchone()[0]
    ahead = path.with_name(f"{path.name}-wal")
    return path.stat().st_size % size != 0 and not (ahead.exists() and ahead.stat().st_size)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, in the same transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"{type(driver).__name__} is not SQLite's connection")
    return driver
