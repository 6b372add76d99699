"""What became of a call: read back from the ledger, for a request that is made again.

Rules:
- A call that was denied may be asked again: the policy may have changed. Anything else is as it was recorded.
- Of a call that a person edited, it is what became of the call as they left it.
- What ran does not run again under the same id and arguments because its tool was declared anew since.
- A value is given back only if the record's commitment fits it.
"""

from collections.abc import Mapping
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
    return _under_another_declaration(connection, ledger, call) or _waiting(call, question)


def _under_another_declaration(connection: Connection, ledger: Ledger, call: Call) -> Outcome | None:
    """Return what became of this call when its tool was declared otherwise, so that its digest was another.

    Where its arguments were erased, nobody can say that it was another call: then it counts as this one.
    """
    now = call.capability
    for record in reversed(
        queries.records_of(connection, call.request.subject.session, call.request.call_id)
    ):
        ran = record["type"] == "call.intent" or record.get("outcome", "denied") != "denied"
        if not ran or record["tool"] != now.name or record["tool_digest"] == now.digest:
            continue
        if not _has_arguments(_opened(connection, ledger, record), call.request.args_json):
            continue
        if record["type"] == "call.intent":
            return _without_outcome(call, record["ticket"])
        again = record["outcome"] == "unknown" and now.takes_idempotency_key
        return None if again else _from_record(connection, ledger, record)
    return None


def _has_arguments(values: Mapping[str, Opened], asked: bytes) -> bool:
    """Return whether a call has these arguments, or had them before a person edited it; if it may have."""
    args, edited = values.get("args"), values.get("edited")
    if args is None or not args.genuine:
        return True
    if edited is not None and edited.genuine:
        return asked in {args.value, Edited.model_validate_json(edited.value).before_json.encode()}
    return asked == args.value


def label_from(stated: dict[str, Any]) -> Label:
    """Return a label as a record states it."""
    return Label(
        integrity=Integrity(stated["integrity"]),
        confidentiality=Confidentiality(stated["confidentiality"]),
        sources=frozenset(stated["sources"]),
    )


def _waiting(call: Call, question: Any) -> Outcome | None:
    """Return that a call waits, if its question does or its yes is not used yet."""
    if question is None or question.state not in {"proposed", "approved"}:
        return None
    return Outcome(
        call_id=call.request.call_id,
        tool=call.capability.name,
        tier=call.capability.tier,
        status=Status.PENDING,
        error=f"{question.ticket} is {question.state}",
        decision="ask",
        ticket=question.ticket,
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
    values = _opened(connection, ledger, record)
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


def _opened(connection: Connection, ledger: Ledger, record: queries.Record) -> Mapping[str, Opened]:
    subject = queries.subject_of(connection, record["seq"])
    known = subject is not None and ledger.learn(connection, subject)
    return queries.values(connection, ledger.vault, record) if known else {}


def _edited(value: Opened | None) -> Edit | None:
    if value is None or not value.genuine:
        return None
    return Edited.model_validate_json(value.value).told
