"""Promise: an explanation names every rule for a tool, and what stands in the way of the others."""

from typing import Any

from hypothesis import given, settings

from pratique.capabilities.explain import explain, hints, who_can
from pratique.capabilities.manifest import microseconds
from pratique.capabilities.policy import Access, Policy, tool_match
from pratique.capabilities.selftest import TestResult, access_for
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Confidentiality, Taint, Tier
from tests.capabilities.random_policies import (
    AGENTS,
    AMOUNTS,
    CURRENCIES,
    MOMENTS,
    NOW,
    RECIPIENTS,
    TIMES,
    TOOLS,
    Question,
    capability,
    policies,
    policy_of,
    questions,
)

DECLARED = [
    capability(name, tier, confidentiality)
    for name, tier, confidentiality in zip(
        TOOLS,
        [Tier.READ, Tier.IRREVERSIBLE, Tier.READ, Tier.EGRESS, Tier.WRITE],
        [
            Confidentiality.INTERNAL,
            Confidentiality.PUBLIC,
            Confidentiality.RESTRICTED,
            Confidentiality.CONFIDENTIAL,
            Confidentiality.INTERNAL,
        ],
        strict=True,
    )
]

MAIL = Access("ana", "default", "mail.read", "write", "internal", "context")


def sections(**more: Any) -> dict[str, Any]:
    return {
        "agents": {"ana": {"owner": "o@x", "roles": ["clerk"]}, "bo": {"owner": "o@x", "roles": ["chief"]}},
        "groups": {"leads": ["li@x"]},
        "constraints": {"small": "amount <= 50"},
        **more,
    }


def rule(name: str, to: str = "ana", tools: str = "mail.*", **more: Any) -> dict[str, Any]:
    return {"id": name, "to": to, "tools": [tools], **more}


def exception(name: str, **more: Any) -> dict[str, Any]:
    return rule(name, owner="o@x", reason="why", approved_by="li@x", **more)


@settings(max_examples=100, deadline=None)
@given(policies, questions(30))
def test_an_explanation_is_complete_and_agrees_with_the_decision(
    policy: Policy, asked: list[Question]
) -> None:
    snapshot = Snapshot(policy, 5)
    for access, arguments, now_us in asked:
        found = explain(snapshot, access, arguments, now_us)
        decision = snapshot.decide(access, lambda a=arguments: a, now_us)  # type: ignore[misc]  # binds early
        assert (found.word, found.reasons, found.epoch) == (decision.word, decision.reasons, 5)
        matched = {match.rule for match in found.matched}
        nearly = {miss.rule for miss in found.nearly}
        assert matched == {reason.rule for reason in decision.reasons} - {""}
        assert matched | nearly == {
            row.id for row in policy.rows if row.dom == access.dom and tool_match(access.tool, row.tool)
        }
        assert not matched & nearly
        assert all(miss.obstacles for miss in found.nearly)


def obstacles(kind: str, access: Access = MAIL, arguments: Any = None, **more: Any) -> tuple[str, ...]:
    policy = policy_of(sections(**{kind: [more]}))
    (miss,) = explain(Snapshot(policy, 1), access, arguments or {}, NOW).nearly
    return miss.obstacles


def test_every_obstacle_is_named_at_once() -> None:
    assert obstacles("allow", **rule("a", "chief", when="small", confidentiality="public")) == (
        "is for chief, which ana neither is nor holds",
        "tier only up to read, this is write",
        "class only up to public, this is internal",
        "taint only up to none, this is context",
        "small is in error, which does not match (small: there is no argument 'amount')",
    )


def test_floors_are_told_as_floors() -> None:
    assert obstacles("deny", **rule("d", tier="irreversible", taint="sink")) == (
        "tier only from irreversible, this is write",
        "taint only from sink, this is context",
    )


def test_a_condition_that_is_false_is_told_from_one_in_error() -> None:
    reads = MAIL._replace(tier="read", taint="none")
    assert obstacles("allow", reads, {"amount": 51}, **rule("a", when="small")) == ("small is false",)
    assert obstacles("deny", reads, {"amount": 51}, **rule("d", when="small")) == ("small is false",)


def test_a_deny_that_matches_by_an_error_says_so() -> None:
    policy = policy_of(sections(deny=[rule("d", when="small")]))
    (match,) = explain(Snapshot(policy, 1), MAIL, {"amount": "1"}, NOW).matched
    assert match.condition == "small is in error, which matches (small: cannot compare '1' with 50)"


def test_a_window_says_whether_it_is_to_come_or_over() -> None:
    reads = MAIL._replace(tier="read", taint="none")
    to_come = exception("e", not_before=MOMENTS[1], expires=MOMENTS[2])
    assert obstacles("exception", reads, **to_come) == ("not before 2026-01-01 01:00Z",)
    assert obstacles("exception", reads, **exception("e", expires=MOMENTS[0])) == (
        "expired 2026-01-01 00:00Z",
    )


