"""Record → rows: the state tables as a function of the log.

Rules:
- The sequencer applies a record's rows in the transaction that appends it, and `rebuild` applies the same
  function to every stored record. That is why the two cannot differ.
- A record's type decides which function runs; a type that changes no state has none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from pratique.capabilities.labels import join
from pratique.ledger import projection_approvals as asked
from pratique.ledger import tables as t
from pratique.ledger.projection_identity import IDENTITY
from pratique.ledger.projection_pinning import PINNING
from pratique.model import Confidentiality, Integrity, Label

Record = Mapping[str, Any]
Project = Callable[[Connection, Record], None]


def project(connection: Connection, record: Record) -> None:
    """Bring the state tables up to date with one record."""
    change = _CHANGES.get(record["type"])
    if change is not None:
        change(connection, record)


def changes_state(record: Record) -> bool:
    """Return whether `project` would do anything: the hot path asks first."""
    if record["type"] == "call.outcome":
        return "intent" in record or "context" in record
    return record["type"] in _CHANGES


def empty(connection: Connection) -> None:
    """Delete all state, before it is rebuilt."""
    for table in t.STATE:
        connection.execute(delete(table))


def _policy_load(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.policies).values(
            epoch=record["epoch"],
            digest=record["policy_digest"],
            applied_by=record["applied_by"],
            ts_us=record["ts_us"],
        )
    )


def _session_open(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.sessions).values(
            id=record["session"],
            trace_id=record["trace_id"],
            agent=record["agent"],
            tenant=record["tenant"],
            subject=record["subject"],
            **_columns(Label.model_validate(record["context"])),
            writer=record["writer"],
            opened_us=record["ts_us"],
            closed_us=0,
            api_key=record.get("api_key", ""),
        )
    )


def _session_resume(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.sessions).where(t.sessions.c.id == record["session"]).values(writer=record["writer"])
    )


def _session_close(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.sessions).where(t.sessions.c.id == record["session"]).values(closed_us=record["ts_us"])
    )


def _call_intent(connection: Connection, record: Record) -> None:
    # A tool that takes an idempotency key may run again after an unknown outcome: that intent is replaced.
    connection.execute(
        delete(t.calls).where(
            t.calls.c.session == record["session"],
            t.calls.c.call == record["call_id"],
            t.calls.c.digest == record["digest"],
        )
    )
    connection.execute(
        insert(t.calls).values(
            session=record["session"],
            call=record["call_id"],
            digest=record["digest"],
            tool=record["tool"],
            agent=record["agent"],
            state="started",
            writer=record["writer"],
            ticket=record["ticket"],
            intent_seq=record["seq"],
            outcome_seq=0,
        )
    )
    if record["ticket"]:
        asked.change(connection, record["ticket"], state="started")
    if "standing" in record:
        asked.standing_used(connection, record)
    for rule in record["grants"]:
        _count_use(connection, rule)
    for carried in record.get("carried", ()):
        _keep_marks(connection, carried, record["seq"])


def _call_outcome(connection: Connection, record: Record) -> None:
    if "intent" in record:
        connection.execute(
            update(t.calls)
            .where(t.calls.c.intent_seq == record["intent"])
            .values(state=record["outcome"], outcome_seq=record["seq"])
        )
        if record["ticket"]:
            state = "unknown" if record["outcome"] == "unknown" else "finished"
            asked.change(connection, record["ticket"], state=state)
            asked.told(connection, record)
    if "context" in record:
        _raise_context(connection, record["session"], record["context"])


def _raise_context(connection: Connection, session: str, context: Mapping[str, Any]) -> None:
    """Join the session's label with a record's: two processes that serve one session cannot lower it."""
    row = connection.execute(select(t.sessions).where(t.sessions.c.id == session)).one()
    joined = join(stored_label(row), Label.model_validate(context))
    connection.execute(update(t.sessions).where(t.sessions.c.id == session).values(**_columns(joined)))


def stored_label(row: Any) -> Label:
    """Return the label in a row of `sessions`."""
    return Label(
        integrity=Integrity(row.integrity),
        confidentiality=Confidentiality(row.confidentiality),
        sources=frozenset(orjson.loads(row.sources)),
    )


def _columns(label: Label) -> dict[str, str]:
    return {
        "integrity": label.integrity.value,
        "confidentiality": label.confidentiality.value,
        "sources": orjson.dumps(sorted(label.sources)).decode(),
    }


def _keep_marks(connection: Connection, carried: Mapping[str, Any], seq: int) -> None:
    """Remember what a write carries, once: by the intent, because it may take effect before its outcome."""
    facts = {name: carried[name] for name in ("source", "integrity", "confidentiality")}
    same = (t.written.c[name] == value for name, value in facts.items())
    known = set(
        connection.execute(
            select(t.written.c.mark).where(t.written.c.mark.in_(carried["marks"]), *same)
        ).scalars()
    )
    rows = [
        {"mark": mark, **facts, "seq": seq} for mark in dict.fromkeys(carried["marks"]) if mark not in known
    ]
    if rows:
        connection.execute(insert(t.written), rows)


def _count_use(connection: Connection, rule: str) -> None:
    raised = connection.execute(
        update(t.grant_uses).where(t.grant_uses.c.rule == rule).values(uses=t.grant_uses.c.uses + 1)
    )
    if raised.rowcount == 0:
        connection.execute(insert(t.grant_uses).values(rule=rule, uses=1))


def _key_rotate(connection: Connection, record: Record) -> None:
    stated = {"key": record["new"], "old": record["old"], "statement": record["statement"]}
    connection.execute(insert(t.log_keys).values(seq=record["seq"], **stated))


def _segment_seal(connection: Connection, record: Record) -> None:
    connection.execute(delete(t.segments).where(t.segments.c.last == record["last"]))
    connection.execute(
        insert(t.segments).values(
            **{name: record[name] for name in ("first", "last", "leaf", "root", "bundle")},
            state="",
            sealed_seq=record["seq"],
            dropped_seq=0,
        )
    )


def _segment_drop(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.segments)
        .where(t.segments.c.last == record["last"])
        .values(state=record["state"], dropped_seq=record["seq"])
    )


def _hold_set(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.holds).values(
            id=record["hold"],
            **{name: record[f"of_{name}"] for name in ("session", "subject", "first", "last")},
            reason=record["reason"],
            set_by=record["by"],
            set_us=record["ts_us"],
            lifted_us=0,
        )
    )


def _hold_lift(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.holds).where(t.holds.c.id == record["hold"]).values(lifted_us=record["ts_us"])
    )


_CHANGES: Mapping[str, Project] = {
    "key.rotate": _key_rotate,
    "segment.seal": _segment_seal,
    "segment.drop": _segment_drop,
    "hold.set": _hold_set,
    "hold.lift": _hold_lift,
    "policy.load": _policy_load,
    "session.open": _session_open,
    "session.resume": _session_resume,
    "session.close": _session_close,
    "call.intent": _call_intent,
    "call.outcome": _call_outcome,
    "approval.proposed": asked.proposed,
    "approval.vote": asked.voted,
    "approval.decided": asked.decided,
    "approval.expired": asked.expired,
    "approval.edited": asked.edited,
    "approval.handed": asked.handed,
    "approval.escalated": asked.escalated,
    "approval.remark": asked.remarked,
    "standing.made": asked.standing_made,
    "standing.joined": asked.standing_joined,
    "standing.revoked": asked.standing_revoked,
    "notice.delivery": asked.delivery,
    **IDENTITY,
    **PINNING,
}
