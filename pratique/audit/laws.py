"""The law of each type of record: what must have happened before it may be written.

Rules:
- A law yields what is wrong with the record, in one line each, and brings `Standing` up to date with it. It
  says again, from the records alone, what `pratique.ledger.guards` demanded when the record was written.
- A new type of record needs a law in `LAWS`. A type without one is illegal, not ignored.
- A record's own time is the time of its transaction, so a deadline can be held against it exactly.
"""

from collections.abc import Callable, Iterator, Mapping

from pratique.answers import Need
from pratique.audit import laws_deciding as deciding
from pratique.audit.identity import is_key
from pratique.audit.laws_identity import IDENTITY, key_is_good
from pratique.audit.laws_pinning import PINNING, is_pinned
from pratique.audit.standing import (
    SECOND_US,
    Question,
    Record,
    Session,
    Standing,
    Stated,
    identity_of,
    key_of,
)
from pratique.people import is_member, same_person

Law = Callable[[Standing, Record], Iterator[str]]

READ = "read"
RAN = frozenset({"done", "failed", "unknown"})
"""What can become of a call that was permitted."""

RECOVERIES = frozenset({"clock", "lost", "torn"})
"""What can go wrong with a log and be recorded in it."""

_OF_THE_INTENT = (
    "session",
    "call_id",
    "digest",
    "tool",
    "tool_digest",
    "tier",
    "ticket",
    "epoch",
    "policy_digest",
    "effect",
    "approved_by",
)
"""What an outcome repeats of its intent."""

_OF_THE_PROPOSAL = ("subject", "session", "call_id", "reason", "asked_by")
"""What an erasure repeats of what was proposed."""


def _policy_load(now: Standing, record: Record) -> Iterator[str]:
    if record["epoch"] != now.epoch + 1:
        yield f"it puts epoch {record['epoch']} in force after epoch {now.epoch}"
    now.epoch = record["epoch"]
    now.policies[record["epoch"]] = record["policy_digest"]
    if now.beside is not None and now.stated(now.epoch) is None:
        yield f"the policy of epoch {now.epoch} is not stored, or is not the text that was applied"


def _session_open(now: Standing, record: Record) -> Iterator[str]:
    name = record["session"]
    if name in now.sessions or name in now.over:
        yield f"the session {name} was opened before"
    if now.policies.get(record["epoch"]) != record["policy_digest"]:
        yield f"it names a policy that epoch {record['epoch']} did not have"
    if is_key(record.get("api_key", "")):
        yield from key_is_good(now, record)
    now.sessions[name] = Session(record)


def _session_resume(now: Standing, record: Record) -> Iterator[str]:
    yield from _in_session(now, record)
    if record["session"] in now.sessions:
        now.sessions[record["session"]].writer = record["writer"]


def _session_close(now: Standing, record: Record) -> Iterator[str]:
    yield from _in_session(now, record)
    now.sessions.pop(record["session"], None)
    now.over.add(record["session"])


def _approval_proposed(now: Standing, record: Record) -> Iterator[str]:
    yield from _in_session(now, record)
    yield from _in_force(now, record)
    if record["effect"] != "ask":
        yield f"people are asked although the policy said {record['effect']}"
    if not record["needs"]:
        yield "it asks nobody"
    if record["ticket"] in now.questions:
        yield f"the ticket {record['ticket']} was given before"
    if key_of(record) in now.asked:
        yield f"{now.asked[key_of(record)]} asks this already"
    yield from deciding.follows_edit(now, record)
    now.questions[record["ticket"]] = Question(record)
    now.asked[key_of(record)] = record["ticket"]


def _approval_vote(now: Standing, record: Record) -> Iterator[str]:
    question = now.questions.get(record["ticket"])
    if question is None:
        yield f"it votes on {record['ticket']}, which is not a question that is open"
        return
    yield from deciding.answerable(now, question, record)
    voter = record["voter"]
    if any(same_person(voter) == same_person(other) for other in question.votes):
        yield f"{voter} voted on {record['ticket']} before"
    if record["vote"] not in {"approve", "reject"}:
        yield f"{record['vote']!r} is no vote"
    yield from deciding.has_their_account(now, voter)
    yield from _may_vote(now, question, voter)
    question.votes[voter] = record["vote"]


