"""What each record says: drafts, built from the values that crossed the stages.

Rules:
- Identity, what ran, the decision, labels and result are in the record. Values are committed to, not held.
- A draft has only what the record format allows: text, integers, lists, objects with ASCII keys.
- Free text in a record is bounded, because the record is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pratique.audit.record import Draft
from pratique.model import (
    CLEAN,
    MOST_REASONS,
    Allow,
    Ask,
    Call,
    Confidentiality,
    Decision,
    Label,
    OriginKind,
    Outcome,
    Permit,
    Request,
    Result,
    Subject,
    Unresolved,
    clip,
    clip_to,
)

LONGEST_SOURCE = 160
"""Bytes of a source's id that a record holds."""

MOST_LINEAGE = 32
"""Sources that one record names."""


def session_open(
    subject: Subject,
    policy: tuple[int, str],
    model: str,
    *,
    vault_subject: str,
    writer: str,
    plan: list[str] | None,
    api_key: str,
) -> Draft:
    """Draft the record that opens a session. `policy` is the epoch and digest in force."""
    return {
        "type": "session.open",
        **subject.facts,
        "epoch": policy[0],
        "policy_digest": policy[1],
        "model": clip(model),
        "subject": vault_subject,
        "context": CLEAN.facts,
        "writer": writer,
        "plan": plan,
        "api_key": api_key,
    }


def session_resume(subject: Subject, writer: str) -> Draft:
    """Draft the record by which another process takes a session over: from now on, only it may write."""
    return {"type": "session.resume", **subject.facts, "writer": writer}


def session_close(subject: Subject, final_action: str) -> Draft:
    """Draft the record that closes a session."""
    return {"type": "session.close", **subject.facts, "final_action": clip(final_action)}


def session_ended(row: Mapping[str, Any], final_action: str) -> Draft:
    """Draft the end of a session that somebody else ends, from the row that is kept of it."""
    who = {"session": row["id"], **{name: row[name] for name in ("trace_id", "agent", "tenant")}}
    return {"type": "session.close", **who, "final_action": final_action}


def erase_proposed(proposal: str, what: dict[str, str], reason: str, asked_by: str) -> Draft:
    """Draft the wish to erase `what` (subject, session, call_id), for another person to agree to."""
    return {
        "type": "erase.proposed",
        **what,
        "proposal": proposal,
        "reason": clip(reason),
        "asked_by": clip(asked_by),
    }


def erased(
    what: dict[str, str], reason: str, asked_by: str, approved_by: str = "", proposal: str = ""
) -> Draft:
    """Draft the record of an erasure. `approved_by` is the second person, if the policy asked for one."""
    return {
        **erase_proposed(proposal, what, reason, asked_by),
        "type": "erase",
        "approved_by": clip(approved_by),
    }


def recovered(kind: str, **what: Any) -> Draft:
    """Draft what went wrong with the log itself, and what was done: `clock`, `lost` or `torn`."""
    return {"type": "recovery", "kind": kind, **what}


def policy_load(
    epoch: int, digest: str, applied_by: str, failed: Sequence[str] = (), elects: Sequence[str] = ()
) -> Draft:
    """Draft the record that puts a policy in force.

    Args:
        epoch: the policy's number.
        digest: its text's SHA-256.
        applied_by: who put it in force.
        failed: the tests of its own that it fails.
        elects: the approver groups that it lets `applied_by` into.
    """
    draft = {"type": "policy.load", "epoch": epoch, "policy_digest": digest, "applied_by": clip(applied_by)}
    if failed:
        draft["failed_tests"] = [clip(line) for line in failed[:MOST_REASONS]]
    if elects:
        draft["elects_applier"] = [clip(group) for group in elects[:MOST_REASONS]]
    return draft


def proposed(call: Call, ask: Ask, ticket: str, card_digest: str) -> Draft:
    """Draft the question to a person."""
    return {
        "type": "approval.proposed",
        **_what(call),
        **ask.facts,
        "ticket": ticket,
        "card_digest": card_digest,
        "needs": [need.model_dump() for need in ask.needs],
        "context": call.request.context.facts,
        "wait_s": ask.wait_s,
        "use_within_s": ask.use_within_s,
        "escalate_to": list(ask.escalate_to),
        "shape": shape(call),
        "tell": "asked",
        **_edited_from(call),
    }


def shape(call: Call) -> str:
    """Return what calls of the same kind have in common: agent, tool, declaration, names of the arguments."""
    subject, capability = call.request.subject, call.capability
    names = "\x00".join(sorted(call.arguments))
    about = [subject.tenant, subject.agent, capability.name, capability.digest, names]
    return hashlib.sha256("\x00".join(about).encode()).hexdigest()[:32]


def _edited_from(call: Call) -> Draft:
    edited = call.request.edited
    return {} if edited is None else {"edited_from": edited.ticket, "edited_by": edited.by}


def voted(ticket: str, session: str, voter: str, vote: str, reason: str) -> Draft:
    """Draft one person's answer."""
    return {
        "type": "approval.vote",
        "session": session,
        "ticket": ticket,
        "voter": voter,
        "vote": vote,
        "reason": clip(reason),
    }


