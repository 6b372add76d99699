"""Is this text a policy? Parsed, held against its shape, and every check that needs nothing but the file.

Rules:
- Every problem is found at once, each in a line that names its key.
- Every name that a rule uses (`to`, `when`, `approvers`) is defined in the file.
- Role chains are at most `DEEPEST_ROLES` long: Casbin ignores a role that is further away.
"""

import tomllib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pratique.capabilities.constraints import compile_constraint
from pratique.capabilities.fields import read_word
from pratique.capabilities.manifest import AskRule, PolicyFile, microseconds
from pratique.errors import ConstraintError, PolicyError, ToolDeclarationError
from pratique.model import ArgumentClass
from pratique.people import ANY_LOCAL
from pratique.spelling import meant_key

DEEPEST_ROLES = 8
LARGEST_POLICY = 4 * 1024 * 1024


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
