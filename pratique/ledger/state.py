"""The state at one place in the log, as text: what a dropped segment leaves behind for those who rebuild.

Rules:
- The text is canonical: tables and rows in order. The record that drops a segment names its SHA-256, so a
  forged state is found as a changed record is.
- It lies among the blobs, which are never dropped.
"""

import hashlib
from typing import Any, Final

import orjson
from sqlalchemy import Connection, insert, select

from pratique.errors import LedgerCorruptError
from pratique.ledger import tables as t

FORMAT: Final = "pratique-state/1"


def dump(state: Connection, upto: int) -> bytes:
    """Return the state tables as text.

    Args:
        state: whose tables to take.
        upto: the last record that made them.
    """
    tables = {str(table.name): sorted(list(row) for row in state.execute(select(table))) for table in t.STATE}
    return orjson.dumps({"format": FORMAT, "upto": upto, "tables": tables}, option=orjson.OPT_SORT_KEYS)


def load(connection: Connection, into: Connection) -> int:
    """Put the state that the last dropped segment left into empty tables; return the last record it has.

    Raises:
        LedgerCorruptError: the text is missing, or is not the one that the log names.
    """
    row: Any = connection.execute(
        select(t.segments).where(t.segments.c.dropped_seq > 0).order_by(t.segments.c.last.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return 0
    body = connection.execute(select(t.blobs.c.body).where(t.blobs.c.digest == row.state)).scalar()
    if type(body) is not bytes or hashlib.sha256(body).hexdigest() != row.state:
        raise LedgerCorruptError(f"the state that was kept for records 1 to {row.last} is not there")
    kept = orjson.loads(body)
    if kept["format"] != FORMAT or kept["upto"] != row.last:
        raise LedgerCorruptError(f"the state that was kept is not that of records 1 to {row.last}")
    for table in t.STATE:
        names = [column.name for column in table.columns]
        rows = [dict(zip(names, each, strict=True)) for each in kept["tables"].get(table.name, [])]
        if rows:
            into.execute(insert(table), rows)
    return int(row.last)