def decided(ticket: str, session: str, state: str, approvers: list[str], reason: str) -> Draft:
    """Draft the end of a question: `approved` or `rejected`."""
    return {
        "type": "approval.decided",
        "session": session,
        "ticket": ticket,
        "state": state,
        "approvers": approvers,
        "reason": clip(reason),
        "tell": state,
    }


def expired(ticket: str, session: str, state: str, reason: str) -> Draft:
    """Draft the end of a question that nobody answered (`expired`) or that no longer applies (`void`)."""
    return {
        "type": "approval.expired",
        "session": session,
        "ticket": ticket,
        "state": state,
        "reason": reason,
        "tell": state,
    }


def intent(call: Call, decision: Allow, writer: str, carried: list[dict[str, Any]]) -> Draft:
    """Draft the intent: on disk before the effect. `carried` is what may be read again after it."""
    draft = {
        "type": "call.intent",
        **_what(call),
        **decision.facts,
        "writer": writer,
        "grants": [rule for rule, _ in decision.grants],
        **_standing(decision),
    }
    return {**draft, "carried": carried} if carried else draft


def denied(call: Call | Unresolved, decision: Decision) -> Draft:
    """Draft a denial: one record, nothing ran."""
    what = _what(call) if isinstance(call, Call) else _asked(call)
    return {
        "type": "call.outcome",
        **what,
        **decision.facts,
        "outcome": "denied",
        "error": clip(decision.because),
    }


def closed(permit: Permit, outcome: Outcome, result: Result, context: Label | None) -> Draft:
    """Draft the outcome of what ran. `context` is the session's label, when this result raised it."""
    draft = {
        "type": "call.outcome",
        **_what(permit.call),
        **permit.decision.facts,
        "outcome": outcome.status.value,
        "error": clip(outcome.error),
        "dur_us": result.duration_us,
        "level": result.level.value,
        "bytes_in": len(permit.call.request.args_json),
        "bytes_out": len(result.value_json),
        "label_out": outcome.label.facts,
        **_standing(permit.decision),
        **_edited_from(permit.call),
    }
    if permit.decision.ticket:
        draft["tell"] = outcome.status.value
    if result.sandbox:
        draft["sandbox"] = {**result.sandbox, "demanded": permit.decision.at_least.value}
    if result.given is not CLEAN:
        classes = permit.call.label.confidentiality, result.given.confidentiality
        draft["confidentiality"] = Confidentiality.highest(*classes).value
    if permit.intent is not None:
        draft["intent"] = permit.intent
    if context is not None:
        draft["context"] = context.facts
    return draft


def unknown(of: Draft, error: str) -> Draft:
    """Draft the outcome of an intent whose process died: nobody knows whether it took effect."""
    kept = {key: value for key, value in of.items() if key not in _OWN_TO_THE_INTENT}
    return {
        **kept,
        "type": "call.outcome",
        "intent": of["seq"],
        "outcome": "unknown",
        "error": error,
        **({"tell": "unknown"} if of["ticket"] else {}),
    }


def bare(permit: Permit, error: str) -> Draft:
    """Draft the least outcome of an intent, when no more can be recorded: what its permit says already."""
    return {
        "type": "call.outcome",
        **_what(permit.call),
        **permit.decision.facts,
        "outcome": "unknown",
        "error": clip(error),
        "intent": permit.intent,
        **_standing(permit.decision),
        **_edited_from(permit.call),
        **({"tell": "unknown"} if permit.decision.ticket else {}),
    }


_OWN_TO_THE_INTENT = {
    "v",
    "log",
    "seq",
    "prev",
    "ts_us",
    "writer",
    "grants",
    "carried",
    "args_c",
    "judged_c",
    "why_c",
    "edited_c",
    "user_c",
}


def _standing(decision: Allow) -> Draft:
    return {} if decision.standing is None else {"standing": decision.standing.id}


def _what(call: Call) -> dict[str, Any]:
    return {
        **call.request.subject.facts,
        **call.capability.facts,
        "call_id": call.request.call_id,
        "confidentiality": call.label.facts["confidentiality"],
        "taint": call.taint.value,
        "lineage": _lineage(call),
        "digest": call.digest,
        **_code(call.request),
    }


def _lineage(call: Call) -> list[str]:
    """Return the sources from outside that the arguments carry: "every call that this e-mail touched"."""
    if not call.judged.origins:
        return []
    foreign = {OriginKind.UNTRUSTED, OriginKind.IDENTITY}
    found = {
        clip_to(origin.source.id, LONGEST_SOURCE)
        for origin in call.judged.origins
        if origin.source is not None and origin.kind in foreign
    }
    return sorted(found)[:MOST_LINEAGE]


def _asked(call: Unresolved) -> dict[str, Any]:
    return {
        **call.request.subject.facts,
        "call_id": call.request.call_id,
        "tool": clip(call.request.tool),
        "tool_digest": "",
        "tier": "",
        "confidentiality": "",
        "taint": "",
        "lineage": [],
        "digest": call.digest,
        **_code(call.request),
    }


def _code(request: Request) -> dict[str, Any]:
    """Return in whose call's sandbox the code runs that asks, if code does."""
    code = request.code
    return {} if code is None else {"code_of": code.call_id, "code_tool": clip(code.tool)}
