"""What people do to questions, by the policy in force: answer, answer many, hand on, ask back.

Rules:
- Who acts is what their login says. What they may is decided by the groups of the policy in force now.
- Everything is a record, and compare-and-swap: who was too late is told so, and changed nothing.
- Whoever hands a question on has no say in it any more; the quorum must stay within reach.
- A thread is between the approvers and the person the agent acts for. Its words are values: the record only
  commits to them. Its clocks go on.
- Many are answered at once only if they are of one shape, under one policy, without taint, and can be undone.
  Each is a vote of its own, and fails on its own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pratique.approvals.answering import demand_approver, demand_open
from pratique.approvals.question import Question
from pratique.approvals.queue import Queue
from pratique.approvals.standing import StandingApproval, Standings
from pratique.audit import deciding
from pratique.audit.record import Draft
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.electorate import Handed, Members
from pratique.errors import NotAnApproverError, PratiqueError, TicketClosedError
from pratique.ledger import policies, queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs, Guard
from pratique.ledger.guards_approvals import ApprovalIs
from pratique.ledger.guards_identity import NobodyDisabled
from pratique.ledger.sequencer import Entry, Refused
from pratique.model import Capability, Taint, Tier, Value
from pratique.people import is_member, same_person

MOST_AT_ONCE = 200
MOST_HAND_OVERS = 16
MOST_REMARKS = 100
LONGEST_REMARK = 10_000

Known = Callable[[Connection, Policy], Members]


def named(connection: Connection, policy: Policy) -> Members:
    """Return the groups as the policy's file names their people."""
    del connection
    return policy.members


class Remark(Value):
    """One line of a question's thread; `kind` is `question` or `answer`."""

    kind: str
    speaker: str
    text: str
    ts_us: int


class Answered(NamedTuple):
    """What became of one of many answers: how the question stands, or why nothing was changed."""

    ticket: str
    question: Question | None
    problem: str = ""


