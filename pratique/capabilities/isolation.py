"""The weakest level that a call may run in: the strictest of the policy's `[[isolation]]` floors. Pure.

Rules:
- A floor counts for whom and for which tools it names, from its tier and its taint up.
- The highest of all that count is demanded. None is `inline`: what the tool declares is then enough.
- A word that is none (a tier, a taint) reaches every floor.
- An inline tool cannot be lifted, and one with hosts not to a container: where such a floor reaches them,
  their calls fail. `unmet` finds that beforehand.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pratique.capabilities.manifest import IsolationRule
from pratique.capabilities.policy import Access, Policy, covers, tool_match
from pratique.model import Capability, Level


class Unmet(NamedTuple):
    """A floor under which the calls of some tools can only fail, their names, and why."""

    rule: IsolationRule
    tools: tuple[str, ...]
    why: str

    @property
    def line(self) -> str:
        """The trouble in one line, without the rule's id."""
        return (
            f"demands a {self.rule.level} for {_listed(self.tools)} ({self.why}): every such call would fail"
        )


class Demanded(NamedTuple):
    """A level that a floor lifts a tool's code to, beyond what the tool declares."""

    rule: IsolationRule
    tool: str


def floors(policy: Policy, access: Access) -> list[IsolationRule]:
    """Return every floor that counts for a call, highest first.

    Args:
        policy: the loaded policy.
        access: who asks for which tool, its tier, and how near text from outside came.
    """
    names = {"*", *policy.subjects.get(access.sub, ())}
    found = [
        floor
        for floor in policy.file.isolation
        if floor.tenant == access.dom
        and floor.to in names
        and any(tool_match(access.tool, pattern) for pattern in floor.tools)
        and covers(access.tier, floor.tier.value, "deny")
        and covers(access.taint, floor.taint.value, "deny")
    ]
    return sorted(found, key=lambda floor: -floor.level.rank)


def at_least(policy: Policy, access: Access) -> Level:
    """Return the weakest level that the policy allows for a call; see `floors`."""
    if not policy.file.isolation:
        return Level.INLINE
    return Level.highest(Level.INLINE, *(floor.level for floor in floors(policy, access)))


def unmet(policy: Policy, tools: Iterable[Capability]) -> Iterator[Unmet]:
    """Yield each floor that reaches tools which cannot be lifted to it, whose calls would therefore fail."""
    declared = tuple(tools)
    for floor in policy.file.isolation:
        below = [tool for tool in _reached(floor, declared) if tool.runs_in.rank < floor.level.rank]
        for why, stuck in _STUCK.items():
            names = tuple(tool.name for tool in below if stuck(tool, floor.level))
            if names:
                yield Unmet(floor, names, why)


def demanded(policy: Policy, tools: Iterable[Capability]) -> dict[Level, Demanded]:
    """Return each level that floors lift sandboxed tools to, with one floor and one tool that it is for."""
    declared = tuple(tools)
    found: dict[Level, Demanded] = {}
    for floor in policy.file.isolation:
        for tool in _reached(floor, declared):
            if Level.INLINE.rank < tool.runs_in.rank < floor.level.rank and not tool.pin:
                found.setdefault(floor.level, Demanded(floor, tool.name))
    return found


def _reached(floor: IsolationRule, tools: tuple[Capability, ...]) -> Iterator[Capability]:
    for tool in tools:
        named = any(tool_match(tool.name, pattern) for pattern in floor.tools)
        if named and covers(tool.tier.value, floor.tier.value, "deny"):
            yield tool


_STUCK: dict[str, Callable[[Capability, Level], bool]] = {
    "inline, in Pratique's own process": lambda tool, _: tool.runs_in is Level.INLINE,
    "of another program, whose server was started in its level": lambda tool, _: (
        tool.runs_in is not Level.INLINE and bool(tool.pin)
    ),
    "with hosts, and a container has no network": lambda tool, level: (
        tool.runs_in is not Level.INLINE and not tool.pin and level is Level.CONTAINER and bool(tool.hosts)
    ),
}
_MOST_NAMES = 5


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
