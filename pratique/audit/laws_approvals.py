"""The laws of questions to people: asked once, answered by those who may, decided by enough of them, in time.

Rules:
- As in `pratique.audit.laws`: each says again, from the records alone, what a guard demanded.
"""

from collections.abc import Iterator, Mapping

from pratique.answers import Need
from pratique.audit import laws_deciding as deciding
from pratique.audit.laws_sessions import in_force, in_session
from pratique.audit.standing import SECOND_US, Law, Question, Record, Standing, key_of
from pratique.people import same_person


def _approval_proposed(now: Standing, record: Record) -> Iterator[str]:
    yield from in_session(now, record)
    yield from in_force(now, record)
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


APPROVALS: Mapping[str, Law] = {
    "approval.proposed": _approval_proposed,
    "approval.vote": _approval_vote,
    "approval.decided": _approval_decided,
    "approval.expired": _approval_expired,
}
