"""What counts for a tool under a policy: the tool's own declaration, or what the policy says in its place."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pratique.capabilities.fields import Shape
from pratique.capabilities.manifest import ToolLabels
from pratique.capabilities.policy import Policy
from pratique.model import CLEAN, Confidentiality, Integrity, Label
from pratique.tools.registry import Tool


class Declared(NamedTuple):
    """What is declared of a tool's result and arguments.

    Attributes:
        sources: result field → who may have written it; `shape` is the same, compiled.
        sinks: argument → what it decides.
        names: every name that the schema of its arguments has.
        ids: record in the result → its name as a source.
        withhold: result fields that the agent is not shown.
        clearance: the highest class of value that may leave through an argument of this tool.
        confidentiality: the class of its result.
    """

    sources: Mapping[str, str]
    shape: Shape
    sinks: Mapping[str, str]
    names: frozenset[str]
    ids: Mapping[str, str]
    withhold: tuple[str, ...]
    clearance: Confidentiality
    confidentiality: Confidentiality

    def given(self, label: Label) -> "Declared":
        """Return what counts for a result that code made of what it was given: never less than that was."""
        if label is CLEAN:
            return self
        confidentiality = Confidentiality.highest(self.confidentiality, label.confidentiality)
        if label.integrity is Integrity.TRUSTED:
            return self._replace(confidentiality=confidentiality)
        return self._replace(sources={}, shape=_FOREIGN, ids={}, confidentiality=confidentiality)


def declared(tool: Tool, policy: Policy) -> Declared:
    """Return what counts for a tool under a policy."""
    capability = tool.capability
    labels = policy.tool_labels.get(capability.name, _NOTHING)
    sources = capability.sources if labels.sources is None else labels.sources
    return Declared(
        sources,
        tool.shape if labels.sources is None else _shape(tuple(sources.items())),
        capability.sinks if labels.sinks is None else labels.sinks,
        tool.named,
        capability.ids,
        labels.withhold,
        capability.clearance if labels.clearance is None else labels.clearance,
        capability.confidentiality,
    )


_NOTHING = ToolLabels()
_FOREIGN = Shape({})
"""Everything comes from outside."""


@lru_cache(maxsize=1024)
def _shape(sources: tuple[tuple[str, str], ...]) -> Shape:
    """Compile what a policy says of a result once, not once a call."""
    return Shape(dict(sources))
