"""The engine of record: policy rows in Casbin.

Rules:
- The policy file compiles to rows of one Casbin model, used twice: `permit` holds allow and deny rows (deny
  overrides), `ask` holds ask rows. `strictest` of the two is the decision.
- An Enforcer is built, loaded once, and never changed again.
- Matcher functions fail closed: an unknown word or a condition that raises matches a deny or an ask, and
  never an allow.
- Only a declared agent asks, and only in its tenant. To Casbin a role's name is as good as an agent's.
- Casbin's own logger writes every argument of a denied request. It gets one that writes nothing.
"""

import hashlib
import logging
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any, NamedTuple

import casbin
from casbin.model import Model
from casbin.persist import Adapter
from casbin.util import SimpleEval

from pratique.capabilities.constraints import Arguments, Condition, compile_constraint
from pratique.capabilities.lint import read_policy
from pratique.capabilities.manifest import (
    AllowRule,
    AskRule,
    DenyRule,
    ExceptionRule,
    PolicyFile,
    ToolLabels,
    microseconds,
)
from pratique.errors import ConstraintError, DependencyError
from pratique.model import ENGINE, Confidentiality, Taint, Tier

MODEL = """
[request_definition]
r = sub, dom, tool, tier, label, taint, now, args

[policy_definition]
p = id, sub, dom, tool, tier, label, taint, nbf, exp, cond, kind, eft

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.dom == p.dom && toolMatch(r.tool, p.tool) && covers(r.tier, p.tier, p.kind) && \
covers(r.label, p.label, p.kind) && covers(r.taint, p.taint, p.kind) && live(r.now, p.nbf, p.exp) && \
g(r.sub, p.sub, r.dom) && cond(p.cond, r.args, p.kind)
"""

EVERYONE = "*"

_SILENT = logging.Logger("pratique.casbin", logging.CRITICAL + 1)  # noqa: LOG001  # not in the table is the point
"""Not in logging's table, so that a host that sets up or enables every logger there is does not reach it."""

_RANKS = {word.value: word.rank for words in (Tier, Confidentiality, Taint) for word in words}
WORDS = frozenset(_RANKS)
"""Every word that a tier, a class or a taint can be."""


class Row(NamedTuple):
    """One policy row as Casbin sees it. `kind` is allow, deny or ask; `nbf` and `exp` are µs, 0 for none."""

    id: str
    sub: str
    dom: str
    tool: str
    tier: str
    label: str
    taint: str
    nbf: int
    exp: int
    cond: str
    kind: str
    eft: str


class Access(NamedTuple):
    """The coarse part of a question: all but time and arguments. The fast path caches by it."""

    sub: str
    dom: str
    tool: str
    tier: str
    label: str
    taint: str


