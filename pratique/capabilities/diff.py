"""What a change of policy changes: every agent, tool and taint for which anything can come out differently.

The coarse domain is finite (agents by declared tools, each with its tier and class, by taint levels), so the
answer is complete, not a sample. `meaning` says how time and conditions are gone through.

Rules:
- A cell is looked at only when a row that reaches it, or its agent, differs between the two policies.
- A rule's id, its place, its owner and its reasons change nothing by themselves, so they are no difference.
- Where a call may run is a difference of its own (`refloored`): a floor permits nothing, and asks nobody.
- A cell takes its taint as given. What decides how a call comes to its taint (labels of tools, plans) is not
  in any cell: `relabelled` names it.
- `tighter`: nothing comes out less strict, in any case. `looser`: nothing comes out stricter. Else `other`,
  which is also the answer when there are too many cases to go through.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import product

from pratique.capabilities.isolation import floors
from pratique.capabilities.meaning import Answer, Demand, Meaning, answer, cases, meaning_of, words
from pratique.capabilities.policy import Policy, Row, covers, tool_match
from pratique.capabilities.selftest import access_for
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Capability, Level, Taint, Value


class Direction(StrEnum):
    """Which way a cell changed."""

    SAME = "same"
    TIGHTER = "tighter"
    LOOSER = "looser"
    OTHER = "other"


class Cell(Value):
    """One kind of question that comes out differently.

    Attributes:
        agent, tool, tier, confidentiality, taint: the question.
        before, after: the words it can come to, least strict first; several when time or arguments decide.
        direction: which way it changed.
        rules_before, rules_after: the rules that make the difference, on either side.
    """

    agent: str
    tool: str
    tier: str
    confidentiality: str
    taint: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    direction: Direction
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]

    @property
    def conditional(self) -> bool:
        """Whether the words are the same, and only when, for whom or after whom they hold has changed."""
        return self.before == self.after

    @property
    def line(self) -> str:
        """The change in one line."""
        change = "/".join(self.before)
        if not self.conditional:
            change += " → " + "/".join(self.after)
        rules = [f"-{rule}" for rule in self.rules_before] + [f"+{rule}" for rule in self.rules_after]
        asked = f"{self.agent} calls {self.tool} (taint {self.taint})"
        return f"{asked}: {change} ({self.direction}; {' '.join(rules)})"


def diff(before: Policy, after: Policy, tools: Iterable[Capability]) -> list[Cell]:
    """Return every cell that the change from `before` to `after` changes, sorted by agent, tool and taint.

    Args:
        before: the policy that is.
        after: the policy that would be.
        tools: the declared tools. What is not declared is denied by any policy.
    """
    sides = _Side(before), _Side(after)
    found = []
    for agent, tool, taint in _to_look_at(*sides, tuple(tools)):
        rows = tuple(side.rows(agent, tool, taint) for side in sides)
        meanings = tuple(side.meanings(mine) for side, mine in zip(sides, rows, strict=True))
        change = _change(*meanings)
        if change is not None:
            words_before, words_after, direction = change
            found.append(
                Cell(
                    agent=agent,
                    tool=tool.name,
                    tier=tool.tier.value,
                    confidentiality=tool.confidentiality.value,
                    taint=taint.value,
                    before=words_before,
                    after=words_after,
                    direction=direction,
                    rules_before=sides[0].only_here(rows[0], meanings[1]),
                    rules_after=sides[1].only_here(rows[1], meanings[0]),
                )
            )
    return sorted(found, key=lambda cell: (cell.agent, cell.tool, Taint(cell.taint).rank))


class Refloored(Value):
    """One kind of call that may run in another level than before.

    Attributes:
        agent, tool, taint: which calls.
        before, after: the weakest level that they may run in.
        rules_before, rules_after: the floors that say so.
    """

    agent: str
    tool: str
    taint: str
    before: Level
    after: Level
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]

    @property
    def direction(self) -> Direction:
        """A higher floor is tighter."""
        return Direction.TIGHTER if self.after.rank > self.before.rank else Direction.LOOSER

    @property
    def line(self) -> str:
        """The change in one line."""
        asked = f"{self.agent} calls {self.tool} (taint {self.taint})"
        return f"{asked}: at least {self.before} → at least {self.after} ({self.direction})"


def refloored(before: Policy, after: Policy, tools: Iterable[Capability]) -> list[Refloored]:
    """Return every kind of call whose weakest level the change changes, sorted as by `diff`.

    Args:
        before: the policy that is.
        after: the policy that would be.
        tools: the declared tools.
    """
    if not before.file.isolation and not after.file.isolation:
        return []
    found = []
    agents = sorted(before.subjects.keys() | after.subjects.keys())
    for agent, tool, taint in product(agents, sorted(tools, key=lambda one: one.name), Taint):
        sides = [floors(side, access_for(side, agent, tool, taint.value)) for side in (before, after)]
        levels = [side[0].level if side else Level.INLINE for side in sides]
        if levels[0] is not levels[1]:
            found.append(
                Refloored(
                    agent=agent,
                    tool=tool.name,
                    taint=taint.value,
                    before=levels[0],
                    after=levels[1],
                    rules_before=tuple(floor.id for floor in sides[0] if floor.level is levels[0]),
                    rules_after=tuple(floor.id for floor in sides[1] if floor.level is levels[1]),
                )
            )
    return found


def relabelled(before: Policy, after: Policy) -> list[str]:
    """Return the keys that differ among those that decide which taint a call has, or what of it is shown."""
    was, becomes = dict(_taint_keys(before)), dict(_taint_keys(after))
    return sorted(key for key in was.keys() | becomes.keys() if was.get(key) != becomes.get(key))


def _taint_keys(policy: Policy) -> Iterator[tuple[str, object]]:
    file = policy.file
    for name, labels in file.tools.items():
        yield from ((f"tools.{name}.{key}", value) for key, value in labels if value not in (None, ()))
    yield from ((f"plans.{name}", frozenset(tools)) for name, tools in file.plans.items())
    if file.preset is not None and file.preset.identities:
        yield "preset.identities", True


def direction_of(changes: Iterable[Cell | Refloored], keys: Iterable[str] = ()) -> Direction:
    """Return the direction of all the cells together; that of a key of `relabelled` is not known."""
    return _together({cell.direction for cell in changes} | {Direction.OTHER for _ in keys})


class _Side:
    """One of the two policies, with what its rows mean."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._snapshot = Snapshot(policy, 0)
        self._meaning = {row.id: meaning_of(policy, row) for row in policy.rows}

    def rows(self, agent: str, tool: Capability, taint: Taint) -> tuple[Row, ...]:
        return tuple(self._snapshot.coarse_rows(access_for(self.policy, agent, tool, taint.value)))

    def meanings(self, rows: Iterable[Row]) -> frozenset[Meaning]:
        return frozenset(self._meaning[row.id] for row in rows)

    def only_here(self, rows: Iterable[Row], there: frozenset[Meaning]) -> tuple[str, ...]:
        return tuple(sorted({row.id for row in rows if self._meaning[row.id] not in there}))

    def reaching(self) -> dict[tuple[Row, Meaning], Row]:
        """Return every row by what it reaches and means, its id left out."""
        return {(row._replace(id="", cond=""), self._meaning[row.id]): row for row in self.policy.rows}

    def agents_of(self) -> Mapping[tuple[str, str], list[str]]:
        """Return tenant and `to` → the agents that are meant."""
        meant = defaultdict(list)
        for agent, subjects in self.policy.subjects.items():
            for subject in subjects:
                meant[self.policy.tenant_of(agent) or "", subject].append(agent)
        return meant


