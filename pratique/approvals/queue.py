"""The queue of questions: asked, answered and used, all of it in the ledger.

Rules:
- A question is bound to one call (digest), one card (digest) and one policy (epoch). An answer to it is no
  answer to anything else.
- Answers are compare-and-swap: a late one, a second one or one that lost a race changes nothing.
- One no is a no, and it has a reason. A yes needs every rule's quorum of distinct people.
- Nobody answers what was asked on their behalf. Who answers is what the caller's login says.
- Two clocks: how long a question waits, and how long a yes may be used.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import anyio
import orjson

from pratique.approvals.card import Card, make_card
from pratique.audit import drafts
from pratique.errors import (
    CanonicalError,
    LedgerCorruptError,
    NotAnApproverError,
    TicketClosedError,
    UnknownTicketError,
)
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.guards import ApprovalIs, EpochIs, NotAskedYet, SessionIsOpen
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import (
    Answer,
    Approval,
    Ask,
    Call,
    Need,
    Rejection,
    Unresolved,
    Value,
    Waiting,
    printable,
)
from pratique.people import is_member, same_person

Members = Callable[[str], Sequence[str]]

POLL_SECONDS = 0.25
"""How often a waiting call looks for an answer that another process gave."""

_OVER = {"rejected", "expired", "void"}


class Question(Value):
    """A question and how it stands.

    `state` is proposed → approved → started → finished | unknown, or ends as rejected, expired or void.
    """

    ticket: str
    session: str
    call_id: str
    digest: str
    card_digest: str
    epoch: int
    agent: str
    tool: str
    tier: str
    needs: tuple[Need, ...]
    state: str
    reason: str
    decided_by: tuple[str, ...]
    votes: int
    proposed_seq: int
    proposed_us: int
    wait_until_us: int
    use_until_us: int

    def is_open(self, now_us: int) -> bool:
        """Return whether it can still be answered."""
        return self.state == "proposed" and now_us < self.wait_until_us


class Asked(NamedTuple):
    """What was asked: the card, the arguments as canonical JSON, and on whose behalf."""

    card: Card
    args_json: bytes
    user: str


class Queue:
    """Asks people and takes their answers.

    Args:
        ledger: where the questions are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ask(self, call: Call, ask: Ask) -> Answer:
        """Return how the question about this call stands; put it into the queue if it is not there.

        Waits up to the request's `wait` seconds for an answer. A question that cannot be put (there is no
        card, the policy changed, the session is over or goes on elsewhere) is answered by that fact: no.

        Raises:
            LedgerUnavailableError: the question cannot be recorded.
        """
        try:
            card = make_card(call, ask)
        except CanonicalError as problem:
            return Rejection(ticket="", text=f"nobody can be asked, because no card can be made: {problem}")
        ticket = await self._propose(call, ask, card)
        if isinstance(ticket, Refused):
            return Rejection(ticket="", text=ticket.why)
        with anyio.move_on_after(call.request.wait), self._ledger.watch.on(ticket) as bell:
            # An answer may come from another process, through the database: nothing could wake us.
            while await self._is_waiting(ticket):
                await bell.rung(POLL_SECONDS)
        question = await self._settle(await self.get(ticket))
        epoch = await self._ledger.query(queries.epoch)
        if question.state == "proposed" and epoch != question.epoch:
            return Rejection(ticket=ticket, text=f"the policy changed since {ticket} was asked")
        return _answer(question)

    async def get(self, ticket: str) -> Question:
        """Return the question with this ticket.

        Raises:
            UnknownTicketError: there is none.
        """
        return _question(await self._ledger.query(lambda c: queries.approval(c, ticket)), ticket)

    def look(self, ticket: str) -> Question:
        """As `get`, without an event loop."""
        return _question(self._ledger.read(lambda c: queries.approval(c, ticket)), ticket)

    def questions(self, state: str | None = "proposed") -> list[Question]:
        """Return the questions in this state (all, if None), oldest first."""
        rows = self._ledger.read(lambda c: queries.approvals(c, state))
        return [_question(row, row.ticket) for row in rows]

    def votes(self, ticket: str) -> list[tuple[str, str, str]]:
        """Return who answered what, and why."""
        rows = self._ledger.read(lambda c: queries.votes(c, ticket))
        return [(row.voter, row.vote, row.reason) for row in rows]

    def asked(self, ticket: str) -> Asked:
        """Return what a question asks, out of the vault, checked against the record and the card's digest.

        Raises:
            UnknownTicketError: there is no such question.
            LedgerCorruptError: the values were erased, or are not the ones that were recorded.
        """
        question = self.look(ticket)

        def read(connection: Any) -> Asked:
            record = queries.record(connection, question.proposed_seq) or {}
            subject = queries.subject_of(connection, question.proposed_seq)
            if subject is not None:
                self._ledger.learn(connection, subject)
            found = queries.values(connection, self._ledger.vault, record)
            if not found or not all(value.genuine for value in found.values()):
                raise LedgerCorruptError(f"what {ticket} asks was erased or is not what was recorded")
            card = Card.model_validate_json(found["card"].value).digested()
            if card.digest != question.card_digest:
                raise LedgerCorruptError(f"the card of {ticket} is not the one that was recorded")
            return Asked(card, found["args"].value, found["user"].value.decode())

        return self._ledger.read(read)

    def answer(self, ticket: str, voter: str, *, approve: bool, reason: str, members: Members) -> Question:
        """Record one person's answer; return how the question stands then.

        Args:
            ticket: the question.
            voter: who answers, as their login says.
            approve: yes or no.
            reason: why; a no must have one.
            members: gives who belongs to an approver group, by the policy in force.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is decided, expired or void, or this person has answered already.
            NotAnApproverError: this person may not answer it.
        """
        question, asked = self.look(ticket), self.asked(ticket)
        self._demand_open(question, voter)
        _demand_approver(question, voter, asked.user, members)
        if not approve and not reason.strip():
            raise NotAnApproverError("a no needs a reason: the agent and the requester are told")
        given = self.votes(ticket)
        if any(same_person(name) == same_person(voter) for name, _, _ in given):
            raise TicketClosedError(f"{voter} has answered {ticket} already")
        vote = "approve" if approve else "reject"
        yes = [name for name, word, _ in given if word == "approve"] + ([voter] if approve else [])
        records = [drafts.voted(ticket, question.session, voter, vote, reason)]
        if not approve:
            records.append(drafts.decided(ticket, question.session, "rejected", [voter], reason))
        elif _quorate(question.needs, yes, members):
            records.append(drafts.decided(ticket, question.session, "approved", yes, reason))
        # The yes is for the policy that asked: under another one the question has to be asked again.
        guards = (ApprovalIs(ticket, "proposed", len(given)), EpochIs(question.epoch))
        done = self._ledger.commit_now(Entry(drafts=tuple(records), guards=guards))
        if isinstance(done, Refused):
            raise TicketClosedError(f"{done.why}; nothing was changed")
        return self.look(ticket)

    async def _is_waiting(self, ticket: str) -> bool:
        """Return whether an answer can still come: under another policy than the one that asked, none can."""
        question = await self.get(ticket)
        return question.is_open(self._ledger.clock()) and question.epoch == await self._ledger.query(
            queries.epoch
        )

    async def _propose(self, call: Call, ask: Ask, card: Card) -> str | Refused:
        """Return the ticket of the question about this call, after asking it if nobody has."""
        subject, request = call.request.subject, call.request
        row = await self._ledger.query(
            lambda c: queries.approval_of(c, subject.session, request.call_id, call.digest)
        )
        if row is not None:
            question = _question(row, row.ticket)
            current = (question.epoch, question.card_digest) == (ask.epoch, card.digest)
            if current or question.state not in {"proposed", "approved", "void"}:
                return question.ticket
            if question.state != "void":
                await self._expire(question, "void", "the policy or the call changed since it was asked")
        ticket = f"t_{secrets.token_hex(8)}"
        draft = drafts.proposed(call, ask, ticket, card.digest)
        values = {
            **asked_values(call),
            "card": orjson.dumps(card.model_dump(mode="json", exclude={"digest"})),
            "user": subject.user.encode(),
        }
        kept = self._ledger.seal(self._ledger.vault.subject_id(subject.user), queries.about(draft), values)
        done = await self._ledger.commit(
            Entry(
                drafts=({**draft, **kept.commitments},),
                values=(kept,),
                guards=(
                    EpochIs(ask.epoch),
                    SessionIsOpen(subject.session, self._ledger.writer.id),
                    NotAskedYet(subject.session, request.call_id, call.digest),
                ),
            )
        )
        if isinstance(done, Refused) and isinstance(done.guard, NotAskedYet):
            return await self._propose(call, ask, card)  # another caller was first: it is one question
        return done if isinstance(done, Refused) else ticket

    async def _settle(self, question: Question) -> Question:
        """Let a clock that has run out take effect."""
        now = self._ledger.clock()
        if question.state == "proposed" and not question.is_open(now):
            return await self._expire(question, "expired", "nobody answered in time")
        if question.state == "approved" and now >= question.use_until_us:
            return await self._expire(question, "expired", "the yes was not used in time")
        return question

    async def _expire(self, question: Question, state: str, reason: str) -> Question:
        draft = drafts.expired(question.ticket, question.session, state, reason)
        guard = ApprovalIs(question.ticket, question.state, question.votes, in_time=False)
        await self._ledger.commit(Entry(drafts=(draft,), guards=(guard,)))
        return await self.get(question.ticket)

    def _demand_open(self, question: Question, voter: str) -> None:
        if question.state != "proposed":
            raise TicketClosedError(f"{question.ticket} is {question.state} already: {voter} changed nothing")
        if not question.is_open(self._ledger.clock()):
            raise TicketClosedError(f"{question.ticket} has waited too long; it can no longer be answered")


