"""What a person's answer must have to count, and what is recorded of it. Nothing here looks at the ledger.

Rules:
- One no is a no, and it has a reason. A yes needs every rule's quorum of distinct people.
- Who may answer is what `pratique.electorate` says; who answers is what the caller's login says.
- A yes to what cannot be undone comes with the destination, typed once more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pratique.approvals.card import Card, confirms
from pratique.approvals.question import Question
from pratique.audit import drafts
from pratique.electorate import Electorate
from pratique.errors import CardRefusesError, ConfirmationError, NotAnApproverError, TicketClosedError
from pratique.ledger.guards import EpochIs
from pratique.ledger.guards_approvals import ApprovalIs
from pratique.ledger.guards_identity import NobodyDisabled
from pratique.ledger.sequencer import Entry
from pratique.model import printable
from pratique.people import same_person


def demand_open(question: Question, now_us: int) -> None:
    """Raise TicketClosedError when a question can no longer be answered."""
    if question.state != "proposed":
        raise TicketClosedError(f"{question.ticket} is {question.state} already; nothing was changed")
    if not question.is_open(now_us):
        raise TicketClosedError(f"{question.ticket} has waited too long; it can no longer be answered")


def demand_approver(question: Question, voter: str, electorate: Electorate) -> None:
    """Raise NotAnApproverError when this person may not answer."""
    why_not = electorate.why_not(voter)
    if why_not:
        raise NotAnApproverError(f"{printable(voter)} cannot answer {question.ticket}: {why_not}")


def demand_whole(question: Question, card: Card, *, approve: bool, reason: str, confirm: str) -> None:
    """Raise for an answer that lacks something: a no without its reason, a yes without the destination.

    Raises:
        NotAnApproverError: a no without a reason.
        CardRefusesError: a yes to what cannot be shown in full.
        ConfirmationError: a yes without the destination, or with another one.
    """
    if not approve:
        if not reason.strip():
            raise NotAnApproverError("a no needs a reason: the agent and the requester are told")
        return
    if card.refuses:
        raise CardRefusesError(f"{question.ticket} cannot be approved: {card.refuses}. Reject it, or edit it")
    if not confirms(card, confirm):
        raise ConfirmationError(
            f"{question.ticket} cannot be undone: to approve it, type what it goes to ({card.confirm})"
            + (f"; {confirm.strip()[:80]!r} is something else" if confirm.strip() else "")
        )


class Vote(NamedTuple):
    """One person's answer: yes or no, and why."""

    voter: str
    approve: bool
    reason: str


def entry_of(
    question: Question, electorate: Electorate, given: Sequence[tuple[str, str, str]], vote: Vote
) -> Entry:
    """Return the entry that records a vote and, if it is the last one needed, the decision.

    Args:
        question: as it stands.
        electorate: who may answer it.
        given: who answered before, what, and why.
        vote: the answer.

    Raises:
        TicketClosedError: this person has answered already.
    """
    voter, ticket, session = vote.voter, question.ticket, question.session
    if any(same_person(name) == same_person(voter) for name, _, _ in given):
        raise TicketClosedError(f"{voter} has answered {ticket} already")
    yes = [name for name, word, _ in given if word == "approve"] + ([voter] if vote.approve else [])
    word = "approve" if vote.approve else "reject"
    records = [drafts.voted(ticket, session, voter, word, vote.reason)]
    if not vote.approve:
        records.append(drafts.decided(ticket, session, "rejected", [voter], vote.reason))
    elif electorate.suffice(yes):
        records.append(drafts.decided(ticket, session, "approved", yes, vote.reason))
    # The yes is for the policy that asked: under another one the question has to be asked again.
    counted = (voter, *(name for name in yes if not electorate.why_not(name)))
    guards = (
        ApprovalIs(ticket, "proposed", len(given), changes=question.changes),
        EpochIs(question.epoch),
        NobodyDisabled(counted),
    )
    return Entry(drafts=tuple(records), guards=guards)
