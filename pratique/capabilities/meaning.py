"""What rows mean for one kind of question, whatever their ids: `diff` compares it, `who_can` sums it up.

A question of one agent, tool and taint can come out differently by time and arguments. What rows make of it
is a function of the moments at which windows open and close, and of the outcome of each condition.

Rules:
- Conditions are taken by their text, and as independent of each other: `amount <= 50` and `amount <= 99` may
  both be true, both false, or one of each. Nothing that can happen is left out; some of it may be impossible.
- A condition is true, false or in error. An error matches no allow and every deny and ask.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import product
from typing import NamedTuple

from pratique.capabilities.manifest import AskRule, ExceptionRule
from pratique.capabilities.policy import Policy, Row, live

MOST_CASES = 2_500
"""Beyond so many combinations of moments and outcomes, they are not gone through one by one."""


class Word(IntEnum):
    """What a decision says, least strict first."""

    ALLOW = 0
    ASK = 1
    DENY = 2

    def __str__(self) -> str:
        return self.name.lower()


class Demand(NamedTuple):
    """Whom an ask row demands, and for how long question and answer live (seconds).

    `others`: whom it may go to besides, and whether a yes given beforehand counts.
    """

    approvers: str
    members: frozenset[str]
    quorum: int
    wait: int
    use_within: int
    others: tuple[object, ...] = ()


class Meaning(NamedTuple):
    """What a row does when agent, tool, tier, class and taint are such that it matters."""

    kind: str
    nbf: int
    exp: int
    condition: str
    demand: Demand | None
    grant: tuple[str, int] | None

    @property
    def is_open(self) -> bool:
        """Whether time or arguments decide if it matches."""
        return bool(self.nbf or self.exp or self.condition)


class Answer(NamedTuple):
    """What a question comes to: the word, whom it asks, and the counted exceptions that alone allow it."""

    word: Word
    demands: frozenset[Demand] = frozenset()
    grants: frozenset[tuple[str, int]] = frozenset()

    @property
    def people(self) -> frozenset[tuple[str, frozenset[str], int]]:
        """Whom it asks: group, members, quorum."""
        return frozenset((demand.approvers, demand.members, demand.quorum) for demand in self.demands)

    @property
    def others(self) -> frozenset[tuple[object, ...]]:
        """Whom it may go to besides."""
        return frozenset(demand.others for demand in self.demands)

    @property
    def wait(self) -> int:
        """How many seconds the question waits; 0 when there is none."""
        return min((demand.wait for demand in self.demands), default=0)

    @property
    def use_within(self) -> int:
        """How many seconds a yes may be used; 0 when there is none."""
        return min((demand.use_within for demand in self.demands), default=0)


class Case(NamedTuple):
    """One moment, and the outcome of each condition: None is an error."""

    now: int
    outcomes: dict[str, bool | None]


def meaning_of(policy: Policy, row: Row) -> Meaning:
    """Return what a row of this policy means."""
    rule = policy.rules[row.id]
    demand = grant = None
    if isinstance(rule, AskRule):
        demand = Demand(
            rule.approvers,
            frozenset(policy.members(rule.approvers)),
            rule.quorum,
            int(rule.wait.total_seconds()),
            int(rule.use_within.total_seconds()),
            _others(policy, rule),
        )
    if isinstance(rule, ExceptionRule) and rule.max_uses is not None:
        grant = (rule.id, rule.max_uses)
    condition = policy.file.constraints[row.cond].strip() if row.cond else ""
    return Meaning(row.kind, row.nbf, row.exp, condition, demand, grant)


def _others(policy: Policy, rule: AskRule) -> tuple[object, ...]:
    groups = (rule.escalate_to or "", rule.delegates or "")
    return (*groups, *(frozenset(policy.members(group)) for group in groups), rule.standing)


def answer(meanings: Iterable[Meaning], case: Case) -> Answer:
    """Return what the rows decide in this case."""
    matching = [meaning for meaning in meanings if _matches(meaning, case)]
    word = _strictest({meaning.kind for meaning in matching})
    if word is Word.DENY:
        return Answer(word)
    grants = {meaning.grant for meaning in matching if meaning.kind == "allow"}
    return Answer(
        word,
        frozenset(meaning.demand for meaning in matching if meaning.demand is not None),
        frozenset(grant for grant in grants if grant is not None and None not in grants),
    )


def cases(*sides: Iterable[Meaning]) -> Iterator[Case] | None:
    """Return every case that can make a difference to any of the sides, or None when there are too many."""
    everything = [meaning for side in sides for meaning in side]
    conditions = sorted({meaning.condition for meaning in everything} - {""})
    moments = sorted({0}.union(*((meaning.nbf, meaning.exp) for meaning in everything)))
    if len(moments) * 3 ** len(conditions) > MOST_CASES:
        return None
    return (
        Case(now, dict(zip(conditions, outcomes, strict=True)))
        for now in moments
        for outcomes in product((True, False, None), repeat=len(conditions))
    )


def words(meanings: Iterable[Meaning]) -> tuple[str, ...]:
    """Return the words that the rows can come to, least strict first; several if time or arguments decide."""
    rows = tuple(meanings)
    every = cases(rows)
    found = {answer(rows, case).word for case in every} if every is not None else set(_combined(rows))
    return tuple(str(word) for word in sorted(found))


def _combined(rows: tuple[Meaning, ...]) -> Iterator[Word]:
    """Yield the word of every combination of kinds, for rows of too many cases."""
    fixed = {row.kind for row in rows if not row.is_open}
    opened = sorted({row.kind for row in rows if row.is_open})
    for there in product((False, True), repeat=len(opened)):
        yield _strictest(fixed | {kind for kind, is_there in zip(opened, there, strict=True) if is_there})


def _strictest(kinds: set[str]) -> Word:
    if "deny" in kinds or "allow" not in kinds:
        return Word.DENY
    return Word.ASK if "ask" in kinds else Word.ALLOW


def _matches(meaning: Meaning, case: Case) -> bool:
    if not live(case.now, meaning.nbf, meaning.exp):
        return False
    outcome = case.outcomes[meaning.condition] if meaning.condition else True
    return outcome is True if meaning.kind == "allow" else outcome is not False
