"""What a ledger file may hold: its tables and their indexes, and nothing that acts on its own.

A trigger or a view that somebody adds can change state, or hide records, behind the back of every check that
looks at tables. So whatever this version does not know is named.
"""

from sqlalchemy import Connection, text

from pratique.ledger import tables as t

_OTHERS = frozenset({("table", "alembic_version")})


def foreign_objects(connection: Connection) -> list[str]:
    """Return what stands in the schema and is not ours, as `trigger broken`, sorted.

    SQLite's own objects (`sqlite_…`) are left out: nobody can make others by that name.
    """
    rows = connection.execute(text("SELECT type, name, tbl_name FROM sqlite_master"))
    known = _known()
    return sorted(
        f"{row.type} {row.name}"
        for row in rows
        if (row.type, row.name) not in known and not str(row.name).startswith("sqlite_")
    )


def _known() -> set[tuple[str, str]]:
    tables = {("table", table.name) for table in t.metadata.sorted_tables}
    indexes = {("index", str(index.name)) for table in t.metadata.sorted_tables for index in table.indexes}
    return tables | indexes | _OTHERS