def test_the_nearest_miss_comes_first() -> None:
    policy = policy_of(sections(allow=[rule("far", "chief"), rule("near", tier="write")]))
    found = explain(Snapshot(policy, 1), MAIL, {}, NOW)
    assert [miss.rule for miss in found.nearly] == ["near", "far"]


def test_a_rule_with_two_patterns_is_named_once() -> None:
    policy = policy_of(sections(allow=[{**rule("a"), "tools": ["mail.*", "*", "crm.*"]}]))
    found = explain(Snapshot(policy, 1), MAIL._replace(tier="read", taint="none"), {}, NOW)
    assert [match.rule for match in found.matched] == ["a"]
    assert found.nearly == ()


def test_an_unknown_agent_is_told_before_any_rule() -> None:
    found = obstacles("allow", MAIL._replace(sub="eve", tier="read", taint="none"), **rule("a"))
    assert found == ("the policy knows no agent 'eve' in tenant 'default'",)


# --- who can ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(policies)
def test_who_can_gives_exactly_the_words_that_calls_come_to(policy: Policy) -> None:
    snapshot = Snapshot(policy, 1)
    by_name = {declared.name: declared for declared in DECLARED}
    calls = [
        {"amount": amount, "currency": currency, "to": to}
        for amount in AMOUNTS
        for currency in CURRENCIES
        for to in RECIPIENTS
    ]
    for now_us in TIMES[1:3]:
        found = who_can(policy, DECLARED, "*", now_us)
        assert len(found) == len(AGENTS) * len(DECLARED) * len(Taint)
        for reach in found:
            access = access_for(policy, reach.agent, by_name[reach.tool], reach.taint)
            decisions = [snapshot.decide(access, lambda a=a: a, now_us) for a in calls]  # type: ignore[misc]  # binds early
            assert set(reach.words) == {decision.word for decision in decisions}
            assert list(reach.words) == sorted(reach.words, key=["allow", "ask", "deny"].index)
            if reach.words != ("deny",):
                assert set(reach.rules) == {r.rule for d in decisions for r in d.reasons} - {""}


def test_who_can_takes_a_name_or_a_pattern() -> None:
    policy = policy_of(sections(allow=[rule("a")]))
    assert {reach.tool for reach in who_can(policy, iter(DECLARED), "mail.*", NOW)} == {
        "mail.read",
        "mail.send",
    }
    assert {reach.tool for reach in who_can(policy, DECLARED, "mail.read", NOW)} == {"mail.read"}
    assert who_can(policy, DECLARED, "nothing.here", NOW) == []


def test_where_all_is_denied_only_what_denies_is_named() -> None:
    policy = policy_of(sections(ask=[rule("k", approvers="leads")], deny=[rule("d", "bo")]))
    found = {reach.agent: reach.rules for reach in who_can(policy, DECLARED, "mail.read", NOW)}
    assert found == {"ana": (), "bo": ("d",)}


# --- hints ------------------------------------------------------------------------------------------------


def hinted(policy: Policy, tests: tuple[TestResult, ...] = (), now_us: int = NOW) -> set[str]:
    return {hint.line for hint in hints(policy, DECLARED, tests, now_us)}


def test_hints_name_what_is_idle() -> None:
    policy = policy_of(
        {
            **sections(
                allow=[
                    rule("typo", tools="mial.*"),
                    rule("low", tools="crmx.get"),
                    rule("fine", tools="mail.read"),
                ],
                deny=[rule("high", tools="mail.read", tier="irreversible")],
            ),
        }
    )
    assert hinted(policy) == {
        "typo.tools: 'mial.*' matches no declared tool",
        "low.tools: every tool that 'crmx.get' matches is above its ceilings",
        "high.tools: every tool that 'mail.read' matches is below its floors",
        "constraints.small: no rule uses it",
        "groups.leads: no rule asks it",
        "agents.bo: no rule names it or a role that it holds",
        *(f"{name}: matches in no [[test]]" for name in ("typo", "low", "fine", "high")),
    }


def test_hints_name_exceptions_that_are_over_or_soon_will_be() -> None:
    policy = policy_of(
        {
            "agents": {"ana": {"owner": "o@x"}},
            "exception": [exception("e", tools="mail.read", expires=MOMENTS[1])],
        }
    )
    end, day = microseconds(MOMENTS[1]), 24 * 3600 * 1_000_000
    assert "e.expires: expired 2026-01-01 01:00Z; remove it" in hinted(policy, now_us=end)
    assert "e.expires: ends 2026-01-01 01:00Z; o@x owns it" in hinted(policy, now_us=end - 14 * day)
    assert not any(line.startswith("e.expires") for line in hinted(policy, now_us=end - 15 * day))


def test_without_tools_nothing_is_said_about_tools() -> None:
    policy = policy_of({"agents": {"ana": {"owner": "o@x"}}, "allow": [rule("a")]})
    assert list(hints(policy, [], [], NOW)) == []