def _to_look_at(
    before: _Side, after: _Side, tools: tuple[Capability, ...]
) -> Iterator[tuple[str, Capability, Taint]]:
    """Yield each cell that a changed row reaches, or whose agent changed, once."""
    seen: dict[tuple[str, str, Taint], Capability] = {}
    for agent in _changed_agents(before.policy, after.policy):
        seen.update({(agent, tool.name, taint): tool for tool in tools for taint in Taint})
    rows_before, rows_after = before.reaching(), after.reaching()
    for side, mine, theirs in ((before, rows_before, rows_after), (after, rows_after, rows_before)):
        agents = side.agents_of()
        for row in (row for what, row in mine.items() if what not in theirs):
            for tool, taint in _reached(row, tools):
                seen.update({(agent, tool.name, taint): tool for agent in agents.get((row.dom, row.sub), ())})
    for (agent, _, taint), tool in seen.items():
        yield agent, tool, taint


def _changed_agents(before: Policy, after: Policy) -> set[str]:
    """Return the agents that are on one side only, in another tenant, or meant by other names."""
    return {
        agent
        for agent in before.subjects.keys() | after.subjects.keys()
        if before.tenant_of(agent) != after.tenant_of(agent)
        or set(before.subjects.get(agent, ())) != set(after.subjects.get(agent, ()))
    }


