"""Everything that belongs to one question, as people are shown it."""

from pratique.approvals.card import Card
from pratique.approvals.desk import Remark
from pratique.approvals.question import Question
from pratique.approvals.reasons import PRESETS
from pratique.model import Edit, Value


class Vote(Value):
    """One answer: `approve` or `reject`."""

    voter: str
    vote: str
    reason: str
    ts_us: int


class HandOver(Value):
    """Who handed the question to whom, and why."""

    by: str
    to: str
    reason: str
    ts_us: int


class Wanting(Value):
    """What one rule still wants: `given` of `quorum` people of a group have said yes."""

    rule: str
    approvers: str
    quorum: int
    given: int


class Earlier(Value):
    """What became of an earlier question about the same tool and shape."""

    ticket: str
    state: str
    decided_by: tuple[str, ...]
    reason: str
    proposed_us: int
    taint: str


class Ran(Value):
    """What ran, and what came of it.

    Attributes:
        outcome: done, failed, unknown, denied; `running` while there is none.
        duration_us: how long it took.
        result: what it gave, as JSON text; None if this reader may not see it, or it was erased.
        error: what went wrong, in words.
        record: the record that says so.
    """

    outcome: str
    duration_us: int = 0
    result: str | None = None
    error: str = ""
    level: str = ""
    record: int = 0


class Dossier(Value):
    """Everything about one question.

    Attributes:
        question: how it stands.
        card: what was asked, in full; `arguments_json` the same as JSON, to be edited.
        user: on whose behalf. why: the agent's own words, which nothing is bound to.
        policy: SHA-256 of the policy that asked; its number is `question.epoch`.
        current: whether that policy is still in force: under another one no answer counts.
        votes, thread, handed: what people did so far. wanting: what is still wanted, rule by rule.
        electorate_groups: the groups (or `person:NAME`) who may answer now.
        earlier: what became of questions of the same tool and shape.
        edit: what somebody changed, when this is an edited call.
        why_not: why the reader may not answer; empty if they may.
        wait_s: seconds it may still wait. use_s: seconds a yes may still be used. Both 0 for none.
        ran: what ran, once it was decided.
        reasons: for a no.
    """

    question: Question
    card: Card
    arguments_json: str
    user: str
    why: str
    policy: str
    current: bool
    votes: tuple[Vote, ...]
    wanting: tuple[Wanting, ...]
    electorate_groups: tuple[str, ...]
    handed: tuple[HandOver, ...]
    thread: tuple[Remark, ...]
    earlier: tuple[Earlier, ...]
    edit: Edit | None
    why_not: str
    now_us: int
    wait_s: int
    use_s: int
    ran: Ran | None
    reasons: tuple[str, ...] = PRESETS