def _approval_decided(now: Standing, record: Record) -> Iterator[str]:
    ticket, state = record["ticket"], record["state"]
    question = now.questions.get(ticket)
    if question is None:
        yield f"it decides {ticket}, which is not a question that is open"
        return
    yield from deciding.answerable(now, question, record)
    if state == "approved":
        yield from _agreed(now, question, record)
        question.state = "approved"
        question.approvers = list(record["approvers"])
        question.use_until_us = record["ts_us"] + question.proposed["use_within_s"] * SECOND_US
        return
    if state != "rejected":
        yield f"{state!r} is no decision"
    elif record["approvers"] != question.said("reject")[-1:]:
        yield f"{ticket} is rejected, and nobody voted so"
    now.end(ticket)


def _approval_expired(now: Standing, record: Record) -> Iterator[str]:
    ticket, state = record["ticket"], record["state"]
    question = now.questions.get(ticket)
    if question is None or question.state not in {"proposed", "approved"}:
        yield f"it ends {ticket}, which is not a question that is open"
        return
    until = question.wait_until_us if question.state == "proposed" else question.use_until_us
    if state not in {"expired", "void"}:
        yield f"{state!r} is no end of a question"
    elif state == "expired" and record["ts_us"] < until:
        yield f"{ticket} had time left when it expired"
    now.end(ticket)


def _call_intent(now: Standing, record: Record) -> Iterator[str]:
    yield from _in_session(now, record)
    yield from _in_force(now, record)
    yield from _allowed(record)
    session = now.sessions.get(record["session"])
    if session is not None and session.writer != record["writer"]:
        yield "it was written by a process that does not serve the session"
    yield from _runs_once(session, record)
    yield from is_pinned(now, record)
    if record["ticket"]:
        yield from _uses_yes(now, record)
    elif "standing" in record:
        yield from deciding.uses_standing(now, record)
    elif record["approved_by"]:
        yield "it names approvers, and no question that they answered"
    for rule in record["grants"]:
        yield from _draws_on(now, rule, now.stated(record["epoch"]))
    now.intents[record["seq"]] = record


def _call_outcome(now: Standing, record: Record) -> Iterator[str]:
    if "intent" in record:
        yield from _closes_intent(now, record)
    elif record["outcome"] == "denied":
        yield from _denied(now, record)
    else:
        yield from _read(now, record)


def _closes_intent(now: Standing, record: Record) -> Iterator[str]:
    intent = now.intents.pop(record["intent"], None)
    if intent is None:
        yield f"it closes the intent {record['intent']}, which is not open"
        return
    different = [name for name in _OF_THE_INTENT if record[name] != intent[name]]
    if different:
        yield f"it is not the outcome of intent {record['intent']}: it has another {', '.join(different)}"
    outcome = record["outcome"]
    if outcome not in RAN:
        yield f"a call that was permitted ends as {outcome!r}"
    session = now.sessions.get(intent["session"])
    if session is not None:
        session.ran[intent["call_id"], intent["digest"]] = outcome
    if not intent["ticket"]:
        return
    question = now.questions.get(intent["ticket"])
    if question is not None and outcome == "unknown":
        question.state = "unknown"
    else:
        now.end(intent["ticket"])


def _denied(now: Standing, record: Record) -> Iterator[str]:
    """A denial may come after its session's end: it changes nothing."""
    if record["session"] not in now.over:
        yield from _in_session(now, record)
    yield from _in_force(now, record)
    if record["effect"] != "deny":
        yield f"it was denied, although the decision was {record['effect']}"


def _read(now: Standing, record: Record) -> Iterator[str]:
    yield from _in_session(now, record)
    yield from _in_force(now, record)
    yield from _allowed(record)
    if record["outcome"] not in RAN - {"unknown"}:
        yield f"a read ends as {record['outcome']!r}"
    if record["tier"] != READ:
        yield f"a call of tier {record['tier'] or 'unknown'} ran without an intent on record"
    if record.get("pin") or record["tool"].partition(".")[0] in now.servers:
        yield f"{record['tool']} is another program's, and ran without an intent on record"
    if record["ticket"]:
        yield f"it used the yes to {record['ticket']} without an intent on record"


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


def _recovery(now: Standing, record: Record) -> Iterator[str]:  # noqa: ARG001  # nothing stands or falls by it
    if record["kind"] not in RECOVERIES:
        yield f"{record['kind']!r} is no recovery"


# --- what the laws are made of ----------------------------------------------------------------------------


def _in_session(now: Standing, record: Record) -> Iterator[str]:
    name = record["session"]
    session = now.sessions.get(name)
    if session is None:
        yield f"the session {name} {'was over' if name in now.over else 'was never opened'}"
    elif session.identity != identity_of(record):
        yield f"it names another agent, tenant or trace than its session {name}"


