"""Stage 6: what the caller is told of a call that did not run, and the label of what comes out of others.

Rules:
- The names of result fields may come from outside as well. A label names only so many of them, and only so
  much of each, that it fits into a record; and it is redacted, because a record is in clear.
"""

from functools import lru_cache

from pratique.capabilities.labels import join
from pratique.model import (
    Ask,
    Call,
    Decision,
    Integrity,
    Label,
    Outcome,
    Status,
    Unresolved,
)
from pratique.redaction import KINDS, redact

LONGEST_FIELD = 80
"""Bytes of a field's path that a source id names."""


def pending(call: Call | Unresolved, ask: Ask) -> Outcome:
    """Return the outcome of a call that waits for a person: its question is on record."""
    return _not_run(call, ask, Status.PENDING, f"waiting for a person ({ask.ticket}): {ask.because}")


def denied(call: Call | Unresolved, decision: Decision, record: int) -> Outcome:
    """Return the outcome of a denial that is on record."""
    text = decision.because if decision.ticket else f"denied: {decision.because}"
    return _not_run(call, decision, Status.DENIED, text, record)


def ran_before(call: Call | Unresolved) -> Outcome:
    """Return the outcome of a call that was made before and of which nothing more is known."""
    return Outcome(
        call_id=call.request.call_id,
        tool=call.request.tool,
        status=Status.UNKNOWN,
        error="it was started before, and has no outcome",
    )


def label_of(call: Call, fields: set[str]) -> Label:
    """Return the label of a result in which `fields` (generic paths) come from outside."""
    if not fields:
        return call.label
    where = f"{call.capability.name}:{call.request.call_id}"
    return join(
        Label(
            integrity=Integrity.UNTRUSTED,
            confidentiality=call.capability.confidentiality,
            sources=frozenset(f"{where}#{_short(field) or '.'}" for field in fields),
        )
    )


@lru_cache(maxsize=4096)
def _short(field: str) -> str:
    field = redact(field, kinds=KINDS)
    body = field.encode()
    return field if len(body) <= LONGEST_FIELD else body[:LONGEST_FIELD].decode(errors="ignore") + "…"


def _not_run(
    call: Call | Unresolved, decision: Decision, status: Status, error: str, record: int | None = None
) -> Outcome:
    return Outcome(
        call_id=call.request.call_id,
        tool=call.request.tool,
        tier=call.capability.tier if isinstance(call, Call) else None,
        status=status,
        error=error,
        decision=decision.word,
        reasons=decision.reasons,
        ticket=decision.ticket,
        record=record,
    )
