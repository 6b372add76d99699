"""What became of a call: read back from the ledger, for a request that is made again.

Rules:
- A call that was denied may be asked again: the policy may have changed. Anything else is as it was recorded.
- Of a call that a person edited, it is what became of the call as they left it.
- A value is given back only if the record's commitment fits it.
"""

from typing import Any

import orjson
from sqlalchemy import Connection

from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.vault import Opened
from pratique.model import (
    Call,
    Confidentiality,
    Edit,
    Edited,
    Integrity,
    Label,
    Outcome,
    Reason,
    Status,
    Tier,
    Unresolved,
)
from pratique.stages.withheld import without


def recall(connection: Connection, ledger: Ledger, call: Call | Unresolved) -> Outcome | None:
    """Return the recorded outcome of this very call, or None when it may run.

    A question that waits, or a yes that is not used yet, gives a `pending` outcome. An intent without an
    outcome gives `unknown`.
    """
    if isinstance(call, Unresolved):
        return None
    session, call_id = call.request.subject.session, call.request.call_id
    digest = queries.final_digest(connection, session, call_id, call.digest)
    row = queries.call(connection, session, call_id, digest)
    if row is not None and row.state == "unknown" and call.capability.takes_idempotency_key:
        return None
    if row is not None and row.state == "started":
        return _without_outcome(call, row.ticket)
    for record in reversed(queries.records_of(connection, session, call_id)):
        if record["type"] == "call.outcome" and record["digest"] == digest:
            return None if record["outcome"] == "denied" else _from_record(connection, ledger, record)
    question = queries.approval_of(connection, session, call_id, digest)
    if question is not None and question.state in {"proposed", "approved"}:
        return Outcome(
            call_id=call_id,
            tool=call.capability.name,
            tier=call.capability.tier,
            status=Status.PENDING,
            error=f"{question.ticket} is {question.state}",
            decision="ask",
            ticket=question.ticket,
        )
    return None


def label_from(stated: dict[str, Any]) -> Label:
    """Return a label as a record states it."""
    return Label(
        integrity=Integrity(stated["integrity"]),
        confidentiality=Confidentiality(stated["confidentiality"]),
        sources=frozenset(stated["sources"]),
    )


def _without_outcome(call: Call, ticket: str) -> Outcome:
    return Outcome(
        call_id=call.request.call_id,
        tool=call.capability.name,
        tier=call.capability.tier,
        status=Status.UNKNOWN,
        error="it was started and has no outcome yet: it is running, or its process died",
        decision="allow",
        ticket=ticket,
    )


def _from_record(connection: Connection, ledger: Ledger, record: queries.Record) -> Outcome:
    subject = queries.subject_of(connection, record["seq"])
    known = subject is not None and ledger.learn(connection, subject)
    values = queries.values(connection, ledger.vault, record) if known else {}
    result = values.get("result")
    usable = result is not None and result.genuine
    done = record["outcome"] == "done"
    withheld = orjson.loads(values["withheld"].value) if "withheld" in values else {}
    status = Status(record["outcome"]) if usable or not done else Status.UNKNOWN
    return Outcome(
        call_id=record["call_id"],
        tool=record["tool"],
        tier=Tier(record["tier"]),
        status=status,
        value=without(orjson.loads(result.value), withheld) if usable and result is not None else None,
        error=record["error"] if usable or not done else "it was done; its result was erased",
        decision=record["effect"],
        reasons=tuple(Reason(rule="", effect=record["effect"], text=text) for text in record["reasons"]),
        ticket=record["ticket"],
        approved_by=tuple(record["approved_by"]),
        label=label_from(record["label_out"]) if "label_out" in record else Label(),
        withheld=withheld,
        record=record["seq"],
        edited=_edited(values.get("edited")),
    )


def _edited(value: Opened | None) -> Edit | None:
    if value is None or not value.genuine:
        return None
    return Edited.model_validate_json(value.value).told
