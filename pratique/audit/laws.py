"""The law of each type of record: what must have happened before it may be written.

Rules:
- A law yields what is wrong with the record, in one line each, and brings `Standing` up to date with it. It
  says again, from the records alone, what `pratique.ledger.guards` demanded when the record was written.
- A new type of record needs a law in `LAWS`. A type without one is illegal, not ignored.
- A record's own time is the time of its transaction, so a deadline can be held against it exactly.
"""

from collections.abc import Iterator, Mapping

from pratique.audit import laws_deciding as deciding
from pratique.audit.laws_approvals import APPROVALS
from pratique.audit.laws_calls import CALLS
from pratique.audit.laws_identity import IDENTITY
from pratique.audit.laws_pinning import PINNING
from pratique.audit.laws_sessions import SESSIONS
from pratique.audit.standing import Law, Record, Standing
from pratique.people import is_member, same_person

RECOVERIES = frozenset({"clock", "lost", "torn"})
"""What can go wrong with a log and be recorded in it."""

_OF_THE_PROPOSAL = ("subject", "session", "call_id", "reason", "asked_by")
"""What an erasure repeats of what was proposed."""


def _policy_load(now: Standing, record: Record) -> Iterator[str]:
    if record["epoch"] != now.epoch + 1:
        yield f"it puts epoch {record['epoch']} in force after epoch {now.epoch}"
    now.epoch = record["epoch"]
    now.policies[record["epoch"]] = record["policy_digest"]
    if now.beside is not None and now.stated(now.epoch) is None:
        yield f"the policy of epoch {now.epoch} is not stored, or is not the text that was applied"


def _erase_proposed(now: Standing, record: Record) -> Iterator[str]:
    if not record["proposal"] or record["proposal"] in now.erasures:
        yield f"the erasure {record['proposal']!r} has no name of its own"
    now.erasures[record["proposal"]] = record


def _erase(now: Standing, record: Record) -> Iterator[str]:
    stated = now.stated(now.epoch)
    group = stated.erasers if stated is not None else ""
    proposal = record["proposal"]
    if not proposal:
        if group:
            yield f"it was erased without {group}, who must agree"
        return
    proposed = now.erasures.pop(proposal, None)
    if proposed is None:
        yield f"nobody proposed the erasure {proposal}, or it was carried out before"
        return
    if [name for name in _OF_THE_PROPOSAL if record[name] != proposed[name]]:
        yield f"it is not what {proposal} proposed"
    if same_person(record["approved_by"]) == same_person(proposed["asked_by"]):
        yield f"{record['approved_by']} agreed to what they proposed themselves"
    if stated is not None and group and not is_member(stated.groups.get(group, ()), record["approved_by"]):
        yield f"{record['approved_by'] or 'nobody'} does not belong to {group}"


def _recovery(_: Standing, record: Record) -> Iterator[str]:
    if record["kind"] not in RECOVERIES:
        yield f"{record['kind']!r} is no recovery"


def _with_reason(_: Standing, record: Record) -> Iterator[str]:
    """Judge what somebody does to the log itself: a name and a reason are demanded."""
    if not record["by"] or not record["reason"]:
        yield "nobody says who did it, or why"


def _key_rotate(standing: Standing, record: Record) -> Iterator[str]:
    """Judge a new key. That both keys signed is `pratique.audit.checkpoint.Keyring`'s to say."""
    yield from _with_reason(standing, record)
    if record["old"] == record["new"]:
        yield "the new key is the old one"


LAWS: Mapping[str, Law] = {
    "policy.load": _policy_load,
    **SESSIONS,
    **APPROVALS,
    "approval.edited": deciding.edited,
    "approval.handed": deciding.handed,
    "approval.escalated": deciding.escalated,
    "approval.remark": deciding.remarked,
    "standing.made": deciding.standing_made,
    "standing.joined": deciding.standing_joined,
    "standing.revoked": deciding.standing_revoked,
    "notice.delivery": deciding.delivery,
    **CALLS,
    **IDENTITY,
    **PINNING,
    "erase.proposed": _erase_proposed,
    "erase": _erase,
    "recovery": _recovery,
    "key.rotate": _key_rotate,
    "segment.seal": _with_reason,
    "segment.drop": _with_reason,
    "hold.set": _with_reason,
    "hold.lift": _with_reason,
}
"""Type of record → its law."""
