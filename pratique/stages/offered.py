"""What an agent is offered: the tools of which it may call one, under the policy in force.

A tool that is not offered is no less guarded: a call of it is denied, and recorded. Offering only what can
come to something keeps a model from trying the rest.
"""

from collections.abc import Iterable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from pratique.capabilities.explain import reach
from pratique.capabilities.meaning import Word
from pratique.capabilities.snapshot import Snapshot
from pratique.model import ArgumentClass, Taint, Tier, ToolSpec
from pratique.stages.declared import declared
from pratique.tools.registry import Tool

_NEVER = (str(Word.DENY),)


def offered(tools: Iterable[Tool], snapshot: Snapshot, agent: str, now_us: int) -> tuple[ToolSpec, ...]:
    """Return the tools of which some call of this agent can be allowed, by name.

    Args:
        tools: all that there are.
        snapshot: the policy in force.
        agent: who would call them.
        now_us: microseconds since the epoch.
    """
    if agent not in snapshot.policy.file.agents:
        return ()
    found, second = tuple(tools), now_us // 1_000_000  # frameworks ask often; rules end by the second
    kept = _KEPT.setdefault(snapshot, {}).get(agent)
    if kept is None or (kept.tools, kept.second) != (found, second):
        known = {spec.name: spec for spec in kept.offer} if kept is not None and kept.tools == found else {}
        offer = tuple(
            known.get(tool.capability.name) or _spec(tool, snapshot)
            for tool in sorted(found, key=lambda tool: tool.capability.name)
            if reach(snapshot, agent, tool.capability, Taint.NONE, now_us).words != _NEVER
        )
        if kept is not None and [*map(id, offer)] == [*map(id, kept.offer)]:
            offer = kept.offer  # the very same: whoever made something of it may keep that as well
        kept = _KEPT[snapshot][agent] = _Kept(found, second, offer)
    return kept.offer


class _Kept(NamedTuple):
    """What was offered last: of which tools, and in which second."""

    tools: tuple[Tool, ...]
    second: int
    offer: tuple[ToolSpec, ...]


_KEPT: WeakKeyDictionary[Snapshot, dict[str, _Kept]] = WeakKeyDictionary()


def _spec(tool: Tool, snapshot: Snapshot) -> ToolSpec:
    capability, of = tool.capability, declared(tool, snapshot.policy)
    return ToolSpec(
        name=capability.name,
        description=capability.description,
        parameters=capability.parameters,
        tier=capability.tier,
        digest=capability.digest,
        returns=None if tool.returns is None else dict(tool.returns),
        from_outside=of.shape.foreign,
        open_world=bool(
            capability.hosts
            or of.shape.foreign
            or capability.tier in {Tier.EGRESS, Tier.IRREVERSIBLE}
            or ArgumentClass.DEST in {word.partition(":")[0] for word in of.sinks.values()}
        ),
    )
