"""Promise: a diff names every kind of call that comes out differently, and nothing else."""

from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.capabilities import diff as diffs
from pratique.capabilities import meaning
from pratique.capabilities.diff import Cell, Direction, diff, direction_of, relabelled
from pratique.capabilities.manifest import ExceptionRule, microseconds
from pratique.capabilities.policy import Policy
from pratique.capabilities.selftest import access_for
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Ask, Decision, Deny, Taint, Tier
from tests.capabilities.random_policies import (
    AGENTS,
    MOMENTS,
    capability,
    numbered,
    policy_of,
    policy_sections,
)
from tests.capabilities.test_explain import DECLARED

STRICTNESS = ["allow", "ask", "deny"]

# Every outcome (true, false, error) of each condition of the random policies, and of the changed ones.
CALLS = [
    {"amount": amount, "currency": currency, "to": to}
    for amount, currency, to in product(
        (50, 51, 52, "x"), ("EUR", "USD", 1), ("a@x", "eve@evil.example", ["a"])
    )
]
TIMES = [0, *map(microseconds, MOMENTS)]


class Outcome(NamedTuple):
    """All of a decision that can be told from outside, but for the names of rules."""

    word: str
    needs: frozenset[Any] = frozenset()
    times: tuple[int, int] = (0, 0)
    counted: frozenset[Any] = frozenset()


def outcome(policy: Policy, decision: Decision) -> Outcome:
    if isinstance(decision, Deny):
        return Outcome("deny")
    allowing = [policy.rules[reason.rule] for reason in decision.reasons if reason.effect == "allow"]
    counts = [
        (rule.id, rule.max_uses) if isinstance(rule, ExceptionRule) else (rule.id, None) for rule in allowing
    ]
    counted = frozenset(counts) if all(most for _, most in counts) else frozenset()
    if not isinstance(decision, Ask):
        return Outcome("allow", counted=counted)
    needs = frozenset(
        (need.approvers, policy.members(need.approvers), need.quorum) for need in decision.needs
    )
    return Outcome("ask", needs, (decision.wait_s, decision.use_within_s), counted)


