"""Stage 2, pure: one call, one snapshot, one moment → Allow, Ask or Deny.

Rules:
- A call that could not be resolved is denied; so is an agent that the policy does not know.
- A person's answer is a fact beside the policy. A yes turns an Ask into an Allow, and nothing else; it counts
  only for the same call (digest), under the same policy (epoch), and until it expires. A no is a Deny.
- A yes given beforehand (`Standing`) counts if the policy in force lets one stand, the people who gave it
  suffice for this very call today, every argument fits, and no argument carries text from outside.
- A call that a person edited is asked about, even if the policy would let it pass.
- A sampled call is decided by plain Casbin as well. If the two differ, the call is denied.
"""

from typing import Any, TypeVar

from pratique.capabilities.patterns import matches
from pratique.capabilities.policy import Access
from pratique.capabilities.snapshot import Snapshot
from pratique.electorate import Electorate
from pratique.model import (
    ENGINE,
    Allow,
    Answer,
    Approval,
    Ask,
    Call,
    Decision,
    Deny,
    Edited,
    Reason,
    Rejection,
    Standing,
    Taint,
    Unresolved,
)
from pratique.origin import argument_of

_D = TypeVar("_D", bound=Decision)


def decide(
    snapshot: Snapshot, call: Call | Unresolved, now_us: int, answer: Answer | None = None
) -> Decision:
    """Return the decision on `call` at `now_us`, with every reason.

    Args:
        snapshot: the policy in force.
        call: what was asked.
        now_us: microseconds since the epoch.
        answer: what a person said to it, if one was asked.
    """
    if isinstance(call, Unresolved):
        return _deny(snapshot, call.problem)
    decision = _explained(snapshot.decide(access_of(call), lambda: call.arguments, now_us), call)
    if call.request.edited is not None:
        decision = _asked_again(decision, call.request.edited)
    if not isinstance(decision, Ask) or answer is None:
        return decision
    if isinstance(answer, Approval):
        return _approved(snapshot, decision, call, answer, now_us)
    if isinstance(answer, Standing):
        return _stands(snapshot, decision, call, answer, now_us)
    if isinstance(answer, Rejection):
        return _deny(snapshot, answer.text, answer.ticket)
    return _amended(decision, ticket=answer.ticket)


def _explained(decision: Decision, call: Call) -> Decision:
    """Add what provenance said to a decision that is not an Allow."""
    if isinstance(decision, Allow) or not call.judged.reasons:
        return decision
    return _amended(decision, reasons=(*decision.reasons, *call.judged.reasons))


def _amended(decision: _D, **changes: Any) -> _D:
    """Return the decision with other values; not a copy, because what it has computed would be copied too."""
    values = {name: getattr(decision, name) for name in type(decision).model_fields}
    return type(decision)(**{**values, **changes})


def access_of(call: Call) -> Access:
    """Return the coarse part of the question that `call` is."""
    subject, facts = call.request.subject, call.capability.facts
    return Access(
        subject.agent,
        subject.tenant,
        facts["tool"],
        facts["tier"],
        call.label.facts["confidentiality"],
        call.taint.value,
    )


def shadow(snapshot: Snapshot, call: Call, now_us: int) -> Deny | None:
    """Decide `call` by plain Casbin too, and return a Deny if it disagrees with the snapshot."""
    access = access_of(call)
    fast = snapshot.decide(access, lambda: call.arguments, now_us)
    slow = snapshot.policy.enforce(access, call.arguments, now_us)
    if fast.word == slow:
        return None
    return _deny(snapshot, f"engine mismatch: the snapshot says {fast.word}, {ENGINE} says {slow}")


def _approved(
    snapshot: Snapshot, ask: Ask, call: Call, approval: Approval, now_us: int
) -> Allow | Ask | Deny:
    ticket = approval.ticket
    if approval.digest != call.digest:
        return _deny(snapshot, f"the approval {ticket} is for another call", ticket)
    if approval.epoch != snapshot.epoch:
        return _deny(snapshot, f"the policy changed since {ticket} was asked; ask again", ticket)
    if now_us >= approval.use_until_us:
        return _deny(snapshot, f"the approval {ticket} was not used in time; ask again", ticket)
    yes = Reason(
        rule=ticket,
        effect="allow",
        text=f"approved by {', '.join(approval.approved_by)} ({ticket})",
    )
    return Allow(
        epoch=ask.epoch,
        policy=ask.policy,
        reasons=(yes, *ask.reasons),
        grants=ask.grants,
        ticket=ticket,
        at_least=ask.at_least,
        approval=approval,
    )


def stands_not(  # noqa: PLR0911  # one return for each condition: a list of what is looked at
    ask: Ask, call: Call, standing: Standing, now_us: int
) -> str:
    """Return why a yes that was given beforehand does not count for this call; nothing if it does."""
    subject = call.request.subject
    if not ask.standing:
        return "the policy lets no standing approval stand for this answer"
    if call.taint.rank >= Taint.ARGUMENT.rank:
        return "an argument carries text from outside"
    if call.request.edited is not None:
        return "a person edited this call"
    if (standing.agent, standing.tenant) != (subject.agent, subject.tenant):
        return "it was given to another agent"
    if (standing.tool, standing.tool_digest) != (call.capability.name, call.capability.digest):
        return "it was given for another tool, or for another declaration of this one"
    if now_us >= standing.expires_us:
        return "it has expired"
    if not matches(standing.pattern, call.arguments, call.sinks):
        return "the arguments do not fit it"
    electorate = Electorate(
        needs=ask.needs, user=subject.user, members=lambda group: standing.belongs.get(group, ())
    )
    if not electorate.suffice(standing.approved_by):
        return "the people who gave it do not suffice for this call"
    return ""


def _stands(snapshot: Snapshot, ask: Ask, call: Call, standing: Standing, now_us: int) -> Allow | Deny:
    why_not = stands_not(ask, call, standing, now_us)
    if why_not:
        return _deny(snapshot, f"the standing approval {standing.id} does not apply: {why_not}")
    text = f"standing approval {standing.id}, given by {', '.join(standing.approved_by)}"
    return Allow(
        epoch=ask.epoch,
        policy=ask.policy,
        reasons=(Reason(rule=standing.id, effect="allow", text=text), *ask.reasons),
        grants=ask.grants,
        at_least=ask.at_least,
        standing=standing,
    )


def _asked_again(decision: Decision, edited: Edited) -> Decision:
    """Return the decision on a call that a person edited: somebody must agree to what they made of it."""
    names = ", ".join(dict.fromkeys(argument_of(path) for path in edited.changed))
    text = f"{edited.by} edited what was asked ({names}): the votes start again"
    why = Reason(rule="", effect="ask", text=text)
    if isinstance(decision, Deny):
        return decision
    if isinstance(decision, Ask):
        asking = {need.rule for need in decision.needs}
        before = tuple(need for need in edited.needs if need.rule not in asking)  # an edit excuses nobody
        return _amended(
            decision, reasons=(*decision.reasons, why), needs=(*decision.needs, *before), standing=False
        )
    return Ask(
        epoch=decision.epoch,
        policy=decision.policy,
        reasons=(*decision.reasons, why),
        grants=decision.grants,
        at_least=decision.at_least,
        needs=edited.needs,
        wait_s=edited.wait_s,
        use_within_s=edited.use_within_s,
    )


def _deny(snapshot: Snapshot, problem: str, ticket: str = "") -> Deny:
    reason = Reason(rule=ticket, effect="deny", text=problem)
    return Deny(epoch=snapshot.epoch, policy=snapshot.policy.digest, reasons=(reason,), ticket=ticket)
