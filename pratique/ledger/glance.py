"""A look at one row, here and now: what every request of a door asks before anything else.

Rules:
- One statement, by a key, on a connection of its own that can only read. It takes microseconds, so it may be
  done in the event loop; a thread would cost more than the look.
- It sees what was committed before it began, by whichever process.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pratique.ledger.database import BUSY_SECONDS, unavailable


class Glance:
    """Looks into one ledger.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        self._connection.execute("PRAGMA query_only=ON")

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row that the statement gives.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        try:
            with self._lock:
                found = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as problem:
            raise unavailable(problem, self._path) from problem
        return None if found is None else tuple(found)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