def _reached(row: Row, tools: tuple[Capability, ...]) -> Iterator[tuple[Capability, Taint]]:
    for tool in tools:
        if (
            tool_match(tool.name, row.tool)
            and covers(tool.tier.value, row.tier, row.kind)
            and covers(tool.confidentiality.value, row.label, row.kind)
        ):
            yield from ((tool, taint) for taint in Taint if covers(taint.value, row.taint, row.kind))


@lru_cache(maxsize=4096)
def _change(
    before: frozenset[Meaning], after: frozenset[Meaning]
) -> tuple[tuple[str, ...], tuple[str, ...], Direction] | None:
    """Return the words on both sides and the direction, or None when nothing comes out differently."""
    if before == after:
        return None
    every = cases(before, after)
    if every is None:
        direction = Direction.OTHER
    else:
        direction = _together({_compare(answer(before, case), answer(after, case)) for case in every})
    if direction is Direction.SAME:
        return None
    return words(before), words(after), direction


def _compare(before: Answer, after: Answer) -> Direction:
    if before.word != after.word:
        return Direction.TIGHTER if after.word > before.word else Direction.LOOSER
    return _together(
        {
            _asked(before, after),
            Direction.SAME if before.others == after.others else Direction.OTHER,
            _less(before.wait, after.wait),
            _less(before.use_within, after.use_within),
            _granted(before.grants, after.grants),
        }
    )


def _together(directions: set[Direction]) -> Direction:
    moved = directions - {Direction.SAME}
    if not moved:
        return Direction.SAME
    return moved.pop() if len(moved) == 1 else Direction.OTHER


def _asked(before: Answer, after: Answer) -> Direction:
    if before.people == after.people:
        return Direction.SAME
    no_stricter = _implied(after.demands, before.demands)
    no_looser = _implied(before.demands, after.demands)
    if no_stricter == no_looser:
        return Direction.OTHER
    return Direction.LOOSER if no_stricter else Direction.TIGHTER


def _implied(demands: frozenset[Demand], by: frozenset[Demand]) -> bool:
    """Return whether whoever satisfies all of `by` has satisfied each of `demands`."""
    return all(
        any(demand.members >= other.members and demand.quorum <= other.quorum for other in by)
        for demand in demands
    )


def _less(before: int, after: int) -> Direction:
    if before == after:
        return Direction.SAME
    return Direction.TIGHTER if after < before else Direction.LOOSER


def _granted(before: frozenset[tuple[str, int]], after: frozenset[tuple[str, int]]) -> Direction:
    """Compare counted exceptions: none at all is looser than any count."""
    if before == after:
        return Direction.SAME
    if not before or not after:
        return Direction.LOOSER if not after else Direction.TIGHTER
    uses_before, uses_after = dict(before), dict(after)
    if uses_before.keys() != uses_after.keys():
        return Direction.OTHER
    return _together({_less(uses, uses_after[rule]) for rule, uses in uses_before.items()})
