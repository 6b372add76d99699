"""What our own writes carried, looked up by mark: asked of every result, so it must cost next to nothing.

Rules:
- Each look-up reads the committed state of that moment, other processes' writes included. An intent is
  committed before its effect, so what can be read back is in the table.
- While nothing tainted was ever written, a result costs a look at one byte, and nothing is hashed: whoever
  commits the first such write sets a flag before, which all processes see.
- Marks are never taken out, so that a table which was not empty need not be asked again.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from pratique.errors import PratiqueError
from pratique.ledger.flag import Flag
from pratique.model import Confidentiality, Integrity

_IS_THERE = "SELECT 1 FROM written LIMIT 1"
_FIND = (
    "SELECT mark, source, integrity, confidentiality FROM written"
    " WHERE mark IN (SELECT value FROM json_each(?)) ORDER BY seq, mark, source, integrity"
)
_AT_ONCE = 10_000

Failed = Callable[[Exception], PratiqueError]


class Origin(NamedTuple):
    """Where a value that we wrote came from, and its label."""

    source: str
    integrity: Integrity
    confidentiality: Confidentiality


class Written:
    """Reads the table `written` over one connection of its own.

    Args:
        engine: whose connections can only read.
        flag: set by whoever fills the table, before.
        failed: makes the error to raise when the database cannot be read.

    Raises:
        LedgerUnavailableError: the database cannot be read.
    """

    def __init__(self, engine: Engine, flag: Flag, failed: Failed) -> None:
        self._engine, self._flag, self._failed = engine, flag, failed
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._filled = bool(self._rows(_IS_THERE))

    def is_empty(self) -> bool:
        """Return whether nothing that was ever written carried anything."""
        return not (self._filled or self._flag)

    def will_be_filled(self) -> None:
        """Tell every process of the house; before the transaction that fills the table is committed."""
        self._filled = True
        self._flag.set()

    def find(self, marks: Collection[str]) -> dict[str, list[Origin]]:
        """Return the origins of the marks that are there.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        found: dict[str, list[Origin]] = {}
        wanted = list(marks)
        for start in range(0, len(wanted), _AT_ONCE):
            asked = orjson.dumps(wanted[start : start + _AT_ONCE]).decode()
            for mark, source, integrity, confidentiality in self._rows(_FIND, asked):
                origin = Origin(source, Integrity(integrity), Confidentiality(confidentiality))
                found.setdefault(mark, []).append(origin)
        return found

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._flag.close()

    def _rows(self, statement: str, *parameters: str) -> Iterable[tuple[str, ...]]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                driver = self._connection.connection.driver_connection
                if not isinstance(driver, sqlite3.Connection):
                    raise TypeError(f"{type(driver).__name__} is not SQLite's connection")
                return driver.execute(statement, parameters).fetchall()
            except (DatabaseError, sqlite3.Error) as problem:
                raise self._failed(problem) from problem
