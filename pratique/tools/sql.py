"""The SQL tools: `sql.query` and `sql.execute`, for databases that the host application declares.

Rules:
- A database is a secret that holds its URL: `sqlite:////path/to/file` or `postgresql://…`.
- Whatever a query returns is untrusted, unless its column was declared and the statement plainly shows it
  (`pratique.tools.sql_rows`).
- Values are parameters. The statement itself is content: an approver reads it whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pratique.errors import ToolDeclarationError, ToolError
from pratique.model import Confidentiality
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.sql_backend import READS, WRITES, Backend, demand
from pratique.tools.sql_rows import LARGEST_RESULT, Limits, Plain, plain, result
from pratique.tools.sql_sqlite import SQLiteBackend

MOST_ROWS = 1000
_GRACE = 10.0
_COLUMN = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")

Statement = Annotated[str, Field(min_length=1, max_length=20_000)]
Scalar = str | int | float | bool | None
Values = Annotated[tuple[Scalar, ...], Field(max_length=100)]


@dataclass(frozen=True)
class Database:
    """A database as the host application declares it.

    Args:
        secret: the name of the secret that holds its URL.
        sources: `table.column`, in lower case, → who may have written it (`FieldLabel`). On PostgreSQL these
            are tables of the schema `public`.
        seconds: how long a statement may take.
    """

    secret: str
    sources: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 10.0


def sql_tools(
    databases: Mapping[str, Database], *, confidentiality: Confidentiality = Confidentiality.CONFIDENTIAL
) -> list[Tool]:
    """Return `sql.query` and `sql.execute` for some databases.

        sql_tools({"crm": Database("crm_url", sources={"customers.id": "meta:customer"})})

    Args:
        databases: name → database.
        confidentiality: the class of what they hold.

    Raises:
        ToolDeclarationError: there is none, or a column's declaration is wrong, or two disagree.
    """
    if not databases:
        raise ToolDeclarationError("sql_tools: no database is declared")
    facts: dict[str, Any] = {
        "confidentiality": confidentiality,
        "secrets": tuple(dict.fromkeys(database.secret for database in databases.values())),
        "timeout": max(database.seconds for database in databases.values()) + _GRACE,
        "result_limit": 2 * LARGEST_RESULT + 256 * 1024,
    }
    return [_query(dict(databases), facts), _execute(dict(databases), facts)]


def _query(databases: dict[str, Database], facts: dict[str, Any]) -> Tool:
    Name = _name_of(databases)  # noqa: N806  # a type
    sources = {"row_count": "meta", "truncated": "meta", "*": "untrusted", **_sources(databases)}

    @tool(
        "sql.query",
        tier="read",
        sources=sources,
        sinks={"database": "selector", "statement": "content", "parameters": "selector"},
        **facts,
    )
    async def query(
        ctx: ToolContext,
        database: Name,  # type: ignore[valid-type]  # made for these databases
        statement: Statement,
        parameters: Values = (),
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 100,
    ) -> dict[str, Any]:
        """Run one query. Values are given as `parameters`, and named `$1`, `$2` in the statement."""
        demand(statement, READS)
        chosen = databases[database]
        declared = _declared(statement, chosen)
        limits = Limits(limit, chosen.seconds)
        backend = _backend(ctx.secret(chosen.secret), database)
        rows, confirmed = await backend.read(statement, parameters, limits, declared)
        return result(rows, declared if confirmed else None)

    return query


def _execute(databases: dict[str, Database], facts: dict[str, Any]) -> Tool:
    Name = _name_of(databases)  # noqa: N806  # a type

    @tool(
        "sql.execute",
        tier="write",
        # An error of the database may quote what is in it.
        sources={"rows_affected": "meta", "*": "untrusted"},
        sinks={"database": "dest", "statement": "content", "parameters": "content"},
        **facts,
    )
    async def execute(
        ctx: ToolContext,
        database: Name,  # type: ignore[valid-type]  # made for these databases
        statement: Statement,
        parameters: Values = (),
    ) -> dict[str, Any]:
        """Run one INSERT, UPDATE, DELETE or MERGE. Values are `parameters`, named `$1`, `$2` in it."""
        demand(statement, WRITES)
        chosen = databases[database]
        backend = _backend(ctx.secret(chosen.secret), database)
        return {"rows_affected": await backend.write(statement, parameters, chosen.seconds)}

    return execute


def _name_of(databases: Mapping[str, Database]) -> Any:
    """Return the type of an argument that names one of the databases; its schema lists them."""

    def known(name: str) -> str:
        if name not in databases:
            raise ValueError(f"there is no such database; there are {', '.join(sorted(databases))}")
        return name

    names: list[JsonValue] = [*sorted(databases)]
    return Annotated[str, AfterValidator(known), Field(json_schema_extra={"enum": names})]


def _sources(databases: Mapping[str, Database]) -> dict[str, str]:
    """Return where `result` puts the declared columns, with their labels."""
    by_table: dict[str, dict[str, str]] = {}
    for name, database in databases.items():
        for table, columns in _tables(name, database).items():
            # One declaration speaks for all results of the tool, whichever database they come from.
            if by_table.setdefault(table, columns) != columns:
                raise ToolDeclarationError(f"{name}: two databases differ on {table!r}: make tools for each")
    return {
        f"rows[].{table}.{column}": label
        for table, columns in by_table.items()
        for column, label in columns.items()
    }


def _tables(name: str, database: Database) -> dict[str, dict[str, str]]:
    """Return table → column → label."""
    tables: dict[str, dict[str, str]] = {}
    for place, label in database.sources.items():
        if not _COLUMN.fullmatch(place):
            raise ToolDeclarationError(f"{name}: the column {place!r} is not table.column in lower case")
        table, _, column = place.partition(".")
        tables.setdefault(table, {})[column] = label
    return tables


def _declared(statement: str, database: Database) -> Plain | None:
    """Return the statement's plain form, if the declaration knows its table."""
    found = plain(statement)
    tables = {column.partition(".")[0] for column in database.sources}
    return found if found is not None and found.table in tables else None


def _backend(url: str, name: str) -> Backend:
    """Return the database behind a URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ToolError(f"the database {name!r} has no valid URL") from None
    if parsed.get_backend_name() == "postgresql":
        from pratique.tools.sql_postgres import PostgresBackend  # noqa: PLC0415  # an extra

        return PostgresBackend(url.replace(parsed.drivername, "postgresql", 1), name)
    path = Path(parsed.database or "")
    if parsed.get_backend_name() != "sqlite" or not path.is_absolute():
        raise ToolError(f"the database {name!r} needs postgresql://… or sqlite:////absolute/path")
    return SQLiteBackend(path, name)
