"""Why a policy answers as it does, who may call what, and what in a policy is idle.

Rules:
- `explain` names every rule for the tool: those that match, and what stands in the way of each that does not.
- The answer in an explanation is the snapshot's own; nothing is decided here.
- A hint is not a problem: a policy with hints loads and means what it says.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pratique.capabilities.constraints import Arguments
from pratique.capabilities.isolation import at_least, floors, unmet
from pratique.capabilities.manifest import AskRule, microseconds
from pratique.capabilities.meaning import Meaning, Word, meaning_of, words
from pratique.capabilities.policy import Access, Policy, Row, covers, live, tool_match
from pratique.capabilities.selftest import TestResult, access_for, coverage
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import ConstraintError
from pratique.model import Capability, Level, Need, Reason, Taint, Value

SOON_US = 14 * 24 * 3600 * 1_000_000
"""An exception that ends within this is named before it does."""

_CEILINGS = (("tier", "tier"), ("class", "label"), ("taint", "taint"))


class Match(Value):
    """A rule that matches, and how its condition came out, when it has one."""

    rule: str
    effect: str
    to: str
    condition: str = ""


class NearMiss(Value):
    """A rule for this tool that does not match, and everything that stands in the way."""

    rule: str
    effect: str
    to: str
    obstacles: tuple[str, ...]


class Floor(Value):
    """An isolation floor that counts for the call."""

    rule: str
    to: str
    level: Level


class Explanation(Value):
    """One question, its answer, and every rule that has to do with it.

    Attributes:
        agent, tenant, tool, tier, confidentiality, taint, at: the question; `at` is microseconds.
        epoch, policy: what decided, by number and digest.
        word, reasons: the answer.
        needs: whom an ask asks.
        matched: the rules that match.
        nearly: the rules that do not, those with the fewest obstacles first.
        at_least: the weakest level that it may run in.
        floors: the rules that demand a level, highest first.
    """

    agent: str
    tenant: str
    tool: str
    tier: str
    confidentiality: str
    taint: str
    at: int
    epoch: int
    policy: str
    word: str
    reasons: tuple[Reason, ...]
    needs: tuple[Need, ...]
    matched: tuple[Match, ...]
    nearly: tuple[NearMiss, ...]
    at_least: Level = Level.INLINE
    floors: tuple[Floor, ...] = ()


class Reach(Value):
    """What one agent's calls of one tool come to at one taint level.

    Attributes:
        words: what they can come to, least strict first; several when time or arguments decide.
        rules: the rules that make it so; those that decide nothing are left out.
    """

    agent: str
    tool: str
    taint: str
    words: tuple[str, ...]
    rules: tuple[str, ...]


class Hint(Value):
    """Something idle, stale or untested in a policy: the key it is about, and what."""

    key: str
    text: str

    @property
    def line(self) -> str:
        """The hint in one line."""
        return f"{self.key}: {self.text}"


def explain(snapshot: Snapshot, access: Access, arguments: Arguments, now_us: int) -> Explanation:
    """Return why this call, at this moment, is answered as it is.

    Args:
        snapshot: the policy that decides.
        access: the coarse part of the question.
        arguments: the arguments as JSON values.
        now_us: microseconds since the epoch.
    """
    decision = snapshot.decide(access, lambda: arguments, now_us)
    policy = snapshot.policy
    matched: dict[str, Match] = {}
    nearly: dict[str, NearMiss] = {}
    for row in policy.rows:
        if row.dom != access.dom or not tool_match(access.tool, row.tool):
            continue
        condition, holds = _condition(policy, row, arguments)
        obstacles = tuple(_obstacles(policy, access, row, now_us)) + (() if holds else (condition,))
        if obstacles:
            nearly[row.id] = NearMiss(rule=row.id, effect=row.kind, to=row.sub, obstacles=obstacles)
        else:
            matched[row.id] = Match(rule=row.id, effect=row.kind, to=row.sub, condition=condition)
    return Explanation(
        agent=access.sub,
        tenant=access.dom,
        tool=access.tool,
        tier=access.tier,
        confidentiality=access.label,
        taint=access.taint,
        at=now_us,
        epoch=snapshot.epoch,
        policy=policy.digest,
        word=decision.word,
        reasons=decision.reasons,
        needs=getattr(decision, "needs", ()),
        matched=tuple(matched.values()),
        nearly=tuple(sorted(nearly.values(), key=lambda miss: len(miss.obstacles))),
        at_least=at_least(policy, access),
        floors=tuple(Floor(rule=one.id, to=one.to, level=one.level) for one in floors(policy, access)),
    )


def who_can(policy: Policy, tools: Iterable[Capability], tool: str, now_us: int) -> list[Reach]:
    """Return what every agent's calls of the tools that `tool` names come to, at every taint level.

    Args:
        policy: the loaded policy.
        tools: the declared tools.
        tool: a name, or a pattern as in a rule.
        now_us: microseconds since the epoch. Windows are looked at then, so only arguments are left open.
    """
    snapshot = Snapshot(policy, 0)
    named = sorted((one for one in tools if tool_match(one.name, tool)), key=lambda one: one.name)
    return [
        reach(snapshot, agent, capability, taint, now_us)
        for agent in policy.file.agents
        for capability in named
        for taint in Taint
    ]


def hints(
    policy: Policy, tools: Iterable[Capability], tests: Iterable[TestResult], now_us: int
) -> Iterator[Hint]:
    """Yield what is idle, stale or untested in a policy.

    Args:
        policy: the loaded policy.
        tools: the declared tools; when there are none, nothing is said about tools or tests.
        tests: the results of its own tests.
        now_us: microseconds since the epoch.
    """
    declared = tuple(tools)
    yield from _exceptions(policy, now_us)
    yield from _unused_names(policy)
    if declared:
        yield from _idle_patterns(policy, declared)
        yield from _floors(policy, declared)
        for rule in coverage(list(tests), policy):
            yield Hint(key=rule, text="matches in no [[test]]")


def _obstacles(policy: Policy, access: Access, row: Row, now_us: int) -> Iterator[str]:
    """Yield what stands in the way of a row for this tool, its condition left out."""
    if not policy.knows(access.sub, access.dom):
        yield f"the policy knows no agent {access.sub!r} in tenant {access.dom!r}"
    elif row.sub not in policy.subjects[access.sub]:
        yield f"is for {row.sub}, which {access.sub} neither is nor holds"
    reach = "only up to" if row.kind == "allow" else "only from"
    for name, field in _CEILINGS:
        asked, stated = getattr(access, field), getattr(row, field)
        if not covers(asked, stated, row.kind):
            yield f"{name} {reach} {stated}, this is {asked}"
    if not live(now_us, row.nbf, row.exp):
        yield f"not before {_when(row.nbf)}" if now_us < row.nbf else f"expired {_when(row.exp)}"


def _condition(policy: Policy, row: Row, arguments: Arguments) -> tuple[str, bool]:
    """Return how the row's condition came out, in words, and whether the row matches by it."""
    if not row.cond:
        return "", True
    holds = policy.condition_holds(row.cond, arguments, row.kind)
    try:
        word = "true" if policy.conditions[row.cond](arguments) else "false"
    except ConstraintError as problem:
        word = "in error, which " + ("matches" if holds else "does not match") + f" ({problem})"
    return f"{row.cond} is {word}", holds