def asked_values(call: Call | Unresolved) -> dict[str, bytes]:
    """Return what the vault keeps of what was asked: the arguments, and where each came from."""
    values = {"args": call.request.args_json}
    if isinstance(call, Call) and call.judged.origins:
        values["judged"] = call.judged.model_dump_json().encode()
    return values


def _demand_approver(question: Question, voter: str, user: str, members: Members) -> None:
    if same_person(voter) == same_person(user):
        raise NotAnApproverError(
            f"{printable(voter)} cannot answer {question.ticket}: it was asked on their behalf"
        )
    groups = [need.approvers for need in question.needs]
    if not any(is_member(members(group), voter) for group in groups):
        raise NotAnApproverError(f"{printable(voter)} belongs to none of: {', '.join(groups)}")


def _quorate(needs: Sequence[Need], yes: Sequence[str], members: Members) -> bool:
    return all(
        sum(is_member(members(need.approvers), person) for person in _distinct(yes)) >= need.quorum
        for need in needs
    )


def _distinct(people: Sequence[str]) -> Collection[str]:
    """Return the people, each once, however their names are spelled."""
    return {same_person(name): name for name in people}.values()


def _answer(question: Question) -> Answer:
    if question.state == "proposed":
        return Waiting(ticket=question.ticket)
    if question.state in _OVER:
        by = f" by {', '.join(question.decided_by)}" if question.decided_by else ""
        text = f"{question.state}{by}: {question.reason} ({question.ticket})"
        return Rejection(ticket=question.ticket, text=text)
    return Approval(
        ticket=question.ticket,
        digest=question.digest,
        card_digest=question.card_digest,
        epoch=question.epoch,
        approved_by=question.decided_by,
        use_until_us=question.use_until_us,
    )


def _question(row: Any, ticket: str) -> Question:
    if row is None:
        raise UnknownTicketError(f"no question has the ticket {ticket!r}; see `pratique approvals list`")
    return Question(
        ticket=row.ticket,
        session=row.session,
        call_id=row.call,
        digest=row.digest,
        card_digest=row.card_digest,
        epoch=row.epoch,
        agent=row.agent,
        tool=row.tool,
        tier=row.tier,
        needs=tuple(Need.model_validate(need) for need in orjson.loads(row.needs)),
        state=row.state,
        reason=row.reason,
        decided_by=tuple(orjson.loads(row.decided_by)),
        votes=row.votes,
        proposed_seq=row.proposed_seq,
        proposed_us=row.proposed_us,
        wait_until_us=row.wait_until_us,
        use_until_us=row.use_until_us,
    )
