"""Record → rows for approvals: questions, votes, hand-overs, remarks, edits, standing approvals, notices.

Rules:
- As in `pratique.ledger.projection`, which calls these: a row holds nothing that the record does not say.
- Records of before version 4 have no shape: their rows have no rank, and nobody is told of them.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update

from pratique.ledger import tables as t
from pratique.model import Taint, Tier

Record = Mapping[str, Any]

ESCALATED = 100
"""How far ahead of all others a question comes that has escalated."""


def proposed(connection: Connection, record: Record) -> None:
    """A question is asked."""
    values = _as_asked(record)
    if "shape" in record:
        values |= {
            "subject": connection.execute(
                select(t.sessions.c.subject).where(t.sessions.c.id == record["session"])
            ).scalar()
            or "",
            "taint": record["taint"],
            "shape": record["shape"],
            "rank": rank(record["tier"], record["taint"]),
            "escalate_to": orjson.dumps(record["escalate_to"]).decode(),
            "escalate_us": record["ts_us"] + record["wait_s"] * 500_000,
            "edited_from": record.get("edited_from", ""),
            "edited_by": record.get("edited_by", ""),
        }
    connection.execute(insert(t.approvals).values(**values))
    told(connection, record)


def _as_asked(record: Record) -> dict[str, Any]:
    return {
        "ticket": record["ticket"],
        "session": record["session"],
        "call": record["call_id"],
        "digest": record["digest"],
        "card_digest": record["card_digest"],
        "epoch": record["epoch"],
        "agent": record["agent"],
        "tool": record["tool"],
        "tier": record["tier"],
        # Sorted, as in the record: what is rebuilt from its bytes must be the same text.
        "needs": orjson.dumps(record["needs"], option=orjson.OPT_SORT_KEYS).decode(),
        "state": "proposed",
        "reason": "",
        "decided_by": "[]",
        "votes": 0,
        "proposed_seq": record["seq"],
        "proposed_us": record["ts_us"],
        "wait_until_us": record["ts_us"] + record["wait_s"] * 1_000_000,
        "use_within_s": record["use_within_s"],
        "use_until_us": 0,
        "subject": "",
        "taint": "",
        "shape": "",
        "rank": 0,
        "escalate_to": "[]",
        "escalate_us": 0,
        "escalated_us": 0,
        "edited_from": "",
        "edited_to": "",
        "edited_by": "",
        "changes": 0,
    }


def rank(tier: str, taint: str) -> int:
    """Return where a question stands in the queue: the lower, the sooner it is shown."""
    return -(10 * Tier(tier).rank + Taint(taint).rank)


def voted(connection: Connection, record: Record) -> None:
    """Somebody answered."""
    connection.execute(
        insert(t.votes).values(
            ticket=record["ticket"],
            voter=record["voter"],
            vote=record["vote"],
            reason=record["reason"],
            ts_us=record["ts_us"],
        )
    )
    change(connection, record["ticket"], votes=t.approvals.c.votes + 1)


def decided(connection: Connection, record: Record) -> None:
    """A question has its answer."""
    within = connection.execute(
        select(t.approvals.c.use_within_s).where(t.approvals.c.ticket == record["ticket"])
    ).scalar_one()
    change(
        connection,
        record["ticket"],
        state=record["state"],
        reason=record["reason"],
        decided_by=orjson.dumps(record["approvers"]).decode(),
        use_until_us=record["ts_us"] + within * 1_000_000,
    )
    told(connection, record)


def expired(connection: Connection, record: Record) -> None:
    """A question ended without an answer."""
    change(connection, record["ticket"], state=record["state"], reason=record["reason"])
    told(connection, record)


def edited(connection: Connection, record: Record) -> None:
    """A question ended because what it asks about was edited."""
    change(
        connection,
        record["ticket"],
        state="edited",
        reason=record["reason"],
        decided_by=orjson.dumps([record["by"]]).decode(),
        edited_to=record["edited_to"],
    )
    told(connection, record)


def handed(connection: Connection, record: Record) -> None:
    """Somebody handed a question to somebody else."""
    connection.execute(
        insert(t.hand_overs).values(
            ticket=record["ticket"],
            person=record["by"],
            heir=record["to"],
            reason=record["reason"],
            ts_us=record["ts_us"],
            seq=record["seq"],
        )
    )
    change(connection, record["ticket"], changes=t.approvals.c.changes + 1)
    told(connection, record)


def escalated(connection: Connection, record: Record) -> None:
    """More people may answer, and it comes before what has not waited so long."""
    change(
        connection,
        record["ticket"],
        escalated_us=record["ts_us"],
        rank=t.approvals.c.rank - ESCALATED,
        changes=t.approvals.c.changes + 1,
    )
    told(connection, record)


def remarked(connection: Connection, record: Record) -> None:
    """Somebody asked the agent's person something, or that person answered."""
    connection.execute(
        insert(t.remarks).values(
            seq=record["seq"],
            ticket=record["ticket"],
            kind=record["kind"],
            speaker=record["speaker"],
            ts_us=record["ts_us"],
        )
    )
    told(connection, record)


