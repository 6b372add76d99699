"""Edit and approve: a person makes another call of one that waits, and the old question ends.

Rules:
- The edited call is a call like any other: validated, judged, decided by the policy in force, with a question
  of its own. Votes start again. If the policy denies it, nothing is changed.
- Who edits must be allowed to answer. What they typed has them as its origin; the rest keeps its own.
- A question is edited under the policy that asked it, as it is answered; under another one it is asked anew.
- One transaction ends the old question, asks the new one and, if the editor says so, records their yes.
- The editor's yes counts like anybody's; what cannot be undone needs somebody else's as well.
- It keeps the call id. Whoever calls again with the old arguments gets what became of the edited call.
"""

from typing import Any, Protocol, TypedDict, Unpack

import anyio.to_thread
import orjson
from sqlalchemy import Connection

from pratique.approvals.answering import demand_approver, demand_open, demand_whole
from pratique.approvals.card import Card
from pratique.approvals.desk import Desk
from pratique.approvals.question import Question
from pratique.approvals.queue import Asked, Queue, new_ticket, proposal
from pratique.audit import deciding, drafts
from pratique.audit.canonical import canonical
from pratique.audit.record import Draft
from pratique.electorate import Electorate
from pratique.errors import CanonicalError, EditError, TicketClosedError
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs, SessionNotClosed
from pratique.ledger.guards_approvals import ApprovalIs, NotAskedYet
from pratique.ledger.guards_identity import NobodyDisabled
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Ask, Call, Decision, Edited, OriginKind, Request, Tier, Unresolved
from pratique.origin import argument_of
from pratique.quarantine.approver import changed_leaves
from pratique.sessions.hosting import Hosting
from pratique.stages.enforcement import Enforcement
from pratique.stages.resolve import resolve
from pratique.stages.withheld import Withheld
from pratique.tools.registry import Registry

MOST_BYTES = 256 * 1024
MOST_VALUES = 5000


class Said(TypedDict, total=False):
    """What an editor says beside the arguments.

    Attributes:
        reason: why; the agent is told.
        approve: whether this is their yes as well.
        confirm: what the edited call goes to, typed once more, if it cannot be undone.
    """

    reason: str
    approve: bool
    confirm: str


class Host(Protocol):
    """What editing needs of the runtime."""

    enforcement: Enforcement
    registry: Registry
    queue: Queue
    desk: Desk


