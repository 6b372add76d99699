"""The two clocks of a question, and what happens when half of the first one is over.

Rules:
- A question that nobody answered in time, and a yes that was not used in time, end as `expired`, by a record.
- When half of the wait is over, more people may answer: those whom the rules name, else the agent's owner.
- Nothing here is needed for safety: a late answer, and a late use, are refused in the transaction anyway.
- Several processes may sweep at once: each step is compare-and-swap, and happens once.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pratique.approvals.question import Question, question_of
from pratique.audit import deciding, drafts
from pratique.ledger import queries_approvals as asking
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs
from pratique.ledger.guards_approvals import ApprovalIs, NotEscalated
from pratique.ledger.sequencer import Entry, Receipt

MOST_AT_ONCE = 200
UNANSWERED = "nobody answered in time"
UNUSED = "the yes was not used in time"


class Swept(NamedTuple):
    """How many questions expired, and how many escalated."""

    expired: int
    escalated: int


def sweep(ledger: Ledger) -> Swept:
    """Let every clock that has run out take effect; blocks. Call it every few seconds.

    Raises:
        LedgerUnavailableError: it cannot be recorded.
    """
    now_us = ledger.clock()
    late = ledger.read(lambda c: asking.overdue(c, now_us, MOST_AT_ONCE))
    unused = ledger.read(lambda c: asking.unused(c, now_us, MOST_AT_ONCE))
    waiting = ledger.read(lambda c: asking.to_escalate(c, now_us, MOST_AT_ONCE))
    return Swept(
        expired=_commit(ledger, late, lambda one: expiry(one, "expired", UNANSWERED))
        + _commit(ledger, unused, lambda one: expiry(one, "expired", UNUSED)),
        escalated=_commit(ledger, waiting, escalation),
    )


def expiry(question: Question, state: str, reason: str) -> Entry:
    """Return the entry that ends a question without an answer."""
    draft = drafts.expired(question.ticket, question.session, state, reason)
    guard = ApprovalIs(question.ticket, question.state, question.votes, in_time=False)
    return Entry(drafts=(draft,), guards=(guard,))


def escalation(question: Question) -> Entry:
    """Return the entry that lets more people answer."""
    draft = deciding.escalated(question.ticket, question.session, list(question.escalate_to))
    guards = (
        ApprovalIs(question.ticket, "proposed", question.votes),
        NotEscalated(question.ticket),
        EpochIs(question.epoch),
    )
    return Entry(drafts=(draft,), guards=guards)


def is_due(question: Question, now_us: int) -> bool:
    """Return whether half of a question's wait is over, and nobody else was asked yet."""
    return (
        question.is_open(now_us)
        and not question.escalated_us
        and 0 < question.escalate_us <= now_us
        and bool(question.escalate_to)
    )


def _commit(ledger: Ledger, rows: Iterable[Any], entry: Callable[[Question], Entry]) -> int:
    done = (ledger.commit_now(entry(question_of(row, row.ticket))) for row in rows)
    return sum(isinstance(one, Receipt) for one in done)
