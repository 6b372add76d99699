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


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, in the same transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"{type(driver).__name__} is not SQLite's connection")
    return driver
