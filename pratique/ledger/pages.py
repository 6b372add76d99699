"""Lists in pages, for doors: what comes after a cursor, and not more than asked for.

A cursor is the number of a record, or a time: a list that grows meanwhile has no gaps and no repeats.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.queries import Record


def approvals(connection: Connection, states: Sequence[str], after: int, most: int) -> list[Any]:
    """Return questions in these states (any, if empty), oldest first, after the record `after`."""
    chosen = select(t.approvals).where(t.approvals.c.proposed_seq > after)
    if states:
        chosen = chosen.where(t.approvals.c.state.in_(states))
    return list(connection.execute(chosen.order_by(t.approvals.c.proposed_seq).limit(most)))


def sessions(connection: Connection, before: tuple[int, str], most: int, agent: str = "") -> list[Any]:
    """Return sessions, newest first, that were opened before this moment (µs) and id."""
    opened, name = t.sessions.c.opened_us, t.sessions.c.id
    chosen = select(t.sessions).where((opened < before[0]) | ((opened == before[0]) & (name < before[1])))
    if agent:
        chosen = chosen.where(t.sessions.c.agent == agent)
    return list(connection.execute(chosen.order_by(opened.desc(), name.desc()).limit(most)))


def records(connection: Connection, after: int, most: int, session: str = "") -> list[Record]:
    """Return records, of this session if one is named, oldest first, after number `after`."""
    chosen = select(t.records.c.body).where(t.records.c.seq > after)
    if session:
        chosen = chosen.where(t.records.c.session == session)
    chosen = chosen.order_by(t.records.c.seq).limit(most)
    return [orjson.loads(row.body) for row in connection.execute(chosen)]


def last(connection: Connection) -> int:
    """Return the number of the newest record, 0 for none."""
    return connection.execute(select(func.max(t.records.c.seq))).scalar() or 0


def newest_checkpoint(connection: Connection) -> str | None:
    """Return the signed note of the largest checkpoint, as text; None when there is none yet."""
    found = queries.newest_checkpoint(connection)
    return None if found is None else str(found.note)
