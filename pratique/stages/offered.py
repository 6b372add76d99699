"""What an agent is offered: the tools of which it may call one, under the policy in force.

A tool that is not offered is no less guarded: a call of it is denied, and recorded. Offering only what can
come to something keeps a model from trying the rest.
"""

from collections.abc import Iterable

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
    return tuple(
        _spec(tool, snapshot)
        for tool in sorted(tools, key=lambda tool: tool.capability.name)
        if reach(snapshot, agent, tool.capability, Taint.NONE, now_us).words != _NEVER
    )


class Offers:
    """What agents are offered, worked out once a second: frameworks ask before each step.

    While nothing changes it is the very same tuple: whoever makes something of it may keep that as well.
    """

    def __init__(self) -> None:
        self._about: tuple[Snapshot, tuple[Tool, ...]] | None = None
        self._kept: dict[str, tuple[int, tuple[ToolSpec, ...]]] = {}

    def of(self, tools: Iterable[Tool], snapshot: Snapshot, agent: str, now_us: int) -> tuple[ToolSpec, ...]:
        """Return what `offered` does; rules begin and end by the second."""
        about, second = (snapshot, tuple(tools)), now_us // 1_000_000
        if about != self._about:
            self._about, self._kept = about, {}
        before, offer = self._kept.get(agent, (-1, ()))
        if before != second and agent in snapshot.policy.file.agents:
            now = offered(about[1], snapshot, agent, now_us)
            if [spec.name for spec in now] != [spec.name for spec in offer]:
                offer = now
            self._kept[agent] = second, offer
        return offer


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