def _in_force(now: Standing, record: Record) -> Iterator[str]:
    if record["epoch"] != now.epoch:
        yield f"it was decided under epoch {record['epoch']} while epoch {now.epoch} was in force"
    elif record["policy_digest"] != now.policies[now.epoch]:
        yield f"it was decided by a policy that was not applied as epoch {now.epoch}"


def _allowed(record: Record) -> Iterator[str]:
    if record["effect"] != "allow":
        yield f"it ran, although the decision was {record['effect'] or 'none'}"
    elif not record["rules"]:
        yield "it ran, and no rule is named that allows it"


def _runs_once(session: Session | None, record: Record) -> Iterator[str]:
    """Only a run whose outcome is unknown may be repeated: a tool with an idempotency key takes that."""
    if session is None:
        return
    call = record["call_id"], record["digest"]
    if call in session.edited:
        yield f"a person had edited the call {record['call_id']}: as it was asked, it must not run"
    if session.ran.get(call, "unknown") != "unknown":
        yield f"the call {record['call_id']} had run already ({session.ran[call]})"
    session.ran[call] = "started"


def _uses_yes(now: Standing, record: Record) -> Iterator[str]:
    ticket = record["ticket"]
    question = now.questions.get(ticket)
    if question is None or question.state not in {"approved", "unknown"}:
        stands = "is not an open question" if question is None else f"is {question.state}"
        yield f"it ran on {ticket}, which no decision on record approves: it {stands}"
        return
    if question.key != key_of(record) or question.proposed["epoch"] != record["epoch"]:
        yield f"{ticket} was given for another call or policy"
    if record["approved_by"] != question.approvers:
        yield f"it names other people than those who agreed to {ticket}"
    if record["ts_us"] >= question.use_until_us:
        yield f"the yes to {ticket} was used too late"
    question.state = "started"


def _draws_on(now: Standing, rule: str, stated: Stated | None) -> Iterator[str]:
    now.uses[rule] = now.uses.get(rule, 0) + 1
    if stated is None:
        return
    most = stated.most_uses.get(rule)
    if most is None:
        yield f"the policy has no counted exception {rule}"
    elif now.uses[rule] > most:
        yield f"the exception {rule} was used {now.uses[rule]} times, at most {most} are allowed"


def _may_vote(now: Standing, question: Question, voter: str) -> Iterator[str]:
    asked_for = now.beside.asked_for(question.proposed) if now.beside else None
    if asked_for is not None and same_person(asked_for) == same_person(voter):
        yield f"{voter} voted on what was asked on their own behalf"
    voters = deciding.electorate(now, question)
    if voters is None or not voters.why_not(voter):
        return
    if any(same_person(by) == same_person(voter) for by, _ in question.handed):
        yield f"{voter} voted on {question.proposed['ticket']}, which they had handed on"
    elif asked_for is None or same_person(asked_for) != same_person(voter):
        groups = [need["approvers"] for need in question.proposed["needs"]]
        yield f"{voter} belongs to none of: {', '.join(groups)}"


def _agreed(now: Standing, question: Question, record: Record) -> Iterator[str]:
    yes = question.said("approve")
    if record["approvers"] != yes or question.said("reject"):
        yield f"{record['ticket']} is approved, and not by those who voted for it"
    voters = deciding.electorate(now, question)
    people = {same_person(name): name for name in yes}.values()
    for stated in question.proposed["needs"]:
        need = Need.model_validate(stated)
        count = len(people) if voters is None else voters.yes_for(need, people)
        if count < need.quorum:
            yield (
                f"{record['ticket']} is approved by {count} of {need.approvers}, "
                f"{need.rule} needs {need.quorum}"
            )
            return
    if voters is not None and not voters.suffice(yes):
        yield f"{record['ticket']} cannot be undone, and only {voters.editor}, who edited it, agreed"


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
    "session.open": _session_open,
    "session.resume": _session_resume,
    "session.close": _session_close,
    "approval.proposed": _approval_proposed,
    "approval.vote": _approval_vote,
    "approval.decided": _approval_decided,
    "approval.expired": _approval_expired,
    "approval.edited": deciding.edited,
    "approval.handed": deciding.handed,
    "approval.escalated": deciding.escalated,
    "approval.remark": deciding.remarked,
    "standing.made": deciding.standing_made,
    "standing.joined": deciding.standing_joined,
    "standing.revoked": deciding.standing_revoked,
    "notice.delivery": deciding.delivery,
    "call.intent": _call_intent,
    "call.outcome": _call_outcome,
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
