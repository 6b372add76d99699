"""Where each argument came from: one session's memory of what it was shown, asked in stage 1, fed in stage 6.

Rules:
- A call that changes the world, or any call once text from outside was seen, is traced. A clean read is not,
  unless it is given a reference.
- A reference is judged by what it is (text from outside, exactly) and by what it stands for, as if it had
  been written out: withholding a text never makes a verdict milder.
- What was withheld cannot be guessed by the hundred: once something is, a call with very many values that
  decide where things go counts as tainted, whatever they are, and the agent is not told which rule said so.
- A call outside the session's plan counts as one whose sinks cannot be explained.
- An error of a tool whose results come from outside comes from outside; other errors are neither taint nor
  trust: they may repeat an argument.
- An agent may give two calls one id: what is known by that id alone is of the higher class.
- A clean result costs nothing until a call is traced: until then it waits (`backlog`).
- A session that goes on after a restart is shown again, from the vault, all that it was shown before, with
  the origins that were found then. What was erased meanwhile cannot be matched: then everything is tainted.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pratique.capabilities.fields import Shape
from pratique.capabilities.policy import Policy, tool_match
from pratique.model import (
    UNTAINTED,
    ArgumentClass,
    Call,
    Carried,
    Confidentiality,
    Edited,
    Judged,
    Origin,
    Outcome,
    Part,
    Reason,
    Status,
    Taint,
    Tier,
)
from pratique.quarantine.approver import of_approver
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.verdict import Verdict, judge
from pratique.stages.backlog import Backlog
from pratique.stages.declared import Declared
from pratique.stages.withheld import Withheld, holds_reference, without
from pratique.tools.registry import Tool

MOST_GUESSES = 64
"""Values that decide where things go, in one call, while anything is withheld. Each is compared with it."""

_TOO_MANY = Reason(
    rule="provenance",
    effect="ask",
    text=f"more than {MOST_GUESSES} of its values decide where it goes, and something is withheld: "
    "where they came from is for whoever answers",
)
_REFERENCE = "reference"
_REPEATS = "it failed, and its error repeats what is withheld"
_NO_SHAPE = Shape({})


class Shown(NamedTuple):
    """What a session was shown before this process served it, as its records and the vault have it.

    Attributes:
        tool, call_id, tier: which call.
        status: how it ended.
        value: its result, or its error's words.
        arguments: its arguments, references put in.
        origins: what was found of them then; None if they were not traced.
        references: those that stood in them when the call was first asked for.
        kept: full path → reference, for what was withheld.
        confidentiality: the class of the result.
        carried: what an earlier write of ours put into it.
        erased: whether the result can no longer be had.
    """

    tool: str
    call_id: str
    tier: Tier
    status: Status
    value: Any
    arguments: Mapping[str, Any]
    origins: Sequence[Origin] | None
    kept: Mapping[str, str]
    confidentiality: Confidentiality
    carried: Sequence[Carried] = ()
    erased: bool = False
    references: Sequence[str] = ()


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
        self.withheld = Withheld()
        self._classes: dict[str, Confidentiality] = {}
        self._backlog: Backlog[tuple[Shown, Declared | None]] = Backlog(lambda seen: self._take_in(*seen))

    @classmethod
    def lost(cls) -> "Provenance":
        """Return the provenance of a session of which nothing is known: everything counts as tainted."""
        provenance = cls("")
        provenance.tracker.lose()
        return provenance

    def judge(  # what a judgement depends on, by name
        self,
        tool: Tool,
        of: Declared,
        asked: bytes,
        resolved: bytes,
        policy: Policy,
        edited: Edited | None = None,
    ) -> Judged:
        """Return how near text from outside came to a call, and each argument's origin.

        Args:
            tool: what is called.
            of: its declaration.
            asked: the arguments as they were asked for, canonical JSON.
            resolved: the same, with what their references stand for.
            policy: says whether identities may be destinations.
            edited: what a person changed in it, if somebody did: that is theirs.
        """
        tier = tool.capability.tier
        outside_plan = self._is_outside_plan(tool)
        if tier is Tier.READ and not self.tracker.exposed and not holds_reference(asked):
            return UNTAINTED
        self._backlog.settle()
        origins = of_approver(self._trace(tool, of, asked, resolved), edited)
        verdict = self._verdict(tool, origins, policy, outside_plan=outside_plan)
        if verdict.held:  # a person will look: search for disguises that only a card is worth the time for
            origins = of_approver(self._trace(tool, of, asked, resolved, thorough=True), edited)
            verdict = self._verdict(tool, origins, policy, outside_plan=outside_plan)
        if self.withheld and _guesses(origins) > MOST_GUESSES:
            reasons = (_TOO_MANY, *(reason for reason in verdict.reasons if reason.rule == "plan"))
            return Judged(taint=Taint.SINK, reasons=reasons, origins=origins)
        taint = Taint.SINK if verdict.outside_plan else verdict.taint
        return Judged(taint=taint, reasons=verdict.reasons, origins=origins)

    def _trace(
        self, tool: Tool, of: Declared, asked: bytes, resolved: bytes, *, thorough: bool = False
    ) -> tuple[Origin, ...]:
        """Trace arguments; those given by reference as what they are, and as what they stand for."""
        name = tool.capability.name
        found = self.tracker.trace(name, orjson.loads(resolved), of.sinks, names=of.names, thorough=thorough)
        if asked != resolved:
            by_reference = self.tracker.trace(name, orjson.loads(asked), of.sinks, names=of.names)
            found = (*(origin for origin in by_reference if origin.how == _REFERENCE), *found)
        return tuple(origin for origin in found if not self._may_leave(origin, of.clearance))

    def _may_leave(self, origin: Origin, clearance: Confidentiality) -> bool:
        """Whether an origin is of a confidential value that may leave through a tool of this clearance."""
        if origin.part is not Part.CONFIDENTIAL or origin.source is None:
            return False
        return self.class_of(origin.source.call_id, secret=True).rank <= clearance.rank

    def class_of(self, call_id: str, *, secret: bool = False) -> Confidentiality:
        """Return the class of what a call gave.

        Args:
            call_id: the call.
            secret: of a value in it that is marked as one that may not leave.
        """
        least = Confidentiality.CONFIDENTIAL if secret else Confidentiality.PUBLIC
        return Confidentiality.highest(self._classes.get(call_id, Confidentiality.RESTRICTED), least)

    def _verdict(
        self, tool: Tool, origins: tuple[Origin, ...], policy: Policy, *, outside_plan: bool
    ) -> Verdict:
        return judge(
            origins,
            tool.capability.tier,
            exposed=self.tracker.exposed,
            tool=tool.capability.name,
            plan=() if outside_plan else None,
            identities=policy.file.preset is not None and policy.file.preset.identities,
        )

    def _is_outside_plan(self, tool: Tool) -> bool:
        name = tool.capability.name
        return self.plan is not None and not any(tool_match(name, pattern) for pattern in self.plan)

    def release(self, call: Call, of: Declared, outcome: Outcome, size: int) -> Outcome:
        """Take in what a call gave, and return it without what is withheld from the agent.

        Args:
            call: the call.
            of: its declaration.
            outcome: what it gave.
            size: bytes of its result.
        """
        done = outcome.status is Status.DONE
        echoes = self.withheld.hand_over(call.arguments, call.judged.references)
        if call.capability.endorses:
            echoes = ()  # one of a few declared values says no more than that
        kept = self.withheld.keep(outcome.value, of.withhold, echoes) if done else {}
        if any(one.hears(outcome.error) for one in echoes):
            outcome = outcome.model_copy(update={"error": _REPEATS})
        shown = Shown(
            tool=call.capability.name,
            call_id=call.request.call_id,
            tier=call.capability.tier,
            status=outcome.status,
            value=outcome.value if done else outcome.error,
            arguments=call.arguments,
            origins=call.judged.origins or None,
            kept=kept,
            confidentiality=of.confidentiality,
            carried=outcome.carried,
            references=call.judged.references,
        )
        if kept or outcome.carried or of.shape.foreign:
            self._backlog.settle()
            self._take_in(shown, of)
        else:
            self._backlog.add((shown, of), size + len(call.request.args_json))
        if not kept:
            return outcome
        return outcome.model_copy(update={"value": without(outcome.value, kept), "withheld": kept})

    def restore(self, shown: Shown, of: Declared | None) -> None:
        """Take in what the session was shown before this process served it.

        Args:
            shown: what it was shown.
            of: the tool's declaration; None if there is no such tool any more: then all is from outside.
        """
        if shown.erased:
            self.tracker.lose()
            return
        self._backlog.settle()
        self.withheld.hand_over(shown.arguments, shown.references)
        self.withheld.restore(shown.value, shown.kept)
        self._take_in(shown, of)

    def _take_in(self, shown: Shown, of: Declared | None) -> None:
        shape = of.shape if of else _NO_SHAPE
        before = self._classes.get(shown.call_id, shown.confidentiality)
        carried = (part.confidentiality for part in shown.carried)
        self._classes[shown.call_id] = Confidentiality.highest(before, shown.confidentiality, *carried)
        if shown.status is not Status.DONE:
            if shape.foreign or shown.carried:
                self.tracker.saw_result(shown.call_id, shown.tool, shown.value, {}, carried=shown.carried)
            return
        self.tracker.saw_result(
            shown.call_id,
            shown.tool,
            shown.value,
            of.sources if of else {},
            arguments=shown.arguments,
            classes=of.sinks if of else {},
            names=of.names if of else (),
            origins=shown.origins,
            wrote=shown.tier.rank >= Tier.WRITE.rank,
            ids=of.ids if of else {},
            references=shown.kept,
            watched=shown.confidentiality is Confidentiality.RESTRICTED,
            carried=shown.carried,
        )


def _guesses(origins: Collection[Origin]) -> int:
    """Return how many values of a call are compared with what was seen, and told apart by it."""
    return sum(
        origin.part is Part.ATOM or origin.argument_class is not ArgumentClass.CONTENT for origin in origins
    )