def reach(snapshot: Snapshot, agent: str, tool: Capability, taint: Taint, now_us: int) -> Reach:
    """Return what one agent's calls of one tool come to at one taint level, whatever their arguments are."""
    access = access_for(snapshot.policy, agent, tool, taint.value)
    rows = [row for row in snapshot.coarse_rows(access) if live(now_us, row.nbf, row.exp)]
    meanings = {row: _timeless(meaning_of(snapshot.policy, row)) for row in rows}
    found = words(meanings.values())
    deciding = [row for row in rows if _decides(meanings[row], found)]
    return Reach(
        agent=agent,
        tool=tool.name,
        taint=taint.value,
        words=found,
        rules=tuple(dict.fromkeys(row.id for row in deciding)),
    )


def _timeless(meaning: Meaning) -> Meaning:
    return meaning._replace(nbf=0, exp=0)


def _decides(meaning: Meaning, found: tuple[str, ...]) -> bool:
    """Return whether a row has a part in an answer: where all is denied, only what denies has."""
    return found != (str(Word.DENY),) or meaning.kind == "deny"


def _exceptions(policy: Policy, now_us: int) -> Iterator[Hint]:
    for rule in policy.file.exception:
        left = microseconds(rule.expires) - now_us
        if left <= 0:
            yield Hint(
                key=f"{rule.id}.expires", text=f"expired {_when(microseconds(rule.expires))}; remove it"
            )
        elif left <= SOON_US:
            yield Hint(
                key=f"{rule.id}.expires",
                text=f"ends {_when(microseconds(rule.expires))}; {rule.owner} owns it",
            )


def _unused_names(policy: Policy) -> Iterator[Hint]:
    conditions = {rule.when for rule in policy.file.rules}
    groups = {rule.approvers for rule in policy.file.rules if isinstance(rule, AskRule)}
    for name in policy.file.constraints:
        if name not in conditions:
            yield Hint(key=f"constraints.{name}", text="no rule uses it")
    for name in policy.file.groups:
        if name not in groups:
            yield Hint(key=f"groups.{name}", text="no rule asks it")
    meant = {(rule.tenant, rule.to) for rule in policy.file.rules if rule.to != "*"}
    for name, agent in policy.file.agents.items():
        if not any((agent.tenant, subject) in meant for subject in policy.subjects[name]):
            yield Hint(key=f"agents.{name}", text="no rule names it or a role that it holds")


def _idle_patterns(policy: Policy, tools: tuple[Capability, ...]) -> Iterator[Hint]:
    for row in policy.rows:
        named = [tool for tool in tools if tool_match(tool.name, row.tool)]
        if not named:
            yield Hint(key=f"{row.id}.tools", text=f"{row.tool!r} matches no declared tool")
        elif not any(_reaches(row, tool) for tool in named):
            bound = "above its ceilings" if row.kind == "allow" else "below its floors"
            yield Hint(key=f"{row.id}.tools", text=f"every tool that {row.tool!r} matches is {bound}")


def _floors(policy: Policy, tools: tuple[Capability, ...]) -> Iterator[Hint]:
    for floor in policy.file.isolation:
        for pattern in floor.tools:
            if not any(tool_match(tool.name, pattern) for tool in tools):
                yield Hint(key=f"{floor.id}.tools", text=f"{pattern!r} matches no declared tool")
    for trouble in unmet(policy, tools):
        yield Hint(key=f"{trouble.rule.id}.level", text=trouble.line)


def _reaches(row: Row, tool: Capability) -> bool:
    return covers(tool.tier.value, row.tier, row.kind) and covers(
        tool.confidentiality.value, row.label, row.kind
    )


def _when(moment_us: int) -> str:
    return f"{datetime.fromtimestamp(moment_us / 1e6, tz=UTC):%Y-%m-%d %H:%M}Z"