class Desk:
    """What people do. Its methods block: call them in a thread.

    Args:
        ledger: where the questions are.
        known: gives who belongs to the groups of a policy; left out, whom its file names.
    """

    def __init__(self, ledger: Ledger, known: Known = named) -> None:
        self._ledger, self._known = ledger, known
        self._snapshot: Snapshot | None = None
        self.queue = Queue(ledger)
        self.standings = Standings(ledger)

    @property
    def policy(self) -> Snapshot:
        """The policy in force, as the ledger has it now."""
        epoch = self._ledger.read(queries.epoch)
        if self._snapshot is None or self._snapshot.epoch != epoch:
            self._snapshot = policies.in_force(self._ledger)
        return self._snapshot

    def members(self, group: str) -> Sequence[str]:
        """Return who belongs to a group, by the policy in force."""
        return self.membership()(group)

    def membership(self) -> Members:
        """Return who belongs to which group at this moment: one look for many questions."""
        policy = self.policy.policy
        return self._ledger.read(lambda connection: self._known(connection, policy))

    def groups_of(self, person: str) -> tuple[str, ...]:
        """Return the groups that a person belongs to, by the policy in force."""
        membership = self.membership()
        return tuple(name for name in self.policy.policy.file.groups if is_member(membership(name), person))

    def answer(
        self, ticket: str, voter: str, *, approve: bool, reason: str = "", confirm: str = ""
    ) -> Question:
        """Record one person's answer; see `Queue.answer`."""
        return self.queue.answer(
            ticket, voter, approve=approve, reason=reason, confirm=confirm, members=self.members
        )

    def why_not(self, ticket: str, person: str) -> str:
        """Return why a person may not answer a question; nothing if they may."""
        question, asked = self.queue.look(ticket), self.queue.asked(ticket)
        try:
            demand_open(question, self._ledger.clock())
        except TicketClosedError as closed:
            return str(closed)
        if any(same_person(name) == same_person(person) for name, _, _ in self.queue.votes(ticket)):
            return "they have answered already"
        return self.queue.electorate(question, asked.user, self.members).why_not(person)

    def answer_all(
        self, tickets: Sequence[str], voter: str, *, approve: bool, reason: str = ""
    ) -> list[Answered]:
        """Answer many questions of one shape, each with a vote of its own.

        Raises:
            NotAnApproverError: they may not be answered at once; nothing was changed.
            UnknownTicketError: there is no such question.
        """
        tickets = list(dict.fromkeys(tickets))
        _demand_alike([self.queue.look(ticket) for ticket in tickets])
        answered = []
        for ticket in tickets:
            try:
                question = self.answer(ticket, voter, approve=approve, reason=reason)
            except PratiqueError as problem:
                answered.append(Answered(ticket, None, str(problem)))
            else:
                answered.append(Answered(ticket, question))
        return answered

    def hand_on(self, ticket: str, by: str, to: str, reason: str = "") -> Question:
        """Hand a question to somebody else, who answers in one's place.

        Args:
            ticket: the question.
            by: an approver who has not answered, as their login says.
            to: a person of the groups that are asked, or of those that the rules name as `delegates`.
            reason: why, for the record.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is over, or somebody was faster.
            NotAnApproverError: it cannot be handed on by, or to, these people.
        """
        question, asked = self.queue.look(ticket), self.queue.asked(ticket)
        demand_open(question, self._ledger.clock())
        electorate = self.queue.electorate(question, asked.user, self.members)
        demand_approver(question, by, electorate)
        if len(electorate.handed) >= MOST_HAND_OVERS:
            raise NotAnApproverError(f"{ticket} was handed on {MOST_HAND_OVERS} times already")
        involved = [name for name, _, _ in self.queue.votes(ticket)] + [one.by for one in electorate.handed]
        for person in (by, to):
            if any(same_person(name) == same_person(person) for name in involved):
                raise NotAnApproverError(f"{person} has answered {ticket}, or handed it on, already")
        if same_person(by) == same_person(to):
            raise NotAnApproverError(f"{by} has {ticket} already")
        if not electorate.may_take(to):
            raise NotAnApproverError(
                f"{ticket} cannot be handed to {to}: they belong to no group that may answer"
            )
        lacks = electorate.lacks_after(Handed(by, to))
        if lacks:
            raise NotAnApproverError(f"{ticket} cannot be handed on: {lacks}")
        self._change(question, deciding.handed(ticket, question.session, by, to, reason), people=(by, to))
        return self.queue.look(ticket)

    def ask_person(self, ticket: str, by: str, text: str) -> list[Remark]:
        """Ask the person the agent acts for; return the thread. The clocks go on.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is over.
            NotAnApproverError: this person may not answer it, or asks too much.
        """
        question, asked = self.queue.look(ticket), self.queue.asked(ticket)
        demand_open(question, self._ledger.clock())
        demand_approver(question, by, self.queue.electorate(question, asked.user, self.members))
        return self._remark(question, "question", by, text)

    def reply(self, ticket: str, by: str, text: str) -> list[Remark]:
        """Answer in the thread, as the person the agent acts for; return the thread.

        Raises:
            UnknownTicketError: there is no such question.
            TicketClosedError: it is over.
            NotAnApproverError: it was not asked on this person's behalf, or nobody asked them anything.
        """
        question, asked = self.queue.look(ticket), self.queue.asked(ticket)
        demand_open(question, self._ledger.clock())
        if same_person(by) != same_person(asked.user):
            raise NotAnApproverError(f"{ticket} was not asked on behalf of {by}")
        if not self._ledger.read(lambda c: asking.remarks(c, ticket)):
            raise NotAnApproverError(f"nobody asked anything about {ticket}")
        return self._remark(question, "answer", by, text)

    def thread(self, ticket: str) -> list[Remark]:
        """Return what was asked and answered about a question."""
        user = self.queue.asked(ticket).user

        def read(connection: Connection) -> list[Remark]:
            return [
                Remark(
                    kind=row.kind,
                    speaker=row.speaker or user,
                    text=self._text(connection, row.seq),
                    ts_us=row.ts_us,
                )
                for row in asking.remarks(connection, ticket)
            ]

        return self._ledger.read(read)

    def make_standing(
        self,
        by: str,
        capability: Capability,
        *,
        agent: str,
        pattern: dict[str, object],
        expires_us: int,
        max_uses: int,
        reason: str,
    ) -> StandingApproval:
        """Give a yes beforehand, by the policy in force; see `Standings.make`."""
        return self.standings.make(
            by,
            self.policy,
            self.membership(),
            capability,
            agent=agent,
            pattern=pattern,
            expires_us=expires_us,
            max_uses=max_uses,
            reason=reason,
        )

    def join_standing(self, identity: str, by: str) -> StandingApproval:
        """Stand behind it as well; see `Standings.join`."""
        return self.standings.join(identity, by, self.policy, self.membership())

    def revoke_standing(self, identity: str, by: str, reason: str = "") -> StandingApproval:
        """End it at once; see `Standings.revoke`."""
        return self.standings.revoke(identity, by, self.policy, self.membership(), reason)

    def _remark(self, question: Question, kind: str, by: str, text: str) -> list[Remark]:
        if not text.strip() or len(text) > LONGEST_REMARK:
            raise NotAnApproverError(f"say something, in at most {LONGEST_REMARK} characters")
        if len(self._ledger.read(lambda c: asking.remarks(c, question.ticket))) >= MOST_REMARKS:
            raise NotAnApproverError(f"{question.ticket} has {MOST_REMARKS} remarks already: answer it")
        # The agent's person is not named in a record; an approver is, as where they vote.
        speaker = by if kind == "question" else ""
        draft = deciding.remark(question.ticket, question.session, kind, speaker)
        self._change(
            question, draft, {"text": text.encode("utf-8", "replace")}, people=(by,), any_change=True
        )
        return self.thread(question.ticket)

    def _change(
        self,
        question: Question,
        draft: Draft,
        values: dict[str, bytes] | None = None,
        *,
        people: tuple[str, ...],
        any_change: bool = False,
    ) -> None:
        changes = None if any_change else question.changes
        guards: tuple[Guard, ...] = (
            ApprovalIs(question.ticket, "proposed", question.votes, changes=changes),
            NobodyDisabled(people),
        )
        if not any_change:
            # Who may is decided by the policy at hand; a question is good under the one that asked it.
            guards = (*guards, EpochIs(self.policy.epoch), EpochIs(question.epoch))
        if values is None:
            entry = Entry(drafts=(draft,), guards=guards)
        else:
            owner = self._ledger.read(lambda c: queries.subject_of(c, question.proposed_seq)) or ""
            kept = self._ledger.seal(owner, queries.about(draft), values)
            entry = Entry(drafts=({**draft, **kept.commitments},), values=(kept,), guards=guards)
        done = self._ledger.commit_now(entry)
        if isinstance(done, Refused):
            raise TicketClosedError(f"{done.why}; nothing was changed")

    def _text(self, connection: Connection, seq: int) -> str:
        record, owner = queries.record(connection, seq), queries.subject_of(connection, seq)
        if record is None or owner is None or not self._ledger.learn(connection, owner):
            return "[erased]"
        found = queries.values(connection, self._ledger.vault, record).get("text")
        return found.value.decode() if found is not None and found.genuine else "[erased]"


def _demand_alike(questions: Sequence[Question]) -> None:
    """Raise unless many questions may be answered at once."""
    if not questions or len(questions) > MOST_AT_ONCE:
        raise NotAnApproverError(f"from 1 to {MOST_AT_ONCE} questions can be answered at once")
    first = questions[0]
    for question in questions:
        if (question.shape, question.epoch) != (first.shape, first.epoch) or not question.shape:
            raise NotAnApproverError(
                f"{question.ticket} and {first.ticket} differ in agent, tool, arguments' names or policy: "
                "answer them one by one"
            )
        if question.taint != Taint.NONE:
            raise NotAnApproverError(
                f"{question.ticket} carries taint ({question.taint}): answer it by itself"
            )
        if question.tier == Tier.IRREVERSIBLE:
            raise NotAnApproverError(f"{question.ticket} cannot be undone: answer it by itself")
