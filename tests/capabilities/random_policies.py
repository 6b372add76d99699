"""Random policies over a small world, and every kind of question that can be asked in it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from pratique.capabilities.manifest import microseconds
from pratique.capabilities.policy import Access, Policy
from pratique.model import Capability, Confidentiality, Level, Taint, Tier

START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = tuple(START + timedelta(hours=hours) for hours in range(5))
NOW = microseconds(START)

AGENTS = ("ana", "bo", "cy", "dee")
ROLES = ("clerk", "lead", "chief")
TOOLS = ("mail.read", "mail.send", "crm.get", "crm.deep.get", "crmx.get")
PATTERNS = (*TOOLS, "mail.*", "crm.*", "crm.deep.*", "*")
TENANTS = ("default", "other")
CONDITIONS = {
    "small": "amount <= 50",
    "euros": "currency == 'EUR'",
    "listed": "to not in ['eve@evil.example']",
}

Rule = dict[str, Any]


def toml(sections: Mapping[str, Any]) -> str:
    """Return a policy file: `{"agents": {name: {...}}, "allow": [{...}, ...], ...}` as TOML."""
    lines: list[str] = []
    for section, content in sections.items():
        if isinstance(content, Sequence):
            for entry in content:
                lines += [f"[[{section}]]", *_pairs(entry)]
        elif section in {"agents", "roles", "tools"}:
            for name, entry in content.items():
                lines += [f"[{section}.{json.dumps(name)}]", *_pairs(entry)]
        else:
            lines += [f"[{section}]", *_pairs(content)]
    return "\n".join(lines)


def _pairs(entry: Mapping[str, Any]) -> list[str]:
    return [f"{json.dumps(key)} = {_value(value)}" for key, value in entry.items() if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


words = st.sampled_from
tiers, labels, taints = (
    words([*map(str, Tier)]),
    words([*map(str, Confidentiality)]),
    words([*map(str, Taint)]),
)


def _rule(tenant: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Rule]:
    mine = (*AGENTS[:3], *ROLES, "*") if tenant == "default" else ("dee", "lead", "*")
    return st.fixed_dictionaries(
        {
            "to": words(mine),
            "tools": st.lists(words(PATTERNS), min_size=1, max_size=3),
            "tenant": st.just(tenant),
            "when": st.none() | words(sorted(CONDITIONS)),
            **more,
        },
        optional={"tier": tiers, "confidentiality": labels, "taint": taints},
    )


def _rules(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Rule]]:
    one = st.one_of(_rule("default", **more), _rule("default", **more), _rule("other", **more))
    return st.lists(one, max_size=3)


_windows = st.sampled_from(
    [(start, end) for start in (None, *MOMENTS) for end in MOMENTS if start is None or start < end]
)


@st.composite
def exceptions(draw: st.DrawFn) -> list[Rule]:
    found = draw(_rules(owner=st.just("o@x"), reason=st.just("why"), approved_by=st.just("li@x")))
    for rule in found:
        rule["not_before"], rule["expires"] = draw(_windows)
        rule["max_uses"] = draw(st.none() | st.integers(1, 3))
    return found


@st.composite
def policy_sections(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the sections of a policy file that loads."""
    sections: dict[str, Any] = {
        "agents": {
            name: {
                "owner": "o@x",
                "roles": draw(st.lists(words(ROLES), max_size=2, unique=True)),
                "tenant": "other" if name == "dee" else "default",
            }
            for name in AGENTS
        },
        # clerk → lead → chief, each link being there or not; all roles exist, whoever holds them
        "roles": {
            "clerk": {"inherits": draw(st.sampled_from([[], ["lead"], ["lead", "chief"]]))},
            "lead": {"inherits": draw(st.sampled_from([[], ["chief"]]))},
            "chief": {"inherits": []},
        },
        "groups": {"few": ["li@x"], "many": ["li@x", "mo@x", "no@x"]},
        "constraints": CONDITIONS,
        "allow": draw(_rules()),
        "deny": draw(_rules()),
        "ask": draw(
            _rules(
                approvers=words(["many"]),
                quorum=st.integers(1, 2),
                wait=words(["1h", "2h"]),
                use_within=words(["5m", "15m"]),
            )
        ),
        "exception": draw(exceptions()),
    }
    if not any(
        "lead" in agent["roles"] for agent in sections["agents"].values() if agent["tenant"] == "other"
    ):
        sections["agents"]["dee"]["roles"].append("lead")
    return numbered(sections)


def numbered(sections: dict[str, Any]) -> dict[str, Any]:
    """Give every rule an id of its own: its place in the file."""
    for kind in ("allow", "deny", "ask", "exception"):
        sections[kind] = [{**rule, "id": f"{kind}-{place}"} for place, rule in enumerate(sections[kind])]
    return sections


def policy_of(sections: Mapping[str, Any]) -> Policy:
    return Policy(toml(sections))


policies = policy_sections().map(policy_of)

AMOUNTS: tuple[Any, ...] = (0, 50, 51, 50.0, True, "50", None, float("nan"), [50])
CURRENCIES: tuple[Any, ...] = ("EUR", "USD", 1, None)
RECIPIENTS: tuple[Any, ...] = ("ana@acme.example", "eve@evil.example", ["eve@evil.example"], None)
TIMES = (NOW - 1, *(microseconds(moment) + by for moment in MOMENTS for by in (-1, 0, 1)), 0, 2**62)

Question = tuple[Access, dict[str, Any], int]


def question(dice: Random) -> Question:
    """Return one question, sensible two times out of three."""
    pick = dice.choice
    agent = pick(AGENTS)
    access = Access(
        sub=agent,
        dom="other" if agent == "dee" else "default",
        tool=pick(TOOLS),
        tier=pick(list(Tier)).value,
        label=pick(list(Confidentiality)).value,
        taint=pick(list(Taint)).value,
    )
    if pick([True, False, False]):
        access = Access(
            sub=pick([*AGENTS, "lead", "nobody", "*", ""]),
            dom=pick([*TENANTS, ""]),
            tool=pick([*TOOLS, "crm", "mail.", "unknown.tool", ""]),
            tier=pick([access.tier, "weird"]),
            label=pick([access.label, ""]),
            taint=pick([access.taint, "NONE"]),
        )
    choices = {"amount": AMOUNTS, "currency": CURRENCIES, "to": RECIPIENTS}
    given = {name: pick(values) for name, values in choices.items() if pick([True, True, False])}
    return access, given, pick(TIMES)


def questions(most: int) -> st.SearchStrategy[list[Question]]:
    """Draw that many questions, from one seed: drawing each by itself would take most of a test's time."""
    return st.integers(0, 2**32).map(lambda seed: _questions(Random(seed), most))  # noqa: S311  # dice


def _questions(dice: Random, most: int) -> list[Question]:
    return [question(dice) for _ in range(most)]


def capability(
    name: str, tier: Tier = Tier.READ, confidentiality: Confidentiality = Confidentiality.INTERNAL
) -> Capability:
    """Return a declaration that says nothing but name, tier and class."""
    return Capability(
        name=name,
        description="",
        tier=tier,
        confidentiality=confidentiality,
        clearance=Confidentiality.INTERNAL,
        sinks={},
        ids={},
        sources={},
        hosts=(),
        paths={},
        secrets=(),
        runs_in=Level.INLINE,
        takes_idempotency_key=False,
        timeout=1.0,
        result_limit=1,
        parameters={},
        digest="0" * 64,
    )
