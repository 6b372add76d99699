"""SQLite for the SQL tools.

Rules:
- A query's connection is opened read-only, and told so twice more: by `query_only`, and by an authorizer that
  knows nothing but reading (`sql_sqlite_rights`).
- Time is watched between the steps of SQLite's machine; one call of a function is one step. Large sorts go to
  the disk for as long as the time lasts.
- The standard library's SQLite is used, and no other copy: two in one process lose each other's locks
  (sqlite.org, "How To Corrupt", 2.2.1).
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from pratique.errors import OutcomeUnknownError, ToolError
from pratique.sandbox.threads import in_thread
from pratique.tools.sql_backend import Parameters, numbered
from pratique.tools.sql_rows import Gathering, Limits, Plain, Rows, refused
from pratique.tools.sql_sqlite_rights import CHANGING, LIMITS, READING, authorizer

_STEPS = 1000
_LOCK_SHARE = 0.5


class SQLiteBackend:
    """A database file.

    Args:
        path: the file; it must exist.
        name: what the tools call it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    async def read(
        self, statement: str, parameters: Parameters, limits: Limits, declared: Plain | None
    ) -> tuple[Rows, bool]:
        """Run a query on a connection that cannot write."""

        def work() -> Rows:
            with self._open("ro", limits.seconds) as connection, _in_words(self._name):
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                connection.set_authorizer(authorizer(READING))
                cursor = connection.execute(statement, numbered(parameters))
                gathering = Gathering(limits)
                for row in cursor:
                    if not gathering.take(row):
                        break
                return gathering.rows([column[0] for column in cursor.description or ()])

        # The plain form names one table, and no other database can be attached: it needs no second look.
        return await in_thread(work, abandon_on_cancel=True), declared is not None

    async def write(self, statement: str, parameters: Parameters, seconds: float) -> int:
        """Run a change, and commit it."""

        def work() -> int:
            with self._open("rw", seconds) as connection, _in_words(self._name):
                connection.execute("BEGIN IMMEDIATE")
                connection.set_authorizer(authorizer(CHANGING))
                if connection.execute(statement, numbered(parameters)).description is not None:
                    raise ToolError(
                        f"the database {self._name!r} refused: that is no change, or it returns rows"
                    )
                changed = int(connection.execute("SELECT changes()").fetchone()[0])
                connection.set_authorizer(None)
                _commit(connection)
                return changed

        return await in_thread(work)

    @contextmanager
    def _open(self, mode: str, seconds: float) -> Iterator[sqlite3.Connection]:
        """Give a connection that stops when the time is up; whatever was not committed is undone."""
        deadline = time.monotonic() + seconds
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=seconds * _LOCK_SHARE,
                check_same_thread=False,
            )
        except sqlite3.Error:
            raise ToolError(f"the database {self._name!r} cannot be opened") from None
        with closing(connection):
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            for limit, value in LIMITS.items():
                connection.setlimit(limit, value)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            yield connection


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as problem:
        busy = problem.sqlite_errorcode == sqlite3.SQLITE_BUSY
        raise (ToolError if busy else OutcomeUnknownError)(f"the commit failed: {problem}") from None


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn SQLite's errors into one that the agent may read."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as problem:
        interrupted = getattr(problem, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT
        what = "took too long" if interrupted else "refused"
        raise refused(f"the database {name!r} {what}", problem) from None
