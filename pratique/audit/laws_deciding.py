"""The laws of deciding: edits, hand-overs, threads, escalation, yeses given beforehand, notices.

Rules:
- As in `pratique.audit.laws`: each says again, from the records alone, what a guard demanded.
- Who belongs to a group that a company's login fills (`oidc:…`) is not in the log: of such a group everybody
  may be a member.
- What a standing approval's people may is decided by the groups of each moment; the log says who they were,
  for which agent and tool, how often and how long.
"""

from collections.abc import Iterator, Sequence

from pratique.answers import Need
from pratique.audit.standing import SECOND_US, Given, Question, Record, Standing
from pratique.electorate import Electorate, Handed
from pratique.people import same_person

OIDC = "oidc:"
TAINTED = frozenset({"argument", "sink"})


class _Anybody(tuple[str, ...]):
    """A group of which nobody can be said not to belong to it."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return True


def electorate(now: Standing, question: Question) -> Electorate | None:
    """Return who may answer a question at this place in the log; None if its policy is not there."""
    proposed = question.proposed
    stated = now.stated(proposed["epoch"])
    if stated is None:
        return None

    def members(group: str) -> Sequence[str]:
        people = tuple(stated.groups.get(group, ()))
        return _Anybody(people) if any(name.startswith(OIDC) for name in people) else people

    asked_for = now.beside.asked_for(proposed) if now.beside else None
    return Electorate(
        needs=tuple(Need.model_validate(need) for need in proposed["needs"]),
        user=asked_for or "",
        members=members,
        handed=tuple(Handed(*one) for one in question.handed),
        wider=tuple(proposed.get("escalate_to", ())) if question.escalated else (),
        editor=proposed.get("edited_by", ""),
        irreversible=proposed["tier"] == "irreversible",
    )


def answerable(now: Standing, question: Question, record: Record) -> Iterator[str]:
    """Yield why a question could not be answered any more when the record was written."""
    ticket = record["ticket"]
    if question.state != "proposed":
        yield f"{ticket} was {question.state} already"
    if record["session"] != question.proposed["session"]:
        yield f"{ticket} belongs to another session"
    if record["ts_us"] >= question.wait_until_us:
        yield f"{ticket} was answered after its time to wait"
    if question.proposed["epoch"] != now.epoch:
        yield f"{ticket} was answered after the policy had changed"


def has_their_account(now: Standing, person: str) -> Iterator[str]:
    """Judge whether somebody who acts may: an account of theirs, if they have one, is enabled."""
    if now.people.get(same_person(person).strip()) is False:
        yield f"the account of {person} was disabled"


def follows_edit(now: Standing, record: Record) -> Iterator[str]:
    """Judge a question that was made of another one; it may be asked again, under a later policy."""
    session = now.sessions.get(record["session"])
    if "edited_from" not in record or session is None:
        return
    stated = record["edited_from"]
    if session.edits.get(stated) != (record["edited_by"], record["call_id"]):
        yield f"it says that {record['edited_by']} edited {stated}, and no record before it does"


def edited(now: Standing, record: Record) -> Iterator[str]:
    """Judge the end of a question whose call was edited: by somebody who could have answered it."""
    question = now.questions.get(record["ticket"])
    if question is None:
        yield f"it edits {record['ticket']}, which is not a question that is open"
        return
    yield from answerable(now, question, record)
    yield from has_their_account(now, record["by"])
    yield from _has_a_say(now, question, record["by"])
    session = now.sessions.get(record["session"])
    if session is not None:
        session.edits[record["ticket"]] = (record["by"], question.proposed["call_id"])
        session.edited.add((question.proposed["call_id"], question.proposed["digest"]))
    now.end(record["ticket"])


def handed(now: Standing, record: Record) -> Iterator[str]:
    """Judge a hand-over: by somebody who could answer and had not, to somebody who may."""
    question = now.questions.get(record["ticket"])
    if question is None:
        yield f"it hands on {record['ticket']}, which is not a question that is open"
        return
    yield from answerable(now, question, record)
    yield from _has_a_say(now, question, record["by"])
    involved = [*question.votes, *(by for by, _ in question.handed)]
    for person in (record["by"], record["to"]):
        yield from has_their_account(now, person)
        if any(same_person(person) == same_person(name) for name in involved):
            yield f"{person} had answered {record['ticket']}, or handed it on"
    voters = electorate(now, question)
    if voters is not None and not voters.may_take(record["to"]):
        yield f"{record['to']} may not take {record['ticket']}"
    question.handed.append((record["by"], record["to"]))


def escalated(now: Standing, record: Record) -> Iterator[str]:
    """Judge an escalation: once, after half of the wait, to whom the question said."""
    question = now.questions.get(record["ticket"])
    if question is None:
        yield f"it escalates {record['ticket']}, which is not a question that is open"
        return
    yield from answerable(now, question, record)
    proposed = question.proposed
    if question.escalated:
        yield f"{record['ticket']} had escalated already"
    if record["ts_us"] < proposed["ts_us"] + proposed["wait_s"] * SECOND_US // 2:
        yield f"{record['ticket']} escalated before half of its time was over"
    if record["to"] != proposed.get("escalate_to"):
        yield f"{record['ticket']} escalated to others than it said"
    question.escalated = True


def remarked(now: Standing, record: Record) -> Iterator[str]:
    """Judge a line of a thread: an approver asks, the agent's person answers."""
    question = now.questions.get(record["ticket"])
    if question is None or question.state != "proposed":
        yield f"it speaks of {record['ticket']}, which is not a question that is open"
        return
    if record["kind"] == "question":
        question.threaded = True
        yield from _has_a_say(now, question, record["speaker"])
    elif record["kind"] != "answer":
        yield f"{record['kind']!r} is no line of a thread"
    elif not question.threaded:
        yield "it answers what nobody asked"


