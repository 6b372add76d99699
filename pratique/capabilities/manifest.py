"""The policy file: its shape, and the checks that need nothing but the file.

Rules:
- An unknown key is an error. A missing floor or ceiling takes the strictest meaning: an allow row reaches
  `read`, `internal`, untainted calls only; a deny or ask row reaches everything.
- An agent has an owner. An exception has an owner, a reason, an approver and an expiry.
- Every name that a rule uses (`to`, `when`, `approvers`) is defined in the file.
- Role chains are at most `DEEPEST_ROLES` long: Casbin ignores a role that is further away.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pratique.capabilities.constraints import compile_constraint
from pratique.capabilities.fields import read_word
from pratique.errors import ConstraintError, PolicyError, ToolDeclarationError
from pratique.model import ArgumentClass, Confidentiality, Level, Taint, Tier
from pratique.people import ANY_LOCAL
from pratique.spelling import meant_key

DEEPEST_ROLES = 8
LARGEST_POLICY = 4 * 1024 * 1024
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


def read_policy(text: str, where: str = "policy") -> PolicyFile:
    """Return the policy that `text` (TOML) describes.

    Args:
        text: the whole file.
        where: the file's name, for messages.

    Raises:
        PolicyError: with one line for every problem found, each naming its key.
    """
    if len(text) > LARGEST_POLICY:
        raise PolicyError(where, [f"larger than {LARGEST_POLICY} characters"])
    data = _parse(text, where)
    try:
        policy = PolicyFile.model_validate(data)
    except ValidationError as problem:
        raise PolicyError(where, [_line(error, data) for error in problem.errors()]) from None
    problems = list(_lint(policy))
    if problems:
        raise PolicyError(where, problems)
    return policy


def microseconds(moment: datetime | None) -> int:
    """Return the moment as integer microseconds since the epoch, 0 for None."""
    if moment is None:
        return 0
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise PolicyError(where, ["nested too deeply to be a policy"]) from None
    except ValueError as problem:  # TOMLDecodeError, with line and column, or a number of too many digits
        raise PolicyError(where, [str(problem)]) from None


def _line(error: Any, data: dict[str, Any]) -> str:
    """Return one of Pydantic's errors as `ask[0].quorum: what is wrong (rule money-asks)`."""
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    rule = _rule_at(error["loc"], data)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{meant_key(PolicyFile, error['loc'])}{rule}"
    if error["type"] == "missing":
        return f"{key}: missing{rule}"
    return f"{key}: {error['msg']}, got {str(error['input'])[:80]!r}{rule}"


def _rule_at(place: tuple[int | str, ...], data: dict[str, Any]) -> str:
    """Return the id of the rule that a problem stands in: people know it better than its number."""
    match place:
        case (str() as table, int() as number, str() as key, *_) if key != "id":
            row = data[table][number]
            named = row.get("id") if isinstance(row, dict) else None
            return f" (rule {named[:80]!r})" if isinstance(named, str) and named else ""
    return ""


def _lint(policy: PolicyFile) -> Iterator[str]:
    yield from _duplicate_ids(policy)
    yield from _undefined_names(policy)
    yield from _ambiguous_names(policy)
    yield from _role_chains(policy)
    yield from _constraints(policy)
    yield from _periods(policy)
    yield from _quorums(policy)
    yield from _tool_labels(policy)


def _duplicate_ids(policy: PolicyFile) -> Iterator[str]:
    seen = set()
    for rule in (*policy.rules, *policy.isolation):
        if rule.id in seen:
            yield f"{rule.id}: two rules have this id"
        seen.add(rule.id)


def _held_roles(policy: PolicyFile, besides: str = "") -> set[tuple[str, str]]:
    """Return tenant and name of every role, leaving out those that only the agent `besides` speaks of."""
    held = {
        (agent.tenant, role)
        for name, agent in policy.agents.items()
        for role in agent.roles
        if name != besides
    }
    held |= {(role.tenant, name) for name, role in policy.roles.items() if name != besides}
    return held | {(role.tenant, inherited) for role in policy.roles.values() for inherited in role.inherits}


