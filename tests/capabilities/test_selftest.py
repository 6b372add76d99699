"""Promise: a policy's own tests are asked as calls are, and coverage counts rules that matched, not names."""

from typing import Any

from pratique.capabilities.selftest import Declared, coverage, run_tests
from pratique.model import Capability, Confidentiality, Tier
from tests.capabilities.random_policies import MOMENTS, capability, policy_of


class One:
    def __init__(self, declared: Capability) -> None:
        self.capability = declared


class Table(dict[str, One]):
    """Tools by name, as `Registry` has them."""

    def get(self, name: str) -> Declared | None:  # type: ignore[override]  # a table has no default
        return super().get(name)


TOOLS = Table(
    {
        name: One(capability(name, tier, confidentiality))
        for name, tier, confidentiality in (
            ("mail.list", Tier.READ, Confidentiality.INTERNAL),
            ("mail.send", Tier.IRREVERSIBLE, Confidentiality.INTERNAL),
            ("crm.get", Tier.READ, Confidentiality.RESTRICTED),
        )
    }
)


def results(*tests: dict[str, Any], **rules: list[dict[str, Any]]) -> list[str]:
    return [result.got for result in run_tests(_policy(*tests, **rules), TOOLS)]


def _policy(*tests: dict[str, Any], **rules: list[dict[str, Any]]) -> Any:
    return policy_of(
        {
            "agents": {"ana": {"owner": "o@x"}},
            "groups": {"leads": ["li@x"]},
            "constraints": {"small": "amount <= 50"},
            "allow": [{"id": "a", "to": "ana", "tools": ["mail.*"], "tier": "irreversible", "when": "small"}],
            "ask": [{"id": "leads", "to": "*", "tools": ["*"], "tier": "write", "approvers": "leads"}],
            **rules,
            "test": [{"agent": "ana", "tool": "mail.list", "expect": "deny", **test} for test in tests],
        }
    )


def test_tier_and_class_come_from_the_declaration_and_arguments_count() -> None:
    assert results(
        {"args": {"amount": 1}},
        {"args": {"amount": 99}},
        {"args": {}},
        {"args": {"amount": 1}, "tool": "mail.send"},
        {"args": {"amount": 1}, "tool": "crm.get"},
        {"args": {"amount": 1}, "taint": "context"},
    ) == ["allow", "deny", "deny", "ask", "deny", "deny"]


def test_a_tool_that_is_not_declared_is_denied_in_tests_as_in_service() -> None:
    (result,) = run_tests(_policy({"tool": "mail.burn", "args": {"amount": 1}, "expect": "allow"}), TOOLS)
    assert not result.passed
    assert result.line == (
        "test: ana calls mail.burn: expected allow, got deny (there is no tool 'mail.burn')"
    )


def test_an_unknown_agent_and_a_roles_name_are_denied() -> None:
    assert results({"agent": "nobody", "args": {"amount": 1}}) == ["deny"]


def test_a_test_is_asked_for_its_own_moment() -> None:
    exception = {
        "id": "e",
        "to": "ana",
        "tools": ["mail.list"],
        "not_before": MOMENTS[1],
        "expires": MOMENTS[2],
        "owner": "o@x",
        "reason": "why",
        "approved_by": "li@x",
    }
    asked = [{"at": moment} for moment in MOMENTS[:4]]
    assert results(*asked, exception=[exception]) == ["deny", "allow", "deny", "deny"]


def test_coverage_counts_what_matched_and_not_what_is_merely_mentioned() -> None:
    """The rule `a` is named as a near miss, `leads` is the name of a group: neither makes them tested."""
    policy = _policy({"args": {"amount": 99}})
    assert list(coverage(run_tests(policy, TOOLS), policy)) == ["a", "leads"]
    policy = _policy({"args": {"amount": 1}, "expect": "allow"}, {"tool": "mail.send", "expect": "deny"})
    assert list(coverage(run_tests(policy, TOOLS), policy)) == []


def test_the_result_says_whether_the_policy_does_what_it_says() -> None:
    passing, failing = run_tests(_policy({"expect": "deny"}, {"expect": "ask"}), TOOLS)
    assert passing.passed
    assert not failing.passed
    assert failing.line.startswith("test: ana calls mail.list: expected ask, got deny (no rule allows ana")