def standing_made(now: Standing, record: Record) -> Iterator[str]:
    """Judge a yes given beforehand: bounded in time and number, under the policy in force."""
    name = record["standing"]
    if name in now.given:
        yield f"the standing approval {name} was given before"
    if record["epoch"] != now.epoch:
        yield f"it was given under epoch {record['epoch']} while epoch {now.epoch} was in force"
    if record["expires_us"] <= record["ts_us"] or record["max_uses"] < 1 or not record["by"]:
        yield f"the standing approval {name} has no bounds, or nobody gave it"
    yield from has_their_account(now, record["by"])
    now.given[name] = Given(record)


def standing_joined(now: Standing, record: Record) -> Iterator[str]:
    """Judge one more person behind it: another one."""
    given = now.given.get(record["standing"])
    if given is None:
        yield f"the standing approval {record['standing']} is not there, or was revoked"
        return
    if any(same_person(record["by"]) == same_person(name) for name in given.people):
        yield f"{record['by']} stood behind {record['standing']} already"
    yield from has_their_account(now, record["by"])
    given.people.append(record["by"])


def standing_revoked(now: Standing, record: Record) -> Iterator[str]:
    """Judge its end."""
    if now.given.pop(record["standing"], None) is None:
        yield f"the standing approval {record['standing']} is not there, or was revoked before"


def uses_standing(now: Standing, record: Record) -> Iterator[str]:
    """Judge an intent that rests on a yes given beforehand."""
    name = record["standing"]
    given = now.given.get(name)
    if given is None:
        yield f"it ran on the standing approval {name}, which is not there, or was revoked"
        return
    given.uses += 1
    made = given.made
    if given.uses > made["max_uses"]:
        yield f"{name} was used {given.uses} times, at most {made['max_uses']} are allowed"
    if record["ts_us"] >= made["expires_us"]:
        yield f"{name} was used after it had expired"
    if any(record[fact] != made[fact] for fact in ("agent", "tenant", "tool", "tool_digest")):
        yield f"{name} was given to another agent, or for another tool"
    if record["approved_by"] != given.people:
        yield f"it names other people than those behind {name}"
    if record["taint"] in TAINTED:
        yield f"{name} was used for a call with an argument from outside"


def delivery(now: Standing, record: Record) -> Iterator[str]:
    """Judge what became of a notice: tried one attempt after the other, until it is over."""
    key = record["notice"], record["channel"]
    before = now.notices.get(key, 0)
    if record["state"] == "trying":
        if record["attempts"] != before + 1:
            yield f"attempt {record['attempts']} of a notice comes after attempt {before}"
        now.notices[key] = record["attempts"]
        return
    if record["state"] not in {"sent", "given up", "moot"}:
        yield f"{record['state']!r} is no state of a notice"
    now.notices.pop(key, None)


def _has_a_say(now: Standing, question: Question, person: str) -> Iterator[str]:
    voters = electorate(now, question)
    why_not = "" if voters is None else voters.why_not(person)
    if why_not:
        yield f"{person} had no say in {question.proposed['ticket']}: {why_not}"