def by_brute_force(policy: Policy, agent: str, tool: Any, taint: Taint) -> list[Outcome]:
    access = access_for(policy, agent, tool, taint.value)
    snapshot = Snapshot(policy, 0)
    return [
        outcome(policy, snapshot.decide(access, lambda a=arguments: a, now_us))  # type: ignore[misc]  # binds early
        for now_us in TIMES
        for arguments in CALLS
    ]


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a policy and the same with some sections changed."""
    before, other = draw(policy_sections()), draw(policy_sections())
    other["groups"] = {"few": ["li@x"], "many": ["li@x", "mo@x"]}
    other["constraints"] = {**before["constraints"], "small": "amount <= 51"}
    kinds = ["allow", "deny", "ask", "exception", "roles", "groups", "constraints"]
    changed = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=2))
    return before, numbered({**before, **{kind: other[kind] for kind in changed}})


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(changes())
def test_a_diff_names_exactly_what_brute_force_finds(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = map(policy_of, pair)
    cells = {(cell.agent, cell.tool, cell.taint): cell for cell in diff(before, after, DECLARED)}
    for agent, tool, taint in product(AGENTS, DECLARED, Taint):
        was, becomes = (by_brute_force(policy, agent, tool, taint) for policy in (before, after))
        cell = cells.pop((agent, tool.name, taint.value), None)
        assert (cell is not None) == (was != becomes), (agent, tool.name, taint)
        if cell is not None:
            assert set(cell.before) == {found.word for found in was}
            assert set(cell.after) == {found.word for found in becomes}
            assert set(_ways(was, becomes)) <= _permitted(cell.direction)
    assert not cells, "a cell outside of the domain"


def _ways(was: list[Outcome], becomes: list[Outcome]) -> list[str]:
    """Return in which directions the word moves, over all calls."""
    ranks = [(STRICTNESS.index(a.word), STRICTNESS.index(b.word)) for a, b in zip(was, becomes, strict=True)]
    return ["tighter" if b > a else "looser" for a, b in ranks if a != b]


def _permitted(direction: Direction) -> set[str]:
    return {"tighter", "looser"} if direction is Direction.OTHER else {direction.value}


@settings(max_examples=40, deadline=None)
@given(policy_sections())
def test_a_policy_does_not_differ_from_itself_however_its_rules_are_named_or_ordered(
    sections: dict[str, Any],
) -> None:
    renamed = {
        **sections,
        **{
            kind: [
                {**rule, "id": f"other-{rule['id']}", "tools": rule["tools"][::-1]} for rule in sections[kind]
            ][::-1]
            for kind in ("allow", "deny", "ask")
        },
    }
    assert diff(policy_of(sections), policy_of(renamed), DECLARED) == []


# --- one change, one answer -------------------------------------------------------------------------------

TOOL = capability("mail.send", Tier.WRITE)
ALLOW = {"id": "a", "to": "ana", "tools": ["*"], "tier": "write"}
ASK = {
    "id": "k",
    "to": "ana",
    "tools": ["*"],
    "approvers": "many",
    "quorum": 2,
    "wait": "2h",
    "use_within": "10m",
}
LIMITED = {
    "id": "e",
    "to": "ana",
    "tools": ["*"],
    "tier": "write",
    "expires": MOMENTS[2],
    "owner": "o@x",
    "reason": "why",
    "approved_by": "li@x",
    "max_uses": 3,
}


def sections(**more: Any) -> dict[str, Any]:
    return {
        "agents": {"ana": {"owner": "o@x"}},
        "groups": {"few": ["li@x", "mo@x"], "many": ["li@x", "mo@x", "no@x"]},
        "constraints": {"small": "amount <= 50"},
        **more,
    }


def change(before: dict[str, Any], after: dict[str, Any]) -> Cell | None:
    """Return how untainted calls of the one tool change."""
    cells = diff(policy_of(sections(**before)), policy_of(sections(**after)), [TOOL])
    return next((cell for cell in cells if cell.taint == "none"), None)


@pytest.mark.parametrize(
    ("before", "after", "words", "direction"),
    [
        ({}, {"allow": [ALLOW]}, "deny → allow", "looser"),
        ({"allow": [ALLOW]}, {}, "allow → deny", "tighter"),
        ({"allow": [ALLOW]}, {"allow": [{**ALLOW, "when": "small"}]}, "allow → allow/deny", "tighter"),
        ({"allow": [ALLOW]}, {"allow": [ALLOW], "ask": [ASK]}, "allow → ask", "tighter"),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "when": "small"}]},
            "ask → allow/ask",
            "looser",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "quorum": 3}]},
            "ask",
            "tighter",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "quorum": 1}]},
            "ask",
            "looser",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "wait": "3h"}]},
            "ask",
            "looser",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "use_within": "9m"}]},
            "ask",
            "tighter",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "wait": "3h", "quorum": 3}]},
            "ask",
            "other",
        ),
        (
            {"allow": [ALLOW], "ask": [ASK]},
            {"allow": [ALLOW], "ask": [{**ASK, "approvers": "few"}]},
            "ask",
            "tighter",
        ),
        (
            {"allow": [{**ALLOW, "when": "small"}]},
            {"allow": [{**ALLOW, "when": "small"}], "constraints": {"small": "amount <= 60"}},
            "allow/deny",
            "other",
        ),
        (
            {"exception": [LIMITED]},
            {"exception": [{**LIMITED, "expires": MOMENTS[3]}]},
            "allow/deny",
            "looser",
        ),
        ({"exception": [LIMITED]}, {"exception": [{**LIMITED, "max_uses": 2}]}, "allow/deny", "tighter"),
        ({"exception": [LIMITED]}, {"exception": [{**LIMITED, "max_uses": None}]}, "allow/deny", "looser"),
        ({"exception": [LIMITED]}, {"allow": [ALLOW]}, "allow/deny → allow", "looser"),
    ],
)
def test_a_change_is_named_with_its_words_and_its_direction(
    before: dict[str, Any], after: dict[str, Any], words: str, direction: str
) -> None:
    cell = change(before, after)
    assert cell is not None
    shown = "/".join(cell.before) + ("" if cell.conditional else " → " + "/".join(cell.after))
    assert (shown, cell.direction) == (words, direction)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"allow": [ALLOW]}, {"allow": [ALLOW, {**ALLOW, "id": "b", "when": "small"}]}),
        ({"allow": [ALLOW]}, {"allow": [ALLOW], "exception": [LIMITED]}),
        ({}, {"ask": [ASK]}),
        (
            {"deny": [{**ALLOW, "id": "d"}]},
            {"deny": [{**ALLOW, "id": "d", "reason": "other words"}], "allow": [ALLOW]},
        ),
        ({"allow": [ALLOW]}, {"allow": [ALLOW], "constraints": {"small": "amount <= 51"}}),
        ({"exception": [LIMITED]}, {"exception": [{**LIMITED, "owner": "p@x", "reason": "because"}]}),
    ],
)
def test_what_makes_no_difference_is_not_named(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert change(before, after) is None


def test_an_agent_that_comes_goes_or_changes_roles_is_named() -> None:
    allow = [{**ALLOW, "to": "clerk"}]
    other = {"owner": "o@x", "roles": ["clerk"]}
    without = policy_of(sections(agents={"bo": other}, allow=allow))
    with_ana = policy_of(sections(agents={"bo": other, "ana": other}, allow=allow))
    roleless = policy_of(sections(agents={"bo": other, "ana": {"owner": "o@x"}}, allow=allow))
    assert [cell.line for cell in diff(without, with_ana, [TOOL])] == [
        "ana calls mail.send (taint none): deny → allow (looser; +a)"
    ]
    assert [cell.line for cell in diff(with_ana, roleless, [TOOL])] == [
        "ana calls mail.send (taint none): allow → deny (tighter; -a)"
    ]


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ({}, {"tools": {"mail.send": {"sinks": {"to": "dest"}}}}, ["tools.mail.send.sinks"]),
        ({}, {"tools": {"mail.send": {"sources": {}}}}, ["tools.mail.send.sources"]),
        ({"tools": {"mail.send": {"withhold": ["body"]}}}, {}, ["tools.mail.send.withhold"]),
        (
            {"tools": {"mail.send": {"sources": {"*": "untrusted"}}}},
            {"tools": {"mail.send": {"sources": {"*": "authority"}}}},
            ["tools.mail.send.sources"],
        ),
        ({"plans": {"p": ["mail.*"]}}, {"plans": {"p": ["*"]}}, ["plans.p"]),
        ({"plans": {"p": ["a.b", "c.d"]}}, {"plans": {"p": ["c.d", "a.b"]}}, []),
        ({}, {"preset": {"name": "strict", "approvers": "few", "identities": True}}, ["preset.identities"]),
        ({"tools": {"mail.send": {}}}, {"allow": [ALLOW]}, []),
    ],
)
def test_what_decides_how_a_call_comes_to_its_taint_is_named_by_its_key(
    before: dict[str, Any], after: dict[str, Any], keys: list[str]
) -> None:
    found = relabelled(policy_of(sections(**before)), policy_of(sections(**after)))
    assert found == keys
    assert direction_of([], found) is (Direction.OTHER if keys else Direction.SAME)


def test_the_direction_of_many_cells_is_other_unless_all_agree() -> None:
    empty, full = policy_of(sections()), policy_of(sections(allow=[ALLOW]))
    assert direction_of(diff(empty, full, [TOOL])) is Direction.LOOSER
    assert direction_of(diff(full, empty, [TOOL])) is Direction.TIGHTER
    assert direction_of([]) is Direction.SAME
    assert direction_of([*diff(empty, full, [TOOL]), *diff(full, empty, [TOOL])]) is Direction.OTHER


def test_too_many_cases_to_go_through_are_told_as_other_and_never_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meaning, "MOST_CASES", 2)
    diffs._change.cache_clear()
    cell = change({"allow": [{**ALLOW, "when": "small"}]}, {"allow": [ALLOW]})
    diffs._change.cache_clear()
    assert cell is not None
    assert (cell.before, cell.after, cell.direction) == (("allow", "deny"), ("allow",), Direction.OTHER)


def test_one_changed_rule_among_a_thousand_is_found_by_looking_only_at_what_it_reaches() -> None:
    agents = {f"agent-{n}": {"owner": "o@x", "roles": [f"role-{n % 10}"]} for n in range(100)}
    rules = [
        {"id": f"r{n}", "to": f"agent-{n % 100}", "tools": [f"t{n % 71}.*"], "taint": "sink"}
        for n in range(1000)
    ]
    tools = tuple(capability(f"t{n}.do{m}") for n in range(71) for m in range(3))
    before = policy_of(sections(agents=agents, allow=rules))
    after = policy_of(sections(agents=agents, allow=[*rules[:-1], {**rules[-1], "taint": "none"}]))
    cells = diff(before, after, tools)
    assert {(cell.agent, cell.tool.partition(".")[0]) for cell in cells} == {("agent-99", "t5")}
    assert len(cells) == 3 * 3
    assert direction_of(cells) is Direction.TIGHTER
    looked_at = list(diffs._to_look_at(diffs._Side(before), diffs._Side(after), tools))
    assert len(looked_at) == 3 * len(Taint), "of 85,200"