class Editing:
    """Makes edited calls.

    Args:
        host: decides them and has their cards made.
        ledger: where the questions are.
        hosting: knows what sessions were shown.
    """

    def __init__(self, host: Host, ledger: Ledger, hosting: Hosting) -> None:
        self._host, self._ledger, self._hosting = host, ledger, hosting

    async def edit(
        self, ticket: str, editor: str, arguments: dict[str, Any], **said: Unpack[Said]
    ) -> Question:
        """Ask about another call in place of the one that a question asks about.

        Args:
            ticket: the question.
            editor: who edits, as their login says: somebody who may answer it.
            arguments: all arguments of the edited call, JSON values.
            **said: see `Said`.

        Returns:
            The new question; its `edited_from` is the old one.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is over, or somebody was faster: nothing was changed.
            NotAnApproverError: this person may not answer it.
            EditError: nothing differs, the arguments are not valid, or the policy denies them.
            ConfirmationError, CardRefusesError: the editor's yes lacks something; nothing was changed.
        """
        await self._host.enforcement.refresh()
        question, asked = await anyio.to_thread.run_sync(self._look, ticket)
        await anyio.to_thread.run_sync(self._demand, question, asked, editor)
        request = await self._request(question, asked, arguments, editor, said.get("reason", ""))
        call, ask = await self._decided(request)
        card = await self._host.queue.card(call, ask)
        if not isinstance(card, Card):
            raise EditError(card.text)
        demand_whole(
            question,
            card,
            approve=said.get("approve", True),
            reason="edited",
            confirm=said.get("confirm", ""),
        )
        return await anyio.to_thread.run_sync(
            lambda: self._commit(question, asked, call, ask, card, approve=said.get("approve", True))
        )

    def _look(self, ticket: str) -> tuple[Question, Asked]:
        return self._host.queue.look(ticket), self._host.queue.asked(ticket)

    def _demand(self, question: Question, asked: Asked, editor: str) -> None:
        demand_open(question, self._ledger.clock())
        demand_approver(
            question, editor, self._host.queue.electorate(question, asked.user, self._host.desk.members)
        )

    async def _request(
        self, question: Question, asked: Asked, arguments: dict[str, Any], editor: str, reason: str
    ) -> Request:
        """Return the edited request: the same call id, under the label that the session had when it asked."""
        try:
            body = canonical(arguments, most_bytes=MOST_BYTES, most_values=MOST_VALUES)
        except CanonicalError as problem:
            raise EditError(f"arguments: {problem}") from None
        # What a person changed twice is still what the agent did not ask for.
        first = asked.edited.before_json if asked.edited else asked.args_json
        changed = changed_leaves(orjson.loads(first), orjson.loads(body))
        if body == asked.args_json:
            raise EditError(f"nothing differs from what {question.ticket} asks: approve it, or reject it")
        edited = Edited(
            ticket=question.ticket,
            by=editor,
            reason=reason,
            changed=changed,
            before_json=first,
            needs=question.needs,
            wait_s=(question.wait_until_us - question.proposed_us) // 1_000_000,
            use_within_s=await self._ledger.query(lambda c: _use_within(c, question.ticket)),
        )
        as_asked = await self._hosting.asked(question.session, question.ticket)
        return as_asked.model_copy(update={"args_json": body, "judged": None, "edited": edited})

    async def _decided(self, request: Request) -> tuple[Call, Ask]:
        """Return the edited call and whom it asks; what the agent may not be shown of it is taken out."""
        provenance = await self._hosting.provenance_of(request.subject.session)
        enforcement = self._host.enforcement

        def resolved(request: Request) -> Call:
            call = resolve(request, self._host.registry, provenance, enforcement.snapshot.policy)
            if isinstance(call, Unresolved):
                raise EditError(f"the edited call cannot be: {call.problem}")
            return call

        call = resolved(request)
        if call.request.edited is not None:
            told = call.request.edited.model_copy(update={"changed": _told(call, provenance.withheld)})
            judged = call.judged
            call = resolved(request.model_copy(update={"edited": told, "judged": judged}))
        decision: Decision = enforcement.decide(call)
        if not isinstance(decision, Ask):
            raise EditError(f"the policy denies the edited call: {decision.because}")
        return call, decision

    def _commit(
        self, question: Question, asked: Asked, call: Call, ask: Ask, card: Card, *, approve: bool
    ) -> Question:
        edited = call.request.edited
        if edited is None:
            raise TypeError("not an edited call")
        ticket, session = new_ticket(), question.session
        draft, kept = proposal(self._ledger, call, ask, ticket, card)
        records: list[Draft] = [
            deciding.edited(question.ticket, session, edited.by, ticket, edited.reason),
            draft,
        ]
        if approve:
            records += self._yes(ticket, ask, asked.user, edited, call)
        guards = (
            ApprovalIs(question.ticket, "proposed", question.votes, changes=question.changes),
            EpochIs(question.epoch),
            EpochIs(ask.epoch),
            SessionNotClosed(session),
            NobodyDisabled((edited.by,)),
            NotAskedYet(session, question.call_id, call.digest),
        )
        values = tuple(kept if one is draft else None for one in records)
        done = self._ledger.commit_now(Entry(drafts=tuple(records), values=values, guards=guards))
        if isinstance(done, Refused):
            raise TicketClosedError(f"{done.why}; nothing was changed")
        return self._host.queue.look(ticket)

    def _yes(self, ticket: str, ask: Ask, user: str, edited: Edited, call: Call) -> list[Draft]:
        """Return the editor's vote on their own edit, and the decision if it is enough."""
        session = call.request.subject.session
        voted = drafts.voted(ticket, session, edited.by, "approve", edited.reason)
        electorate = Electorate(
            needs=ask.needs,
            user=user,
            members=self._host.desk.members,
            editor=edited.by,
            irreversible=call.capability.tier is Tier.IRREVERSIBLE,
        )
        if electorate.why_not(edited.by):
            return []  # the edited call asks other people
        if not electorate.suffice([edited.by]):
            return [voted]
        return [voted, drafts.decided(ticket, session, "approved", [edited.by], edited.reason)]


def _told(call: Call, withheld: Withheld) -> dict[str, Any]:
    """Return what changed as the agent may be told: values that the editor typed, and no others.

    What they left in may be what was withheld from the agent. So may a name below an argument be that was
    given by reference: of what was changed below one, only the argument is told.
    """
    edited = call.request.edited
    changed = {} if edited is None else edited.changed
    theirs = {
        path
        for path in changed
        if all(
            origin.kind in {OriginKind.APPROVER, OriginKind.LITERAL}
            for origin in call.judged.origins
            if origin.argument == path
        )
    }
    references = call.request.references
    if references:
        theirs -= {path for path in theirs if withheld.repeats(references, changed[path])}
    told = {path: value if path in theirs else None for path, value in changed.items()}
    return {argument_of(path): told.get(argument_of(path)) for path in told} if references else told


def _use_within(connection: Connection, ticket: str) -> int:
    row = queries.approval(connection, ticket)
    return 0 if row is None else int(row.use_within_s)