def standing_made(connection: Connection, record: Record) -> None:
    """Somebody gave a yes beforehand."""
    connection.execute(
        insert(t.standings).values(
            id=record["standing"],
            agent=record["agent"],
            tenant=record["tenant"],
            tool=record["tool"],
            tool_digest=record["tool_digest"],
            state="active",
            people=orjson.dumps([record["by"]]).decode(),
            max_uses=record["max_uses"],
            uses=0,
            made_us=record["ts_us"],
            expires_us=record["expires_us"],
            used_us=0,
            ended_us=0,
            ended_by="",
            seq=record["seq"],
        )
    )


def standing_joined(connection: Connection, record: Record) -> None:
    """One more person stands behind it."""
    people = connection.execute(
        select(t.standings.c.people).where(t.standings.c.id == record["standing"])
    ).scalar_one()
    after = orjson.dumps([*orjson.loads(people), record["by"]]).decode()
    _standing(connection, record["standing"], people=after)


def standing_revoked(connection: Connection, record: Record) -> None:
    """It counts no more."""
    _standing(
        connection, record["standing"], state="revoked", ended_us=record["ts_us"], ended_by=record["by"]
    )


def standing_used(connection: Connection, record: Record) -> None:
    """An intent rests on it."""
    _standing(connection, record["standing"], uses=t.standings.c.uses + 1, used_us=record["ts_us"])


def told(connection: Connection, record: Record) -> None:
    """Put a notice into the outbox, if the record says that people are to be told."""
    if "tell" in record:
        connection.execute(
            insert(t.notices).values(
                seq=record["seq"], ticket=record["ticket"], event=record["tell"], ts_us=record["ts_us"]
            )
        )


def delivery(connection: Connection, record: Record) -> None:
    """A notice is about to be sent once more, was sent, or is given up."""
    key = (t.deliveries.c.notice == record["notice"]) & (t.deliveries.c.channel == record["channel"])
    values = {
        "state": record["state"],
        "attempts": record["attempts"],
        "next_us": record["next_us"],
        "problem": record["problem"],
    }
    if connection.execute(update(t.deliveries).where(key).values(**values)).rowcount == 0:
        connection.execute(
            insert(t.deliveries).values(notice=record["notice"], channel=record["channel"], **values)
        )


def change(connection: Connection, ticket: str, **columns: Any) -> None:
    """Set columns of a question."""
    connection.execute(update(t.approvals).where(t.approvals.c.ticket == ticket).values(**columns))


def _standing(connection: Connection, identity: str, **columns: Any) -> None:
    connection.execute(update(t.standings).where(t.standings.c.id == identity).values(**columns))
