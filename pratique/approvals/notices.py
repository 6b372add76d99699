"""The outbox: who has to be told what, and what became of it, in the ledger.

Rules:
- A notice is put into the outbox by the record that it tells of, in the same transaction (`tell`).
- It names tool, tier, agent and what happened, and links to the question. It holds no argument, no name of
  the person the agent acts for, and nothing that answers with one click.
- Each attempt is on record before it is made: that keeps a second sender away, and spaces the attempts, over
  restarts as well. Sent at least once; its id is the same each time, so that a receiver can drop repeats.
- What is over meanwhile is not sent: nobody is called to an answered question. After a day nothing is.
"""

from collections.abc import Iterable
from typing import Any

from pratique.approvals.desk import Desk
from pratique.approvals.question import Question
from pratique.audit import deciding
from pratique.electorate import PERSON
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.guards_approvals import NoticeIs
from pratique.ledger.sequencer import Entry, Receipt
from pratique.model import Value
from pratique.redaction import KINDS, redact

LIFETIME_US = 24 * 3600 * 1_000_000
MOST_ATTEMPTS = 12
FIRST_DELAY_US = 15 * 1_000_000
LONGEST_DELAY_US = 3600 * 1_000_000

CALLING = frozenset({"asked", "escalated", "handed", "question"})
"""Events that call people to a question: of no use once it is over."""

WORDS = {
    "asked": "waits for an answer",
    "escalated": "has waited for half of its time, and nobody answered",
    "handed": "was handed to you",
    "question": "has a question for you",
    "answer": "has an answer to your question",
    "approved": "was approved",
    "rejected": "was rejected",
    "expired": "expired",
    "void": "is void: the policy or the call changed",
    "edited": "was edited",
    "done": "was run",
    "failed": "was run, and failed",
    "unknown": "was started, and nobody knows whether it took effect",
    "denied": "was denied",
}
EVENTS = tuple(WORDS)


class Notice(Value):
    """One thing that people are told.

    Attributes:
        id: the same for every attempt and channel.
        seq: the record that it tells of.
        event: one of `EVENTS`; `words` says it.
        ticket, tool, tier, agent, state: of the question.
        link: where it is answered; empty if the settings name no address.
        groups: who is asked; no persons.
    """

    id: str
    seq: int
    event: str
    words: str
    ticket: str
    tool: str
    tier: str
    agent: str
    state: str
    link: str
    groups: tuple[str, ...]
    at_us: int

    @property
    def title(self) -> str:
        """It in one line."""
        return f"{self.tool} ({self.tier}) by {self.agent} {self.words}"


class Due(Value):
    """A notice that has to be sent on one channel, as often as it was tried."""

    notice: Notice
    channel: str
    attempts: int
    question: Question


class Outbox:
    """What has to be told.

    Args:
        ledger: where it is.
        desk: knows the groups.
        link: the address of the server, `https://…`; a ticket's page is beneath it.
    """

    def __init__(self, ledger: Ledger, desk: Desk, link: str = "") -> None:
        self._ledger, self._desk, self._link = ledger, desk, link.rstrip("/")

    def due(self, channel: str, events: Iterable[str], most: int = 50) -> list[Due]:
        """Return what has to be sent on a channel now; what is of no use any more is put aside."""
        now_us, wanted = self._ledger.clock(), frozenset(events)
        rows = self._ledger.read(
            lambda c: asking.undelivered(c, channel, now_us - LIFETIME_US, now_us, most, wanted)
        )
        found = []
        for row in rows:
            question = self._desk.queue.look(row.ticket)
            due = Due(
                notice=self._notice(row, question), channel=channel, attempts=row.attempts, question=question
            )
            if row.event in CALLING and not question.is_open(now_us):
                self._over(due, "moot", "the question is over")
            else:
                found.append(due)
        return found

    def claim(self, due: Due) -> Due | None:
        """Record that an attempt is about to be made; None if another sender makes it."""
        attempts = due.attempts + 1
        delay = min(LONGEST_DELAY_US, FIRST_DELAY_US * 2 ** (attempts - 1))
        done = self._record(due, "trying", attempts, self._ledger.clock() + delay, "")
        return due.model_copy(update={"attempts": attempts}) if done else None

    def sent(self, due: Due) -> None:
        """Record that it was taken."""
        self._over(due, "sent", "")

    def failed(self, due: Due, problem: str, *, for_good: bool) -> bool:
        """Record that it is given up, if it was tried often enough or never will be taken; return whether."""
        if not for_good and due.attempts < MOST_ATTEMPTS:
            return False
        self._over(due, "given up", redact(problem, kinds=KINDS))
        return True

    def addressees(self, due: Due) -> tuple[str, ...]:
        """Return the people who have to be told: who may answer, who asked, or whom it is done for."""
        question, event = due.question, due.notice.event
        if event == "handed":
            handed = self._ledger.read(lambda c: asking.hand_overs(c, question.ticket))
            return tuple(row.heir for row in handed if row.seq == due.notice.seq)
        if event in {"question", "rejected", "expired", "void", "edited"}:
            return (self._desk.queue.asked(question.ticket).user,)
        if event == "answer":
            said = self._ledger.read(lambda c: asking.remarks(c, question.ticket))
            return tuple(dict.fromkeys(row.speaker for row in said if row.speaker))
        if event in {"asked", "escalated"}:
            return self._voters(question, wider=event == "escalated")
        return question.decided_by

    def _voters(self, question: Question, *, wider: bool) -> tuple[str, ...]:
        user = self._desk.queue.asked(question.ticket).user
        electorate = self._desk.queue.electorate(question, user, self._desk.members)
        names = question.escalate_to if wider else tuple(need.approvers for need in question.needs)
        people = [
            person
            for name in names
            for person in (
                [name.removeprefix(PERSON)] if name.startswith(PERSON) else self._desk.members(name)
            )
        ]
        return tuple(person for person in dict.fromkeys(people) if not electorate.why_not(person))

    def _notice(self, row: Any, question: Question) -> Notice:
        return Notice(
            id=f"{self._ledger.log}.{row.seq}",
            seq=row.seq,
            event=row.event,
            words=WORDS.get(row.event, row.event),
            ticket=row.ticket,
            tool=question.tool,
            tier=question.tier,
            agent=redact(question.agent, kinds=KINDS),
            state=question.state,
            link=f"{self._link}/queue/{row.ticket}" if self._link else "",
            groups=tuple(dict.fromkeys(need.approvers for need in question.needs)),
            at_us=row.ts_us,
        )

    def _over(self, due: Due, state: str, problem: str) -> None:
        self._record(due, state, due.attempts, 0, problem)

    def _record(self, due: Due, state: str, attempts: int, next_us: int, problem: str) -> bool:
        draft = deciding.delivery(due.notice.seq, due.channel, state, attempts, next_us, problem)
        guard = NoticeIs(due.notice.seq, due.channel, due.attempts)
        return isinstance(self._ledger.commit_now(Entry(drafts=(draft,), guards=(guard,))), Receipt)
