"""Which open session an MCP request goes on with, as the ledger has it: a restart begins nothing anew.

Rules:
- A session is that of one key, one user and one run. What it has seen is forgotten only when it is over.
- One that was quiet for an hour, and in which nothing waits, is not gone on with.
"""

from typing import Any

import orjson
from sqlalchemy import Connection, or_, select

from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger

IDLE_US = 3600 * 1_000_000
MOST_LOOKED_AT = 500
"""Open sessions of one key and user, the newest, among which one is looked for."""


def inputs_of(run: str) -> dict[str, Any]:
    """Return what the record of a session's opening says of where it comes from."""
    return {"door": "mcp", "run": run}


def left_open(connection: Connection, ledger: Ledger, key: str, subject: str, run: str) -> str | None:
    """Return the newest session that a key, a user and a run may go on with.

    Args:
        connection: one view of the ledger.
        ledger: its vault opens what a session's opening says.
        key: the key's id.
        subject: the user's pseudonym.
        run: what the client calls its run.
    """
    chosen = (
        select(t.sessions.c.id)
        .where(t.sessions.c.api_key == key, t.sessions.c.subject == subject, t.sessions.c.closed_us == 0)
        .order_by(t.sessions.c.opened_us.desc())
        .limit(MOST_LOOKED_AT)
    )
    now_us = ledger.clock()
    for name in connection.execute(chosen).scalars().all():
        alive = now_us - _last_us(connection, name) < IDLE_US or waits(connection, name, now_us)
        if alive and _inputs(connection, ledger, name) == inputs_of(run):
            return str(name)
    return None


def waits(connection: Connection, session: str, now_us: int) -> bool:
    """Return whether a question of a session can still be answered, or its yes be used."""
    question = t.approvals.c
    chosen = select(question.ticket).where(
        question.session == session,
        or_(
            (question.state == "proposed") & (question.wait_until_us > now_us),
            (question.state == "approved") & (question.use_until_us > now_us),
        ),
    )
    return connection.execute(chosen.limit(1)).scalar() is not None


def _last_us(connection: Connection, session: str) -> int:
    """Return when something of a session was last recorded."""
    chosen = select(t.records.c.body).where(t.records.c.session == session)
    body = connection.execute(chosen.order_by(t.records.c.seq.desc()).limit(1)).scalar()
    return 0 if body is None else int(orjson.loads(body)["ts_us"])


def _inputs(connection: Connection, ledger: Ledger, session: str) -> Any:
    """Return what a session's opening says of where it comes from; None if that was erased."""
    chosen = select(t.records.c.body).where(t.records.c.session == session)
    body = connection.execute(chosen.order_by(t.records.c.seq).limit(1)).scalar()
    opening = {} if body is None else orjson.loads(body)
    owner = queries.subject_of(connection, opening["seq"]) if opening else None
    if owner is None or not ledger.learn(connection, owner):
        return None
    found = queries.values(connection, ledger.vault, opening).get("inputs")
    return orjson.loads(found.value) if found is not None and found.genuine else None
