"""The state tables as the log makes them: put together anew in memory, and held against what is stored.

An attacker who can modify the stored tables can mislead whatever reads them, until somebody compares.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.pool import StaticPool

from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.projection import changes_state, project
from pratique.ledger.state import load


def forged_table(connection: Connection) -> str:
    """Return the name of the first state table that is not what the log makes of it, or nothing."""
    with rebuilt(connection) as other:
        differing = (table for table in t.STATE if _rows(connection, table) != _rows(other, table))
        found = next(differing, None)
    return "" if found is None else found.name


@contextmanager
def rebuilt(connection: Connection, upto: int | None = None) -> Iterator[Connection]:
    """Give a database in memory whose state tables are what the log makes of them.

    Args:
        connection: of the ledger.
        upto: the last record that counts; left out, all do.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as state:
            t.metadata.create_all(state, tables=list(t.STATE))
            after = load(connection, state)
            for number, _, body in queries.stored(connection, after):
                if upto is not None and number > upto:
                    break
                record = orjson.loads(body)
                if changes_state(record):
                    project(state, record)
            yield state
    finally:
        engine.dispose()


def _rows(connection: Connection, table: Table) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in connection.execute(select(table))}
