"""How near untrusted text came to a call, and whether a person should be asked: two rules to choose from.

Rules:
- `strict`: every write asks, and everything that leaves once text from outside was shown.
- `provenance`: in a session that text from outside reached, a call that leaves or changes something asks
  when a sink is tainted or unexplained. The conditions, and what each achieved, are in
  docs/explanation/quarantine.md.
- A confidential value that would leave is held whether or not text from outside was seen.
- More untrusted text never makes a verdict milder.
- A reason says argument, class and source, and never a value, nor which of many it was: agents are told the
  reasons, the log has them in clear, and the value may be one that the agent is not shown.
- A verdict is evidence for a policy: the policy decides what taint it lets pass.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from pratique.model import ArgumentClass, Reason, Taint, Tier, Value
from pratique.origin import Origin, OriginKind, Part, argument_of, trusted

_OUTSIDE = {OriginKind.UNTRUSTED, OriginKind.IDENTITY}


class Rule(StrEnum):
    """Which calls are held for a person."""

    STRICT = "strict"
    PROVENANCE = "provenance"


class Verdict(Value):
    """What provenance says of a call.

    Attributes:
        taint: how near untrusted text came, whatever the call's tier.
        held: whether the rule would ask a person.
        leaks: whether a confidential value would leave.
        outside_plan: whether the host's plan does not hold the tool.
        reasons: each why, in words.
    """

    taint: Taint
    held: bool
    leaks: bool = False
    outside_plan: bool = False
    reasons: tuple[Reason, ...] = ()


def judge(  # what a verdict depends on, by name
    origins: Sequence[Origin],
    tier: Tier,
    *,
    exposed: bool,
    tool: str = "",
    plan: Collection[str] | None = None,
    rule: Rule = Rule.PROVENANCE,
    identities: bool = False,
) -> Verdict:
    """Return the taint of a call and whether the rule holds it.

    Args:
        origins: what `Tracker.trace` said.
        tier: what the call can do to the world.
        exposed: `Tracker.exposed`.
        tool: the tool's name, for the plan.
        plan: the tools that this run may use, as the host said before anything untrusted was read; None for
            no plan. Reading is never outside it.
        rule: which rule.
        identities: let participants of anchored records be destinations (opt-in, see `origin.trusted`).
    """
    reached = exposed or any(origin.kind is OriginKind.UNTRUSTED for origin in origins)
    acts = tier is not Tier.READ
    asked = origins if reached else [origin for origin in origins if origin.part is Part.CONFIDENTIAL]
    sinks = tuple(_sinks(asked, identities=identities))
    outside = plan is not None and acts and tool not in plan
    reasons = (
        *sinks,
        *(_strict(tier, reached=reached) if rule is Rule.STRICT else ()),
        *_plan(tool, outside=outside),
    )
    return Verdict(
        taint=_taint(origins, reached=reached, sink=bool(sinks)),
        held=acts and (outside or (bool(sinks) if rule is Rule.PROVENANCE else len(reasons) > len(sinks))),
        leaks=any(origin.part is Part.CONFIDENTIAL for origin in origins),
        outside_plan=outside,
        reasons=reasons,
    )


def _taint(origins: Sequence[Origin], *, reached: bool, sink: bool) -> Taint:
    """Return how near untrusted text came."""
    if sink:
        return Taint.SINK
    if any(origin.kind in _OUTSIDE for origin in origins):
        return Taint.ARGUMENT
    return Taint.CONTEXT if reached else Taint.NONE


def _sinks(origins: Sequence[Origin], *, identities: bool) -> Iterator[Reason]:
    """Yield the reasons of values that decide where things go and are tainted or unexplained.

    Each once, and those of one argument in the order of their words: where in a list it stands is not told.
    """
    texts: dict[str, set[str]] = {}
    for origin in origins:
        if _decides(origin) and not trusted(origin, identities=identities):
            texts.setdefault(argument_of(origin.argument), set()).add(_explain(origin))
    for found in texts.values():
        yield from (Reason(rule="provenance", effect="ask", text=text) for text in sorted(found))


def _decides(origin: Origin) -> bool:
    """Whether an origin is of something that decides: a sink, a time, or an atom or secret anywhere."""
    if origin.part in {Part.ATOM, Part.CONFIDENTIAL}:
        return True
    if origin.kind is OriginKind.LITERAL or origin.part is Part.PASSAGE:
        return False
    return origin.argument_class is not ArgumentClass.CONTENT


def _explain(origin: Origin) -> str:
    """Return one reason in words."""
    name = argument_of(origin.argument)
    if origin.part is Part.CONFIDENTIAL:
        return f"{name} {origin.words}"
    what = "" if origin.part is Part.WHOLE else " holds an address, link, number or key that"
    led = ", of a record that text from outside may have led to" if origin.kind in _OF_RECORDS else ""
    return f"{name} ({origin.argument_class}){what} {origin.words}{led}"


_OF_RECORDS = {OriginKind.RECORD, OriginKind.AUTHORITY, OriginKind.INTERNAL}


def _strict(tier: Tier, *, reached: bool) -> Iterator[Reason]:
    """Yield the strict rule's reason."""
    if tier in {Tier.WRITE, Tier.IRREVERSIBLE}:
        yield Reason(rule="strict", effect="ask", text="every write asks")
    elif tier is Tier.EGRESS and reached:
        yield Reason(rule="strict", effect="ask", text="something leaves after text from outside was shown")


def _plan(tool: str, *, outside: bool) -> Iterator[Reason]:
    """Yield the reason of a call outside the plan."""
    if outside:
        yield Reason(rule="plan", effect="ask", text=f"{tool} is not in the plan of this session")
