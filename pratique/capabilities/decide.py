"""Stage 2, pure: one call, one snapshot, one moment → Allow, Ask or Deny.

Rules:
- A call that could not be resolved is denied; so is an agent that the policy does not know.
- An approval is a fact beside the policy: it turns an Ask into an Allow, and nothing else. It counts only
  for the same call (digest), under the same policy (epoch), and until it expires.
- A sampled call is decided by plain Casbin as well. If the two differ, the call is denied.
"""

from pratique.capabilities.policy import ENGINE, Access
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Allow, Approval, Ask, Call, Decision, Deny, Reason, Unresolved


def decide(
    snapshot: Snapshot, call: Call | Unresolved, now_us: int, approval: Approval | None = None
) -> Decision:
    """Return the decision on `call` at `now_us`, with every reason.

    Args:
        snapshot: the policy in force.
        call: what was asked.
        now_us: microseconds since the epoch.
        approval: a person's yes, if there is one.
    """
    if isinstance(call, Unresolved):
        return _deny(snapshot, call.problem)
    decision = snapshot.decide(access_of(call), lambda: call.arguments, now_us)
    if isinstance(decision, Ask) and approval is not None:
        return _with_approval(snapshot, decision, call, approval, now_us)
    return decision


def access_of(call: Call) -> Access:
    """Return the coarse part of the question that `call` is."""
    subject, capability = call.request.subject, call.capability
    return Access(
        subject.agent,
        subject.tenant,
        capability.name,
        capability.tier.value,
        call.label.confidentiality.value,
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


def _with_approval(
    snapshot: Snapshot, ask: Ask, call: Call, approval: Approval, now_us: int
) -> Allow | Ask | Deny:
    if approval.digest != call.digest:
        return _deny(snapshot, f"the approval {approval.ticket} is for another call")
    if approval.epoch != snapshot.epoch:
        return _deny(snapshot, f"the policy changed since {approval.ticket} was asked; ask again")
    if now_us >= approval.use_until_us:
        return _deny(snapshot, f"the approval {approval.ticket} was not used in time; ask again")
    yes = Reason(
        rule=approval.ticket,
        effect="allow",
        text=f"approved by {', '.join(approval.approved_by)} ({approval.ticket})",
    )
    return Allow(
        epoch=ask.epoch,
        policy=ask.policy,
        reasons=(yes, *ask.reasons),
        grants=ask.grants,
        approval=approval,
    )


def _deny(snapshot: Snapshot, problem: str) -> Deny:
    reason = Reason(rule="", effect="deny", text=problem)
    return Deny(epoch=snapshot.epoch, policy=snapshot.policy.digest, reasons=(reason,))
