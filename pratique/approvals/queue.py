"""The queue of questions: asked, answered and used, all of it in the ledger.

Rules:
- A question is bound to one call (digest), one card (digest) and one policy (epoch). An answer to it is no
  answer to anything else.
- What the card says that the call will change is looked at again before a yes is used: if the world has moved
  on, the question is asked again.
- A yes given beforehand is looked for only when nobody was asked about this very call.
- Answers are compare-and-swap: a late one, a second one or one that lost a race changes nothing. Which ones
  count is what `pratique.approvals.answering` says.
- Two clocks: how long a question waits, and how long a yes may be used.
- One key (in process: one agent) has a bounded number of questions that wait. What a call will change is not
  computed again for whoever keeps asking how it stands.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import anyio
import anyio.to_thread
import orjson
from sqlalchemy import Connection

from pratique.approvals import clocks
from pratique.approvals.answering import Vote, demand_approver, demand_open, demand_whole, entry_of
from pratique.approvals.card import NO_PREVIEW, Card, make_card
from pratique.approvals.question import Question, question_of
from pratique.approvals.standing import standing_approvals
from pratique.audit import drafts
from pratique.audit.record import Draft
from pratique.capabilities.decide import stands_not
from pratique.electorate import Electorate, Handed, Members
from pratique.errors import CanonicalError, LedgerCorruptError, TicketClosedError
from pratique.ledger import queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs, SessionIsOpen
from pratique.ledger.guards_approvals import FewWait, NotAskedYet
from pratique.ledger.sequencer import Entry, Refused
from pratique.ledger.vault import Sealing
from pratique.model import (
    Answer,
    Approval,
    Ask,
    Call,
    Edited,
    Preview,
    Rejection,
    Standing,
    Unresolved,
    Waiting,
    WasEdited,
)
from pratique.redaction import KINDS, redact

Previewed = Callable[[Call], Awaitable[Preview]]


async def no_preview(call: Call) -> Preview:
    """Say nothing of what a call will change."""
    del call
    return NO_PREVIEW


def nobody(group: str) -> Sequence[str]:
    """Return that nobody belongs to a group."""
    del group
    return ()


POLL_SECONDS = 0.25
"""How often a waiting call looks for an answer that another process gave."""

MOST_OPEN = 1000
"""Questions of one key, or of one agent in this process, that may wait at a time."""

LOOK_AGAIN_SECONDS = 10.0
"""How long a question that still waits is not compared again with what the call would change by now."""

_OVER = {"rejected", "expired", "void"}


class Asked(NamedTuple):
    """What was asked.

    Attributes:
        card: what people are shown.
        args_json: the arguments as canonical JSON.
        user: on whose behalf.
        why: the agent's own words for why it asks; they are bound to nothing.
        edited: what somebody changed, if it is not what the agent asked for.
    """

    card: Card
    args_json: bytes
    user: str
    why: str = ""
    edited: Edited | None = None


class Queue:
    """Asks people and takes their answers.

    Args:
        ledger: where the questions are.
        previewed: says what a call will change.

    Attributes:
        most_open: questions of one key that may wait at a time; 0 for any number.
    """

    def __init__(self, ledger: Ledger, previewed: Previewed = no_preview) -> None:
        self._ledger, self._previewed = ledger, previewed
        self.most_open = MOST_OPEN
        self._looked: OrderedDict[str, float] = OrderedDict()  # ticket → when its card was last made

    async def ask(self, call: Call, ask: Ask, members: Members = nobody) -> Answer | WasEdited:
        """Return how the question about this call stands; put it into the queue if it is not there.

        Waits up to the request's `wait` seconds for an answer. A question that cannot be put (there is no
        card, the policy changed, the session is over or goes on elsewhere) is answered by that fact: no.

        Args:
            call: what would run.
            ask: why people are asked, and whom.
            members: gives who belongs to a group, for yeses that were given beforehand.

        Raises:
            LedgerUnavailableError: the question cannot be recorded.
        """
        standing = await self._standing(call, ask, members)
        if standing is not None:
            card = await self.card(call, ask)
            if isinstance(card, Rejection):
                return card
            if not card.refuses:  # what cannot be shown, nobody has agreed to beforehand either
                return standing
        patience = anyio.current_time() + call.request.wait
        while True:
            asked = await self._ask(call, ask, patience)
            if isinstance(asked, Question):
                return _answer(asked)
            if asked is not None:
                return asked

    async def _ask(self, call: Call, ask: Ask, patience: float) -> Question | Rejection | None:
        """Ask, and wait until `patience` ends; None if the world moved on under a yes: ask again."""
        card, ticket = None, await self._lately_asked(call, ask)
        if ticket is None:
            made = await self.card(call, ask)
            if isinstance(made, Rejection):
                return made
            put = await self._propose(call, ask, made)
            if isinstance(put, Refused):
                return Rejection(ticket="", text=put.why)
            card, ticket = made, put
            if not made.refuses:  # what could not be said a moment ago may be said now
                self._look(ticket)
        waited = await self._wait(ticket, patience)
        question = await self._settle(await self.get(ticket))
        if question.state == "proposed" and question.epoch != await self._ledger.query(queries.epoch):
            return Rejection(ticket=ticket, text=f"the policy changed since {ticket} was asked")
        if question.state != "approved":
            return question
        again = await self.card(call, ask) if card is None or (waited and card.preview) else card
        if isinstance(again, Rejection) or again.refuses:
            return _unseen(question, again, call)
        return question if again.digest == question.card_digest else None

    async def _lately_asked(self, call: Call, ask: Ask) -> str | None:
        """Return the ticket of the question about this call, if it waits and its card is a moment old."""
        request = call.request
        row = await self._ledger.query(
            lambda c: queries.approval_of(c, request.subject.session, request.call_id, call.digest)
        )
        if row is None or (row.state, row.epoch) != ("proposed", ask.epoch):
            return None
        looked = self._looked.get(row.ticket)
        lately = looked is not None and anyio.current_time() - looked < LOOK_AGAIN_SECONDS
        return row.ticket if lately else None

    def _look(self, ticket: str) -> None:
        self._looked[ticket] = anyio.current_time()
        self._looked.move_to_end(ticket)
        while len(self._looked) > MOST_OPEN:
            self._looked.popitem(last=False)

    async def card(self, call: Call, ask: Ask) -> Card | Rejection:
        """Return the card for a call, with what the tool says that it will change; or why there is none."""
        try:
            return make_card(call, ask, await self._previewed(call))
        except CanonicalError as problem:
            return Rejection(ticket="", text=f"nobody can be asked, because no card can be made: {problem}")

    async def _wait(self, ticket: str, patience: float) -> bool:
        """Wait for an answer; return whether there was anything to wait for."""
        waited = False
        left = max(0.0, patience - anyio.current_time())
        with anyio.move_on_after(left), self._ledger.watch.on(ticket) as bell:
            # An answer may come from another process, through the database: nothing could wake us.
            while await self._is_waiting(ticket):
                waited = True
                await bell.rung(POLL_SECONDS)
        return waited

    async def _standing(self, call: Call, ask: Ask, members: Members) -> Standing | None:
        """Return a yes that was given beforehand and counts for this call, if nobody was asked about it."""
        if not ask.standing:
            return None
        subject, now_us = call.request.subject, self._ledger.clock()

        def find() -> Standing | None:
            groups = {need.approvers: members(need.approvers) for need in ask.needs}  # looks for itself
            return self._ledger.read(lambda connection: within(connection, groups))

        def within(connection: Connection, groups: dict[str, Sequence[str]]) -> Standing | None:
            row = queries.approval_of(connection, subject.session, call.request.call_id, call.digest)
            if row is not None and row.state != "void":
                return None
            found = standing_approvals(connection, self._ledger, subject.agent, call.capability.name, groups)
            return next((one for one in found if not stands_not(ask, call, one, now_us)), None)

        return await anyio.to_thread.run_sync(find)

    async def get(self, ticket: str) -> Question:
        """Return the question with this ticket.

        Raises:
            UnknownTicketError: there is none.
        """
        return question_of(await self._ledger.query(lambda c: queries.approval(c, ticket)), ticket)

    def look(self, ticket: str) -> Question:
        """As `get`, without an event loop."""
        return question_of(self._ledger.read(lambda c: queries.approval(c, ticket)), ticket)

    def questions(self, state: str | None = "proposed") -> list[Question]:
        """Return the questions in this state (all, if None), oldest first."""
        rows = self._ledger.read(lambda c: queries.approvals(c, state))
        return [question_of(row, row.ticket) for row in rows]

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
        return self._ledger.read(lambda connection: self.asked_in(connection, question))

    def asked_in(self, connection: Connection, question: Question) -> Asked:
        """As `asked`, in a view of the ledger that is open already."""
        record = queries.record(connection, question.proposed_seq) or {}
        subject = queries.subject_of(connection, question.proposed_seq)
        if subject is not None:
            self._ledger.learn(connection, subject)
        found = queries.values(connection, self._ledger.vault, record)
        if not found or not all(value.genuine for value in found.values()):
            raise LedgerCorruptError(f"what {question.ticket} asks was erased or is not what was recorded")
        card = Card.model_validate_json(found["card"].value).digested()
        if card.digest != question.card_digest:
            raise LedgerCorruptError(f"the card of {question.ticket} is not the one that was recorded")
        why, edited = found.get("why"), found.get("edited")
        return Asked(
            card,
            found["args"].value,
            found["user"].value.decode(),
            why.value.decode() if why else "",
            Edited.model_validate_json(edited.value) if edited else None,
        )

    def electorate(self, question: Question, user: str, members: Members) -> Electorate:
        """Return who may answer a question."""
        rows = self._ledger.read(lambda c: asking.hand_overs(c, question.ticket))
        return question.electorate(user, members, tuple(Handed(row.person, row.heir) for row in rows))

    def answer(
        self,
        ticket: str,
        voter: str,
        *,
        approve: bool,
        reason: str,
        members: Members,
        confirm: str = "",
    ) -> Question:
        """Record one person's answer; return how the question stands then.

        Args:
            ticket: the question.
            voter: who answers, as their login says.
            approve: yes or no.
            reason: why; a no must have one.
            members: gives who belongs to an approver group, by the policy in force.
            confirm: the destination, typed once more (`Card.confirm`), for a yes to what cannot be undone.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is decided, expired or void, or this person has answered already.
            NotAnApproverError: this person may not answer it.
            ConfirmationError: a yes without the destination, or with another one.
            CardRefusesError: a yes to what cannot be shown in full.
        """
        question, asked = self.look(ticket), self.asked(ticket)
        demand_open(question, self._ledger.clock())
        electorate = self.electorate(question, asked.user, members)
        demand_approver(question, voter, electorate)
        demand_whole(question, asked.card, approve=approve, reason=reason, confirm=confirm)
        vote = Vote(voter, approve=approve, reason=reason)
        done = self._ledger.commit_now(entry_of(question, electorate, self.votes(ticket), vote))
        if isinstance(done, Refused):
            raise TicketClosedError(f"{done.why}; nothing was changed")
        return self.look(ticket)

    async def _is_waiting(self, ticket: str) -> bool:
        """Return whether an answer can still come: under another policy than the one that asked, none can."""
        question, now_us = await self.get(ticket), self._ledger.clock()
        if clocks.is_due(question, now_us):
            await self._ledger.commit(clocks.escalation(question))
        return question.is_open(now_us) and question.epoch == await self._ledger.query(queries.epoch)

    async def _propose(self, call: Call, ask: Ask, card: Card) -> str | Refused:
        """Return the ticket of the question about this call, after asking it if nobody has."""
        subject, request = call.request.subject, call.request
        row = await self._ledger.query(
            lambda c: queries.approval_of(c, subject.session, request.call_id, call.digest)
        )
        if row is not None:
            question = question_of(row, row.ticket)
            if _is_current(question, ask, card) or question.state not in {"proposed", "approved", "void"}:
                return question.ticket
            if question.state != "void":
                await self._expire(question, "void", "the policy or the call changed since it was asked")
        ticket = new_ticket()
        draft, kept = proposal(self._ledger, call, ask, ticket, card)
        done = await self._ledger.commit(
            Entry(
                drafts=(draft,),
                values=(kept,),
                guards=(
                    EpochIs(ask.epoch),
                    SessionIsOpen(subject.session, self._ledger.writer.id),
                    NotAskedYet(subject.session, request.call_id, call.digest),
                    *((FewWait(subject.session, self.most_open),) if self.most_open else ()),
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
            return await self._expire(question, "expired", clocks.UNANSWERED)
        if question.state == "approved" and now >= question.use_until_us:
            return await self._expire(question, "expired", clocks.UNUSED)
        return question

    async def _expire(self, question: Question, state: str, reason: str) -> Question:
        await self._ledger.commit(clocks.expiry(question, state, reason))
        return await self.get(question.ticket)


def proposal(ledger: Ledger, call: Call, ask: Ask, ticket: str, card: Card) -> tuple[Draft, Sealing]:
    """Return the record that asks about a call, and the values that it commits to."""
    draft = drafts.proposed(call, ask, ticket, card.digest)
    values = {
        **asked_values(call),
        "card": orjson.dumps(card.model_dump(mode="json", exclude={"digest"})),
        "user": call.request.subject.user.encode(),
    }
    owner = ledger.vault.subject_id(call.request.subject.user)
    kept = ledger.seal(owner, queries.about(draft), values)
    return {**draft, **kept.commitments}, kept


def new_ticket() -> str:
    """Return a ticket that nobody can guess."""
    return f"t_{secrets.token_hex(8)}"


def asked_values(call: Call | Unresolved) -> dict[str, bytes]:
    """Return what the vault keeps of what was asked: arguments, origins, the agent's why, an edit."""
    values = {"args": call.request.args_json}
    if call.request.why:
        values["why"] = call.request.why.encode()
    if call.request.edited is not None:
        values["edited"] = call.request.edited.model_dump_json().encode()
    if isinstance(call, Call) and (call.judged.origins or call.judged.references):
        values["judged"] = call.judged.model_dump_json().encode()
    return values


def _is_current(question: Question, ask: Ask, card: Card) -> bool:
    """Return whether a question still asks what the card says.

    A tool that cannot say now what the call will change does not take a question back that was put.
    """
    same = card.refuses != "" or question.card_digest == card.digest
    return same and question.epoch == ask.epoch


def _unseen(question: Question, card: Card | Rejection, call: Call) -> Rejection:
    """Say that a yes cannot be used yet. The agent is told: not what a tool says of what it is not shown."""
    problem = card.text if isinstance(card, Rejection) else card.refuses
    said = "" if call.request.references else f": {redact(problem, kinds=KINDS)}"
    why = f"{question.ticket} is approved, but what it will change cannot be seen now{said}; call again"
    return Rejection(ticket="", text=why)


def _answer(question: Question) -> Answer | WasEdited:
    if question.state == "proposed":
        return Waiting(ticket=question.ticket)
    if question.state == "edited":
        return WasEdited(ticket=question.edited_to)
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
