"""PostgreSQL for the SQL tools. Needs the extra `postgres`.

Rules:
- A query is put into `SELECT … FROM (query)`, where nothing but a query can stand, and is sent by the
  extended protocol, which takes one statement. Its transaction is READ ONLY and is never committed.
- What a read-only transaction does not hold back (files, programs, other roles) is the role's business: one
  that may do such things is refused before any statement.
- A change's transaction is committed only if the server says that it was INSERT, UPDATE, DELETE or MERGE.
- The server ends what takes too long; so do we, because a function can change the server's mind.
- The server holds back a row that is too large, because the client's library would take it whole.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, cast

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.string import TextLoader

from pratique.errors import OutcomeUnknownError, ToolError
from pratique.tools.sql_backend import Parameters
from pratique.tools.sql_rows import LARGEST_ROW, TOO_LARGE, Gathering, Limits, Plain, Rows, refused

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]
_Stream = AsyncGenerator[tuple[Any, ...], None]

_CONNECT_SECONDS = 5
_LOCK_SHARE = 0.5
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_NATIVE = frozenset({"bool", "int2", "int4", "int8", "float4", "float8"})
_TOO_LARGE = "the row is too large"

_PREPARE = b"""
    SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true),
           set_config('idle_in_transaction_session_timeout', $1, true),
           (SELECT bool_or(rolsuper OR rolname IN
                ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
            FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(oid, 'MEMBER'))
"""


def _as_text() -> AdaptersMap:
    """Return how values are read: as the server writes them, but for those that JSON has as well."""
    adapters = AdaptersMap(psycopg.adapters)
    for kind in adapters.types:
        if kind.name not in _NATIVE:
            adapters.register_loader(kind.oid, TextLoader)
        if kind.array_oid:
            adapters.register_loader(kind.array_oid, TextLoader)
    return adapters


_ADAPTERS = _as_text()


class PostgresBackend:
    """A database on a server.

    Args:
        url: libpq's connection URL (`postgresql://…`).
        name: what the tools call it.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name

    async def read(
        self, statement: str, parameters: Parameters, limits: Limits, declared: Plain | None
    ) -> tuple[Rows, bool]:
        """Run a query in a READ ONLY transaction, which is never committed."""
        gathering = Gathering(limits)
        async with (
            self._in_time(limits.seconds),
            self._transaction(limits.seconds, read_only=True) as connection,
        ):
            table = await _oid_of(connection, declared) if declared else 0
            cursor = connection.cursor()
            rows = cast("_Stream", cursor.stream(_enclosed(statement, limits.rows + 1), parameters))
            async with aclosing(rows):
                async for row in rows:
                    if not gathering.take(row):
                        break
                columns = [column.name for column in cursor.description or ()]
                confirmed = bool(table) and _origins(cursor) == {table}
        return gathering.rows(columns), confirmed

    async def write(self, statement: str, parameters: Parameters, seconds: float) -> int:
        """Run a change, and commit it."""
        async with self._transaction(seconds, read_only=False) as connection:
            async with self._in_time(seconds):
                # `prepare` sends it by the extended protocol, which takes one statement.
                cursor = await connection.cursor().execute(statement.encode(), parameters, prepare=True)
            if (cursor.statusmessage or "").partition(" ")[0] not in _CHANGES:
                raise ToolError(f"the database {self._name!r} did nothing: that is no change of rows")
            await _commit(connection, seconds)
            return cursor.rowcount

    @asynccontextmanager
    async def _transaction(self, seconds: float, *, read_only: bool) -> AsyncIterator[_Connection]:
        """Give a connection inside of a transaction; whatever is not committed is undone."""
        async with self._in_time(_CONNECT_SECONDS):
            connection = await self._connect()
        try:
            with _in_words(self._name):
                await connection.set_read_only(read_only)
                async with self._in_time(seconds):
                    await self._prepare(connection, seconds)
                yield connection
        finally:
            await connection.close()

    async def _connect(self) -> _Connection:
        try:
            return await psycopg.AsyncConnection.connect(
                self._url,
                context=_ADAPTERS,
                cursor_factory=psycopg.AsyncRawCursor,
                application_name="pratique",
            )
        except psycopg.Error:  # its text names hosts and users
            raise ToolError(f"the database {self._name!r} cannot be reached") from None

    async def _prepare(self, connection: _Connection, seconds: float) -> None:
        """Set the server's own time limits, and look at what the role may do."""
        limits = (str(round(seconds * 1000)), str(round(seconds * 1000 * _LOCK_SHARE)))
        found = await (await connection.cursor().execute(_PREPARE, limits)).fetchone()
        if found is None or found[-1] is not False:
            raise ToolError(
                f"the database {self._name!r} is not used: its role may do anything, or reach files"
            )

    @asynccontextmanager
    async def _in_time(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise ToolError(f"the database {self._name!r} took longer than {seconds:g} s") from None


def _enclosed(statement: str, most: int) -> bytes:
    """Return the statement where only a query can stand, with the size of each row looked at by the server.

    The name cannot be guessed, so a statement with brackets that do not match cannot end up beside the check.
    """
    name = f"q{secrets.token_hex(8)}"
    checked = f"(CASE WHEN octet_length({name}::text) <= {LARGEST_ROW} THEN 'true' ELSE '{_TOO_LARGE}' END)"
    query = statement.rstrip().removesuffix(";")
    whole = f"SELECT {name}.* FROM (\n{query}\n) AS {name} WHERE {checked}::boolean LIMIT {most}"  # noqa: S608  # that is the tool
    return whole.encode()


async def _oid_of(connection: _Connection, declared: Plain) -> int:
    """Return the table of the schema `public` that the declaration means, or 0."""
    cursor = await connection.cursor().execute(
        b"SELECT coalesce(to_regclass('public.' || quote_ident($1))::oid::int8, 0)", [declared.table]
    )
    found = await cursor.fetchone()
    return int(found[0]) if found else 0


def _origins(cursor: psycopg.AsyncCursor[Any]) -> set[int]:
    """Return the tables that the server says the columns come from; 0 for what comes from none."""
    shape = cursor.pgresult
    return {shape.ftable(number) for number in range(shape.nfields)} if shape else set()


async def _commit(connection: _Connection, seconds: float) -> None:
    """Commit, and do not stop waiting half-way."""
    try:
        async with asyncio.timeout(seconds):
            await connection.commit()
    except (psycopg.OperationalError, TimeoutError):
        raise OutcomeUnknownError("the commit was sent and not answered") from None


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn the server's errors into one that the agent may read."""
    try:
        yield
    except psycopg.Error as problem:
        words = problem.diag.message_primary or str(problem)
        if _TOO_LARGE in words:
            raise ToolError(TOO_LARGE) from None
        raise refused(f"the database {name!r} refused", words) from None
