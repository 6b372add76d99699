"""The policy file: its shape. What one key cannot say of another is `pratique.capabilities.lint`'s to check.

Rules:
- An unknown key is an error. A missing floor or ceiling takes the strictest meaning: an allow row reaches
  `read`, `internal`, untainted calls only; a deny or ask row reaches everything.
- An agent has an owner. An exception has an owner, a reason, an approver and an expiry.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from pratique.model import Confidentiality, Level, Taint, Tier

DEFAULT_TENANT = "default"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    """Read `90s`, `15m`, `4h`, `2d`; leave the rest to Pydantic (ISO 8601)."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}$")]
To = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127})$")]
ToolPattern = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$")]
Tools = Annotated[tuple[ToolPattern, ...], Field(min_length=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=366))]
Person = Annotated[str, Field(min_length=1, max_length=254, pattern=r"^\S+$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(_Section):
    """An agent that may ask. Without an owner it does not load."""

    owner: Person
    roles: tuple[Name, ...] = ()
    tenant: Name = DEFAULT_TENANT
    description: str = ""


class Role(_Section):
    """A role that holds other roles: whoever has this one has those as well."""

    inherits: tuple[Name, ...] = ()
    tenant: Name = DEFAULT_TENANT


class _Rule(_Section):
    id: Name
    to: To
    tools: Tools
    tenant: Name = DEFAULT_TENANT
    when: Name | None = None


class AllowRule(_Rule):
    """Permits what stays below all three ceilings."""

    tier: Tier = Tier.READ
    confidentiality: Confidentiality = Confidentiality.INTERNAL
    taint: Taint = Taint.NONE


class DenyRule(_Rule):
    """Forbids what reaches all three floors. A deny beats every allow."""

    tier: Tier = Tier.READ
    confidentiality: Confidentiality = Confidentiality.PUBLIC
    taint: Taint = Taint.NONE
    reason: str = ""


class AskRule(_Rule):
    """Stops what reaches all three floors until enough people of a group agree.

    Attributes:
        escalate_to: a group that may answer as well once half of `wait` is over; left out, the agent's owner.
        delegates: a group whose people an approver may hand the question to, besides their own group.
        standing: which calls a yes given beforehand may stand for: none, all but the irreversible, or all.
    """

    tier: Tier = Tier.READ
    confidentiality: Confidentiality = Confidentiality.PUBLIC
    taint: Taint = Taint.NONE
    approvers: Name
    quorum: Annotated[int, Field(ge=1, le=16, strict=True)] = 1
    wait: Duration = timedelta(hours=4)
    use_within: Duration = timedelta(minutes=15)
    escalate_to: Name | None = None
    delegates: Name | None = None
    standing: Literal["never", "reversible", "always"] = "reversible"

    def lets_stand(self, tier: str) -> bool:
        """Return whether a standing approval may stand for an answer to a call of this tier."""
        return self.standing == "always" or (self.standing == "reversible" and tier != Tier.IRREVERSIBLE)


class ExceptionRule(AllowRule):
    """An allow row for a while: who owns it, why, who agreed, and when it ends."""

    not_before: AwareDatetime | None = None
    expires: AwareDatetime
    owner: Person
    reason: Annotated[str, Field(min_length=1)]
    approved_by: Person
    max_uses: Annotated[int, Field(ge=1, strict=True)] | None = None


class IsolationRule(_Section):
    """A floor: the weakest level that calls which reach its floors may run in. It permits nothing."""

    id: Name
    to: To = "*"
    tools: Tools
    tenant: Name = DEFAULT_TENANT
    tier: Tier = Tier.READ
    taint: Taint = Taint.NONE
    level: Level


class PolicyTest(_Section):
    """One expectation that the policy states about itself. `at` is the time it is asked for."""

    agent: Name
    tool: Name
    args: dict[str, Any] = {}
    taint: Taint = Taint.NONE
    at: AwareDatetime | None = None
    expect: Literal["allow", "ask", "deny"]


class ToolLabels(_Section):
    """What the policy says of a tool that somebody else wrote; it replaces what the tool says of itself.

    Attributes:
        sources: result field → who may have written it (see `pratique.capabilities.fields`).
        sinks: argument → what it decides.
        withhold: result fields, with all that is below them, which are not shown to the agent but replaced
            by a reference; `*` for all.
        clearance: the highest class of value that may leave through an argument.
    """

    sources: dict[str, str] | None = None
    sinks: dict[str, str] | None = None
    withhold: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    clearance: Confidentiality | None = None


class Preset(_Section):
    """Ask rows that come as a set; see docs/explanation/quarantine.md for what each cannot catch.

    Attributes:
        name: `strict`: every write asks, and so does what leaves once text from outside was seen.
            `provenance`: what leaves or writes asks when a value that decides where it goes is tainted or
            unexplained, or when the call is outside the session's plan.
        approvers: the group that is asked.
    """

    name: Literal["strict", "provenance"]
    approvers: Name
    quorum: Annotated[int, Field(ge=1, le=16, strict=True)] = 1
    wait: Duration = timedelta(hours=4)
    use_within: Duration = timedelta(minutes=15)
    identities: bool = False


class Erasure(_Section):
    """Who must agree before values are erased: another person than the one who asks, of this group."""

    approvers: Name


class PolicyFile(_Section):
    """A whole policy file, valid in itself."""

    agents: dict[Name, Agent] = {}
    roles: dict[Name, Role] = {}
    groups: dict[Name, tuple[Person, ...]] = {}
    constraints: dict[Name, str] = {}
    allow: tuple[AllowRule, ...] = ()
    deny: tuple[DenyRule, ...] = ()
    ask: tuple[AskRule, ...] = ()
    exception: tuple[ExceptionRule, ...] = ()
    isolation: tuple[IsolationRule, ...] = ()
    test: tuple[PolicyTest, ...] = ()
    tools: dict[Name, ToolLabels] = {}
    plans: dict[Name, Tools] = {}
    preset: Preset | None = None
    erasure: Erasure | None = None

    @property
    def rules(self) -> Iterator[AllowRule | DenyRule | AskRule | ExceptionRule]:
        """Every rule, in the order allow, exception, deny, ask."""
        yield from self.allow
        yield from self.exception
        yield from self.deny
        yield from self.ask
        yield from _preset_rules(self.preset, {agent.tenant for agent in self.agents.values()})


def _preset_rules(preset: Preset | None, tenants: set[str]) -> Iterator[AskRule]:
    """Yield the ask rows that a preset stands for: it holds for every tenant that has agents."""
    if preset is None:
        return
    floors = {
        "strict": {"strict-write": (Tier.WRITE, Taint.NONE), "strict-egress": (Tier.EGRESS, Taint.CONTEXT)},
        "provenance": {"provenance": (Tier.EGRESS, Taint.SINK)},
    }
    for tenant, (name, (tier, taint)) in product(sorted(tenants), floors[preset.name].items()):
        yield AskRule(
            id=f"preset-{name}" + ("" if tenant == DEFAULT_TENANT else f"-{tenant}"),
            to="*",
            tools=("*",),
            tenant=tenant,
            tier=tier,
            taint=taint,
            approvers=preset.approvers,
            quorum=preset.quorum,
            wait=preset.wait,
            use_within=preset.use_within,
        )


def microseconds(moment: datetime | None) -> int:
    """Return the moment as integer microseconds since the epoch, 0 for None."""
    if moment is None:
        return 0
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