def _undefined_names(policy: PolicyFile) -> Iterator[str]:
    known = _held_roles(policy) | {(agent.tenant, name) for name, agent in policy.agents.items()}
    for rule in policy.rules:
        if rule.to != "*" and (rule.tenant, rule.to) not in known:
            yield f"{rule.id}.to: no agent or role of tenant {rule.tenant!r} is called {rule.to!r}"
        if rule.when is not None and rule.when not in policy.constraints:
            yield f"{rule.id}.when: no constraint is called {rule.when!r}"
        if isinstance(rule, AskRule):
            yield from _undefined_groups(rule, policy)
    for floor in policy.isolation:
        if floor.to != "*" and (floor.tenant, floor.to) not in known:
            yield f"{floor.id}.to: no agent or role of tenant {floor.tenant!r} is called {floor.to!r}"
    if policy.erasure is not None and policy.erasure.approvers not in policy.groups:
        yield f"erasure.approvers: no group is called {policy.erasure.approvers!r}; add it under [groups]"
    for number, test in enumerate(policy.test):
        if test.agent not in policy.agents and test.expect != "deny":
            yield f"test[{number}].agent: no agent is called {test.agent!r}"


def _undefined_groups(rule: AskRule, policy: PolicyFile) -> Iterator[str]:
    named = {"approvers": rule.approvers, "escalate_to": rule.escalate_to, "delegates": rule.delegates}
    for key, group in named.items():
        if group is not None and group not in policy.groups:
            yield f"{rule.id}.{key}: no group is called {group!r}; add it under [groups]"


def _ambiguous_names(policy: PolicyFile) -> Iterator[str]:
    """Refuse names that Casbin, to which agents and roles are one kind, would not read as people do."""
    roles = _held_roles(policy)
    for name, agent in policy.agents.items():
        if (agent.tenant, name) not in roles:
            continue
        if name not in agent.roles:
            yield f"agents.{name}: is also the name of a role that this agent does not hold; rename one"
        elif set(agent.roles) != {name} and (agent.tenant, name) in _held_roles(policy, besides=name):
            yield (
                f"agents.{name}: is also the name of a role that others hold, and they would get its other "
                "roles with it; rename one"
            )


def _role_chains(policy: PolicyFile) -> Iterator[str]:
    for name in policy.roles:
        level = {name}
        for _ in range(DEEPEST_ROLES):
            level = {up for role in level if role in policy.roles for up in policy.roles[role].inherits}
            if name in level:
                yield f"roles.{name}: inherits itself"
                break
            if not level:
                break
        else:
            yield f"roles.{name}: more than {DEEPEST_ROLES} roles deep; Casbin ignores what is further up"


def _constraints(policy: PolicyFile) -> Iterator[str]:
    for name, expression in policy.constraints.items():
        try:
            compile_constraint(name, expression)
        except ConstraintError as problem:
            yield f"constraints.{problem}"


def _periods(policy: PolicyFile) -> Iterator[str]:
    for rule in policy.exception:
        if microseconds(rule.expires) <= 0:  # 0 stands for "never" in a row
            yield f"{rule.id}.expires: is not later than 1970"
        if rule.not_before is not None and rule.not_before >= rule.expires:
            yield f"{rule.id}: not_before is not earlier than expires"


def _tool_labels(policy: PolicyFile) -> Iterator[str]:
    for name, labels in policy.tools.items():
        for path, word in (labels.sources or {}).items():
            try:
                read_word(path, word)
            except ToolDeclarationError as problem:
                yield f"tools.{name}.{problem}"
        for argument, word in (labels.sinks or {}).items():
            if word.partition(":")[0] not in list(ArgumentClass):
                yield f"tools.{name}.sinks.{argument}: {word!r} is none of {', '.join(ArgumentClass)}"


def _quorums(policy: PolicyFile) -> Iterator[str]:
    for rule in policy.rules:
        if not isinstance(rule, AskRule):
            continue
        members = policy.groups.get(rule.approvers)
        if members is None or ANY_LOCAL in members or any(name.startswith("oidc:") for name in members):
            continue  # who they are is known when they log in
        if len(set(members)) < rule.quorum:
            yield f"{rule.id}.quorum: asks {rule.quorum} of {rule.approvers!r}, which has {len(set(members))}"
