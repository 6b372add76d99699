"""Where each argument came from: one session's memory of what it was shown, asked in stage 1, fed in stage 6.

Rules:
- What a tool declares, or the policy in its place, says which result fields come from outside and which
  arguments decide something.
- A call that changes the world, or any call once text from outside was seen, is traced. A clean read is not.
- A call outside the session's plan counts as one whose sinks cannot be explained.
- A session that goes on after a restart is shown again, from the vault, all that it was shown before. What
  was erased meanwhile cannot be matched: then everything counts as tainted.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from pratique.capabilities.fields import Shape, full_path, join_path
from pratique.capabilities.manifest import ToolLabels
from pratique.capabilities.policy import Policy, tool_match
from pratique.model import (
    UNTAINTED,
    Call,
    Judged,
    Outcome,
    Status,
    Taint,
    Tier,
)
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.references import references, resolve
from pratique.quarantine.reveal import withhold
from pratique.quarantine.verdict import judge
from pratique.tools.registry import Tool


class Declared(NamedTuple):
    """What is declared of a tool's result and arguments, by the tool or, in its place, by the policy."""

    sources: Mapping[str, str]
    shape: Shape
    sinks: Mapping[str, str]
    ids: Mapping[str, str]
    withhold: frozenset[str]


def declared(tool: Tool, policy: Policy) -> Declared:
    """Return what counts for a tool under a policy."""
    labels = policy.tool_labels.get(tool.capability.name)
    if labels is None:
        capability = tool.capability
        return Declared(capability.sources, tool.shape, capability.sinks, capability.ids, frozenset())
    return _overridden(tool, labels)


def _overridden(tool: Tool, labels: ToolLabels) -> Declared:
    capability = tool.capability
    sources = capability.sources if labels.sources is None else labels.sources
    return Declared(
        sources,
        tool.shape if labels.sources is None else Shape(sources),
        capability.sinks if labels.sinks is None else labels.sinks,
        capability.ids,
        frozenset(labels.withhold),
    )


class Provenance:
    """One session's.

    Args:
        request: the user's own words: the only text that is trusted.
        plan: the tools that this run may use; None for no plan.
    """

    def __init__(self, request: str, plan: Collection[str] | None = None) -> None:
        self.tracker = Tracker()
        self.tracker.saw_request(request)
        self.plan = None if plan is None else frozenset(plan)
        self._withheld: dict[str, Any] = {}

    @classmethod
    def lost(cls) -> "Provenance":
        """Return the provenance of a session of which nothing is known: everything counts as tainted."""
        provenance = cls("")
        provenance.tracker.lose()
        return provenance

    def resolve(self, arguments: bytes) -> Any:
        """Return arguments in which each reference stands for what it was given for; None if there is none.

        Raises:
            UnresolvedReferenceError: a reference is malformed, or is none of this session's.
        """
        if b'"$ref"' not in arguments:
            return None
        value = orjson.loads(arguments)
        if not isinstance(value, dict) or not references(value):
            return None
        return resolve(value, self._withheld.__getitem__)

    def judge(self, tool: Tool, of: Declared, arguments: bytes, policy: Policy) -> Judged:
        """Return how near text from outside came to a call, and each argument's origin.

        Args:
            tool: what is called.
            of: its declaration.
            arguments: canonical JSON, references unresolved: the tracker knows what they stand for.
            policy: says whether identities may be destinations.
        """
        tier = tool.capability.tier
        outside_plan = self._is_outside_plan(tool)
        if not self.tracker.exposed and not outside_plan and tier is Tier.READ:
            return UNTAINTED
        origins = self.tracker.trace(
            tool.capability.name, orjson.loads(arguments), of.sinks, thorough=tier is not Tier.READ
        )
        verdict = judge(
            origins,
            tier,
            exposed=self.tracker.exposed,
            tool=tool.capability.name,
            plan=() if outside_plan else None,
            identities=policy.file.preset is not None and policy.file.preset.identities,
        )
        taint = Taint.SINK if verdict.outside_plan else verdict.taint
        return Judged(taint=taint, reasons=verdict.reasons, origins=origins)

    def _is_outside_plan(self, tool: Tool) -> bool:
        name = tool.capability.name
        return self.plan is not None and not any(tool_match(name, pattern) for pattern in self.plan)

    def release(self, call: Call, of: Declared, outcome: Outcome) -> Outcome:
        """Take in what a call gave, and return it without what is withheld from the agent."""
        kept = self._saw(call, of, outcome)
        if not kept:
            return outcome
        return outcome.model_copy(update={"value": without(outcome.value, kept), "withheld": kept})

    def _saw(self, call: Call, of: Declared, outcome: Outcome) -> dict[str, str]:
        arguments = call.arguments
        name, call_id = call.capability.name, call.request.call_id
        if outcome.status is not Status.DONE:
            self.tracker.saw_result(call_id, name, outcome.error, {} if of.shape.foreign else OURS)
            return {}
        kept = self._withhold(of, outcome.value)
        self.tracker.saw_result(
            call_id,
            name,
            outcome.value,
            of.sources,
            arguments=arguments,
            classes=of.sinks,
            origins=call.judged.origins or None,
            wrote=call.capability.changes_the_world,
            ids=of.ids,
            references=kept,
        )
        return kept

    def _withhold(self, of: Declared, value: Any) -> dict[str, str]:
        kept: dict[str, str] = {}
        if not of.withhold:
            return kept
        for leaf in of.shape.leaves(value):
            if leaf.path in of.withhold and leaf.value is not None:
                reference = f"q_{secrets.token_hex(12)}"
                kept[full_path(leaf.path, leaf.places)] = reference
                self._withheld[reference] = leaf.value
        return kept

    def restore(
        self,
        name: str,
        call_id: str,
        of: Declared | None,
        value: Any,
        *,
        erased: bool,
        wrote: bool,
        arguments: Mapping[str, Any],
        kept: Any,
    ) -> None:
        """Take in what the session was shown before this process served it.

        Args:
            name: the tool.
            call_id: the call.
            of: its declaration; None if there is no such tool any more: then all of it is from outside.
            value: its result.
            erased: whether the result can no longer be had.
            wrote: whether it changed something.
            arguments: its arguments.
            kept: full path → reference, for what was withheld.
        """
        if erased:
            self.tracker.lose()
            return
        self._withheld.update(_leaves_at(of, value, kept))
        self.tracker.saw_result(
            call_id,
            name,
            value,
            of.sources if of else {},
            arguments=arguments,
            classes=of.sinks if of else {},
            wrote=wrote,
            ids=of.ids if of else {},
            references=kept,
        )


OURS = {"*": "authority"}


def without(value: Any, kept: Mapping[str, str], path: str = "") -> Any:
    """Return a result in which each withheld field is replaced by its typed reference.

    Args:
        value: the result.
        kept: full path → reference.
        path: where `value` stands in the result.
    """
    if not kept:
        return value
    if path in kept:
        return withhold(kept[path], value)
    if isinstance(value, dict):
        return {key: without(item, kept, join_path(path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, kept, f"{path}[{number}]") for number, item in enumerate(value)]
    return value


def _leaves_at(of: Declared | None, value: Any, kept: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    shape = of.shape if of else Shape({})
    for leaf in shape.leaves(value):
        reference = kept.get(full_path(leaf.path, leaf.places))
        if reference is not None:
            yield reference, leaf.value