def tool_match(tool: str, pattern: str) -> bool:
    """Match `*`, a whole dotted prefix (`mail.*`) or the exact name; nothing else is a pattern."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return tool.startswith(pattern[:-1])
    return tool == pattern


def covers(asked: str, stated: str, kind: str) -> bool:
    """Match a ceiling (allow) or a floor (deny, ask). An unknown word matches no allow and every other."""
    a, b = _RANKS.get(asked), _RANKS.get(stated)
    if a is None or b is None:
        return kind != "allow"
    return a <= b if kind == "allow" else a >= b


def live(now: int, not_before: int, expires: int) -> bool:
    """Match from `not_before` up to, not including, `expires`; 0 means no bound."""
    return not_before <= now and (expires == 0 or now < expires)


class _Rows(Adapter):  # type: ignore[misc]  # casbin ships no types
    """Hands rows to Casbin as they are, so that no text format stands in between."""

    def __init__(self, rows: tuple[Row, ...], links: tuple[tuple[str, str, str], ...]) -> None:
        self._rows, self._links = rows, links

    def load_policy(self, model: Any) -> None:
        """Add every row and link to the model.

        `Model.add_policy` looks through all rows for each one it adds: seconds at 10,000. What it is given
        here has no duplicates, so the rows are put where it would put them.
        """
        model["p"]["p"].policy.extend([str(field) for field in row] for row in self._rows)
        model["g"]["g"].policy.extend(list(link) for link in self._links)


def _model() -> Any:
    model = Model()
    model.load_model_from_text(MODEL)
    return model


class _Enforcer(casbin.Enforcer):  # type: ignore[misc]  # casbin ships no types
    """Casbin's enforcer, with the matcher parsed once, at import, instead of for each question.

    CPython before 3.12 can raise SystemError when two threads parse at the same time.
    """

    matcher = casbin.Enforcer._get_expression(_model()["m"]["m"].value).ast_parsed_value  # noqa: SLF001  # as above

    @classmethod
    def _get_expression(cls, _: str, functions: Any = None) -> Any:
        """Return an evaluator of its own for one question; `enforce` calls this."""
        evaluator = SimpleEval("", functions)
        evaluator.ast_parsed_value = cls.matcher
        return evaluator


class Policy:
    """One loaded policy: the file, its rows, its conditions and the two Casbin enforcers. Never changed.

    Args:
        text: the policy file, TOML.
        where: its name, for messages.

    Raises:
        PolicyError: the file has problems; all are listed.
        DependencyError: the dist `casbin` (the old line) is installed beside `pycasbin`.
    """

    def __init__(self, text: str, where: str = "policy") -> None:
        refuse_old_casbin()
        self.text = text
        self.file: PolicyFile = read_policy(text, where)
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self.rows = _rows(self.file)
        self.links = _links(self.file)
        self.rules = MappingProxyType({rule.id: rule for rule in self.file.rules})
        self.conditions: Mapping[str, Condition] = MappingProxyType(
            {name: compile_constraint(name, text) for name, text in self.file.constraints.items()}
        )
        self.tool_labels: Mapping[str, ToolLabels] = MappingProxyType(self.file.tools)
        self._permit = self._enforcer(tuple(row for row in self.rows if row.kind != "ask"))
        self._ask = self._enforcer(tuple(row for row in self.rows if row.kind == "ask"))
        self.subjects: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {name: self._subjects_of(name, agent.tenant) for name, agent in self.file.agents.items()}
        )
        """Agent → every name by which a rule's `to` may mean it: itself, its roles at any depth, `*`."""

    def tenant_of(self, agent: str) -> str | None:
        """Return the agent's tenant, or None when the policy does not know the agent."""
        declared = self.file.agents.get(agent)
        return declared.tenant if declared else None

    def knows(self, agent: str, tenant: str) -> bool:
        """Return whether the policy declares this agent, in this tenant."""
        declared = self.file.agents.get(agent)
        return declared is not None and declared.tenant == tenant

    def condition_holds(self, condition: str, arguments: Arguments, kind: str) -> bool:
        """Evaluate a row's condition: an error matches no allow and every deny and ask."""
        if not condition:
            return True
        try:
            return self.conditions[condition](arguments)
        except (ConstraintError, KeyError):
            return kind != "allow"

    def enforce(self, access: Access, arguments: Arguments, now_us: int) -> str:
        """Ask plain Casbin: `allow`, `ask` or `deny`. Slow (it looks at every row), and the reference."""
        question = (*access, now_us, arguments)
        if not self.knows(access.sub, access.dom):
            return "deny"
        if not self._permit.enforce(*question):
            return "deny"
        return "ask" if self._ask.enforce(*question) else "allow"

    def members(self, group: str) -> tuple[str, ...]:
        """Return who belongs to an approver group; nobody, if there is none of that name."""
        return self.file.groups.get(group, ())

    def _subjects_of(self, agent: str, tenant: str) -> tuple[str, ...]:
        """Return what Casbin's role manager says that this agent is."""
        return (agent, *sorted(self._permit.get_implicit_roles_for_user(agent, tenant)))

    def _enforcer(self, rows: tuple[Row, ...]) -> Any:
        enforcer = _Enforcer(_model(), _Rows(rows, self.links))
        enforcer.logger = _SILENT
        # Names are compared, not matched. Casbin's default compares each link with every name: 1,000 agents
        # take seconds.
        enforcer.get_role_manager().add_matching_func(None)
        enforcer.add_function("toolMatch", tool_match)
        enforcer.add_function("covers", covers)
        enforcer.add_function("live", lambda now, nbf, exp: live(now, int(nbf), int(exp)))
        enforcer.add_function("cond", self.condition_holds)
        return enforcer


def refuse_old_casbin() -> None:
    """Stop when the dist `casbin` is installed: it overwrites files of `pycasbin`.

    Raises:
        DependencyError: it is.
    """
    try:
        old = version("casbin")
    except PackageNotFoundError:
        return
    raise DependencyError(
        f"the dist casbin {old} is installed beside {ENGINE}: both write to casbin/. "
        "Run: pip uninstall casbin pycasbin && pip install 'pycasbin>=2.8'"
    )


def _rows(file: PolicyFile) -> tuple[Row, ...]:
    return tuple(dict.fromkeys(_row(rule, tool) for rule in file.rules for tool in rule.tools))


def _row(rule: AllowRule | DenyRule | AskRule, tool: str) -> Row:
    kind = "ask" if isinstance(rule, AskRule) else "deny" if isinstance(rule, DenyRule) else "allow"
    period = (rule.not_before, rule.expires) if isinstance(rule, ExceptionRule) else (None, None)
    return Row(
        id=rule.id,
        sub=rule.to,
        dom=rule.tenant,
        tool=tool,
        tier=rule.tier.value,
        label=rule.confidentiality.value,
        taint=rule.taint.value,
        nbf=microseconds(period[0]),
        exp=microseconds(period[1]),
        cond=rule.when or "",
        kind=kind,
        eft="deny" if kind == "deny" else "allow",
    )


def _links(file: PolicyFile) -> tuple[tuple[str, str, str], ...]:
    """Return Casbin's role links: agent → role, agent → everyone, role → inherited role."""
    links = set()
    for name, agent in file.agents.items():
        links.add((name, EVERYONE, agent.tenant))
        links.update((name, role, agent.tenant) for role in agent.roles if role != name)
    for name, role in file.roles.items():
        links.update((name, up, role.tenant) for up in role.inherits)
    return tuple(sorted(links))
