"""The laws of calls: an intent rests on what allowed it and is closed once; what needs none changed nothing.

Rules:
- As in `pratique.audit.laws`: each says again, from the records alone, what a guard demanded.
"""

from collections.abc import Iterator, Mapping

from pratique.audit import laws_deciding as deciding
from pratique.audit.laws_pinning import is_pinned
from pratique.audit.laws_sessions import in_force, in_session
from pratique.audit.standing import Law, Record, Session, Standing, Stated, key_of

READ = "read"
RAN = frozenset({"done", "failed", "unknown"})
"""What can become of a call that was permitted."""

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


def _call_intent(now: Standing, record: Record) -> Iterator[str]:
    yield from in_session(now, record)
    yield from in_force(now, record)
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
        yield from in_session(now, record)
    yield from in_force(now, record)
    if record["effect"] != "deny":
        yield f"it was denied, although the decision was {record['effect']}"


def _read(now: Standing, record: Record) -> Iterator[str]:
    yield from in_session(now, record)
    yield from in_force(now, record)
    yield from _allowed(record)
    if record["outcome"] not in RAN - {"unknown"}:
        yield f"a read ends as {record['outcome']!r}"
    if record["tier"] != READ:
        yield f"a call of tier {record['tier'] or 'unknown'} ran without an intent on record"
    if record.get("pin") or record["tool"].partition(".")[0] in now.servers:
        yield f"{record['tool']} is another program's, and ran without an intent on record"
    if record["ticket"]:
        yield f"it used the yes to {record['ticket']} without an intent on record"


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


CALLS: Mapping[str, Law] = {"call.intent": _call_intent, "call.outcome": _call_outcome}
