"""Stage 6: what leaves of a result and with which label, and what is told of a call that gave none.

Rules:
- What the agent is not shown is not in the label: it is not what the session has seen.
- A source is named as the tool names its records (`email:7#body`), else by its call (`mail.read:c1#body`).
- The names of result fields may come from outside as well. A label names only so many of them, and only so
  much of each, that it fits into a record; and it is redacted, because a record is in clear.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from pratique.capabilities.fields import covering, full_path
from pratique.capabilities.labels import MOST_SOURCES, foreign_leaves, join
from pratique.model import (
    CLEAN,
    Ask,
    Call,
    Carried,
    Decision,
    Deny,
    Integrity,
    Label,
    Outcome,
    Permit,
    Result,
    Status,
    Unresolved,
)
from pratique.quarantine.identify import identified, record_of
from pratique.redaction import KINDS, redact
from pratique.stages.declared import Declared, declared
from pratique.stages.enforcement import Enforcement
from pratique.stages.lineage import Lineage
from pratique.stages.provenance import Provenance
from pratique.tools.registry import Registry

LONGEST_FIELD = 80
"""Bytes of a field's path that a source id names."""

MOST_FIELDS = 1024
"""Different fields of one result that are named: to redact a name costs more than to label its value."""


class Releasing:
    """Makes outcomes of results: recognised, labelled, without what is withheld.

    Args:
        registry: the tools that there are.
        enforcement: the policy says what comes from outside, and who must not see what.
        lineage: knows what earlier writes carried.
        provenance: gives a session's.
    """

    def __init__(
        self,
        registry: Registry,
        enforcement: Enforcement,
        lineage: Lineage,
        provenance: Callable[[str], Provenance],
    ) -> None:
        self._registry, self._enforcement = registry, enforcement
        self._lineage, self._provenance = lineage, provenance

    def release(self, permit: Permit, result: Result) -> Outcome:
        """Return what the agent gets of a result. The session remembers what it was shown.

        Raises:
            Exception: whatever a result may cause that nobody thought of.
        """
        call = permit.call
        value = orjson.loads(result.value_json)
        tool = self._registry.demand(call.capability.name)
        of = declared(tool, self._enforcement.snapshot.policy).given(result.given)
        outcome = self._lineage.recognise(call, _of(permit, result.status, result.error, value))
        provenance = self._provenance(call.request.subject.session)
        outcome = provenance.release(call, of, outcome, len(result.value_json))
        return outcome.model_copy(update={"label": label_of(call, of, value, outcome, result.given)})


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


def unreleased(permit: Permit, problem: Exception) -> Outcome:
    """Return the outcome of a call that ran, and whose result could not be labelled."""
    status = Status.UNKNOWN if permit.call.capability.changes_the_world else Status.FAILED
    return _of(permit, status, f"it ran, and its result could not be labelled: {type(problem).__name__}")


def untold(permit: Permit, final: Deny, record: int) -> Outcome:
    """Return what the caller gets of a call that ran, and whose outcome could not be recorded."""
    if permit.intent is None:
        return denied(permit.call, final, record)
    told = _of(permit, Status.UNKNOWN, final.because)
    return told.model_copy(update={"record": record})


def label_of(call: Call, of: Declared, value: Any, outcome: Outcome, given: Label = CLEAN) -> Label:
    """Return the label of what the agent is shown of a call.

    Args:
        call: the call.
        of: its declaration.
        value: its whole result.
        outcome: what leaves: an error instead, or without what is withheld.
        given: the label of what the tool's code was given by tools that it called.
    """
    own = _own_label(call, of, value, outcome)
    return own if given is CLEAN else join(own, given)


def _of(permit: Permit, status: Status, error: str, value: Any = None) -> Outcome:
    """Return the outcome of what ran, as its permit says it."""
    call, decision = permit.call, permit.decision
    return Outcome(
        call_id=call.request.call_id,
        tool=call.capability.name,
        tier=call.capability.tier,
        status=status,
        value=value,
        error=error,
        decision=decision.word,
        reasons=decision.reasons,
        ticket=decision.ticket,
        approved_by=decision.approved_by,
        edited=call.request.edited.told if call.request.edited else None,
    )


def _own_label(call: Call, of: Declared, value: Any, outcome: Outcome) -> Label:
    where = f"{call.capability.name}:{call.request.call_id}"
    if outcome.error:
        sources = {f"{where}#error"} if of.shape.foreign else set()
    else:
        sources = _sources(where, of, value, outcome.withheld)
    carried = [_label(part) for part in outcome.carried if covering(part.path, outcome.withheld) is None]
    if not sources:
        return join(call.label, *carried) if carried else call.label
    foreign = Label(
        integrity=Integrity.UNTRUSTED,
        confidentiality=call.capability.confidentiality,
        sources=frozenset(sources),
    )
    return join(foreign, *carried)


def _label(part: Carried) -> Label:
    """Return the label of what an earlier write put into a result: the source is what it was then."""
    return Label(
        integrity=part.integrity,
        confidentiality=part.confidentiality,
        sources=frozenset({redact(part.source, kinds=KINDS)}),
    )


def _sources(where: str, of: Declared, value: Any, withheld: dict[str, str]) -> set[str]:
    """Return a name for each field from outside; for each record only, if the fields are too many to name."""
    names = identified(value, of.ids) if of.ids else {}
    fields, named, short = set(), set(), _Short()
    for leaf in foreign_leaves(value, of.shape):
        if withheld and covering(full_path(leaf.path, leaf.places), withheld) is not None:
            continue
        record = record_of(names, leaf.path, leaf.places)
        path = short.of(leaf.path)
        fields.add(record.source(path) if record else f"{where}#{path or '.'}")
        named.add(record.name if record else f"{where}#{path or '.'}")
    return fields if len(fields) <= MOST_SOURCES else named


class _Short:
    """The names of fields as a label says them; those of one result, because somebody made them up for it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return a field's name, redacted and cut; after very many of them, only that there are more."""
        short = self._known.get(path)
        if short is None:
            if len(self._known) >= MOST_FIELDS:
                return "…"
            short = self._known[path] = _short(path)
        return short


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
        edited=call.request.edited.told if call.request.edited else None,
    )
