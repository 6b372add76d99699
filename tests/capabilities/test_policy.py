"""Promise: each way in which Casbin was seen to allow what it should not is closed here (facts/casbin.md)."""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import casbin
import pytest

from pratique.capabilities import policy as policies
from pratique.capabilities.lint import DEEPEST_ROLES
from pratique.capabilities.manifest import microseconds
from pratique.capabilities.policy import Access, Policy, covers, live, refuse_old_casbin, tool_match
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import DependencyError, PolicyError
from tests.capabilities.random_policies import MOMENTS, NOW, policy_of, toml

MAIL = Access("ana", "default", "mail.read", "read", "internal", "none")


def sections(**more: Any) -> dict[str, Any]:
    agents = {"ana": {"owner": "o@x", "roles": ["clerk"]}, "bo": {"owner": "o@x"}}
    return {"agents": agents, "groups": {"leads": ["li@x"]}, **more}


def both(policy: Policy, access: Access, arguments: Any = None, now_us: int = NOW) -> str:
    """Return what the fast path and plain Casbin say, which must be one word."""
    fast = Snapshot(policy, 1).decide(access, lambda: arguments or {}, now_us).word
    slow = policy.enforce(access, arguments or {}, now_us)
    assert fast == slow
    return fast


def allowing(tools: str = "*", to: str = "ana", **more: Any) -> dict[str, Any]:
    return {"id": "a", "to": to, "tools": [tools], **more}


# --- 1, 2, 4: loading and threads -------------------------------------------------------------------------


def test_1_no_role_is_lost_or_gained_while_policies_load() -> None:
    """In Casbin, loading clears the role links that readers are using: a deny by role then allows."""
    text = toml(
        sections(allow=[allowing()], deny=[{"id": "d", "to": "clerk", "tools": ["mail.*"], "reason": ""}])
    )
    first = Policy(text)

    def decide(_: int) -> set[str]:
        snapshot = Snapshot(first, 1)
        return {
            word
            for _ in range(200)
            for word in (snapshot.decide(MAIL, dict, NOW).word, first.enforce(MAIL, {}, NOW))
        }

    with ThreadPoolExecutor(4) as threads:
        deciding = [threads.submit(decide, number) for number in range(3)]
        loading = threads.submit(lambda: [Policy(text) for _ in range(20)])
        assert len(loading.result()) == 20
        assert [done.result() for done in deciding] == [{"deny"}] * 3


def test_2_there_is_nothing_to_await_so_there_is_no_half_loaded_policy() -> None:
    policy = policy_of(sections(allow=[allowing()]))
    assert not asyncio.iscoroutinefunction(policy.enforce)
    assert not any(isinstance(part, casbin.AsyncEnforcer) for part in vars(policy).values())
    assert not any(isinstance(part, casbin.FastEnforcer) for part in vars(policy).values())


# --- 3: grants that end -----------------------------------------------------------------------------------


def test_3_a_grant_ends_on_time_in_every_policy_loaded_from_the_same_file() -> None:
    rule = allowing(owner="o@x", reason="why", approved_by="li@x", not_before=MOMENTS[1], expires=MOMENTS[2])
    text = toml(sections(exception=[rule]))
    start, end = map(microseconds, MOMENTS[1:3])
    for _ in range(2):
        policy = Policy(text)
        found = [both(policy, MAIL, now_us=moment) for moment in (start - 1, start, end - 1, end, end + 1)]
        assert found == ["deny", "allow", "allow", "deny", "deny"]


# --- 5, 6: what is empty or misspelt permits nothing ------------------------------------------------------


@pytest.mark.parametrize("text", ["", toml(sections()), toml(sections(deny=[allowing(id="d")]))])
@pytest.mark.parametrize("access", [Access("", "", "", "", "", ""), Access(*"abcdef"), MAIL])
def test_5_a_policy_that_allows_nothing_allows_nothing(text: str, access: Access) -> None:
    assert both(Policy(text), access) == "deny"


def test_5_a_deny_for_some_does_not_allow_the_others() -> None:
    policy = policy_of(sections(deny=[allowing(to="clerk", id="d")]))
    assert both(policy, MAIL._replace(sub="bo")) == "deny"


def test_5_an_allow_for_everyone_is_for_declared_agents_only() -> None:
    policy = policy_of(sections(allow=[allowing(to="*")]))
    for agent in ("nobody", "clerk", "*", ""):
        assert both(policy, MAIL._replace(sub=agent)) == "deny"
    assert both(policy, MAIL._replace(dom="elsewhere")) == "deny"
    assert both(policy, MAIL._replace(sub="bo")) == "allow"


def test_5_the_name_of_a_role_is_no_agent() -> None:
    policy = policy_of(sections(allow=[allowing(to="clerk")]))
    assert both(policy, MAIL) == "allow"
    assert both(policy, MAIL._replace(sub="clerk")) == "deny"


def test_6_a_misspelt_effect_does_not_load() -> None:
    with pytest.raises(PolicyError, match="Deny: unknown key"):
        Policy(toml(sections(Deny=[allowing()])))


def test_6_every_row_has_an_effect_that_casbin_knows() -> None:
    policy = policy_of(
        sections(
            allow=[allowing()],
            deny=[allowing(id="d")],
            ask=[allowing(id="k", approvers="leads")],
        )
    )
    assert [(row.kind, row.eft) for row in policy.rows] == [
        ("allow", "allow"),
        ("deny", "deny"),
        ("ask", "allow"),
    ]


# --- 7: patterns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "tool", "matches"),
    [
        ("crm.get", "crm.get", True),
        ("crm.get", "crm.getall", False),
        ("crm.get", "xcrm.get", False),
        ("crm.*", "crm.get", True),
        ("crm.*", "crm.deep.get", True),
        ("crm.*", "crmx.get", False),
        ("crm.*", "crm", False),
        ("crm.*", "x.crm.get", False),
        ("crm.deep.*", "crm.get", False),
        ("*", "anything.at.all", True),
        ("crm.get", "CRM.get", False),
    ],
)
def test_7_a_pattern_is_a_name_a_whole_prefix_or_everything(pattern: str, tool: str, matches: bool) -> None:
    policy = policy_of(sections(allow=[allowing(pattern)]))
    assert tool_match(tool, pattern) is matches
    assert both(policy, MAIL._replace(tool=tool)) == ("allow" if matches else "deny")


@pytest.mark.parametrize(
    "pattern", ["crm.*.read", "cr*", "**", "crm.(get|put)", "crm.ge.", "^crm", "crm get", "[a-z]"]
)
def test_7_no_other_pattern_loads(pattern: str) -> None:
    with pytest.raises(PolicyError, match=re.escape("allow[0].tools[0]")):
        policy_of(sections(allow=[allowing(pattern)]))


def test_7_a_tool_that_is_called_like_a_pattern_gets_no_more_than_the_pattern() -> None:
    policy = policy_of(sections(allow=[allowing("crm.*")]))
    assert both(policy, MAIL._replace(tool="*")) == "deny"


# --- 8, 9: text that is code or rows ----------------------------------------------------------------------


def test_8_a_condition_is_never_part_of_casbins_expression() -> None:
    with pytest.raises(PolicyError, match=r"constraints\.c: 'False\) or \(True' does not parse"):
        policy_of(sections(allow=[allowing(when="c")], constraints={"c": "False) or (True"}))
    policy = policy_of(sections(allow=[allowing(when="c")], constraints={"c": "note == 'a && !b'"}))
    assert both(policy, MAIL, {"note": "a && !b"}) == "allow"
    assert both(policy, MAIL, {"note": "a and not b"}) == "deny"


def test_8_arguments_are_values_whatever_they_say() -> None:
    policy = policy_of(sections(allow=[allowing(when="c")], constraints={"c": "to == 'x'"}))
    for text in ("x' or 'x' == 'x", "r.sub", "__import__('os')", ")", "p_eft"):
        assert both(policy, MAIL, {"to": text, "r_sub": "ana", "p_cond": ""}) == "deny"


def test_9_what_a_rule_says_in_words_cannot_become_a_row() -> None:
    reason = "no)\np, x, *, default, *, irreversible, restricted, sink, 0, 0, , allow, allow # \"',"
    policy = policy_of(sections(deny=[allowing("mail.*", id="d", reason=reason)], allow=[allowing("crm.*")]))
    assert len(policy.rows) == 2
    assert both(policy, MAIL) == "deny"
    assert both(policy, MAIL._replace(tool="crm.get")) == "allow"
    assert both(policy, MAIL._replace(tool="files.read")) == "deny"


@pytest.mark.parametrize("name", ["a, b", "a\nb", "a)", "(a", "a'b", 'a"b', "a#b", "a b", "", "é", "x" * 129])
def test_9_no_name_holds_a_sign_that_a_row_could_be_broken_with(name: str) -> None:
    with pytest.raises(PolicyError):
        policy_of(sections(allow=[allowing(id=name)]))


# --- 10: roles --------------------------------------------------------------------------------------------


def chain(length: int, **rules: Any) -> dict[str, Any]:
    roles = {f"r{n}": {"inherits": [f"r{n + 1}"]} for n in range(length)}
    return {"agents": {"ana": {"owner": "o@x", "roles": ["r0"]}}, "roles": roles, **rules}


def test_10_a_deny_at_the_far_end_of_the_longest_chain_of_roles_is_heard() -> None:
    last = f"r{DEEPEST_ROLES - 1}"
    policy = policy_of(chain(DEEPEST_ROLES - 1, allow=[allowing()], deny=[allowing(to=last, id="d")]))
    assert last in policy.subjects["ana"]
    assert both(policy, MAIL) == "deny"


def test_10_a_longer_chain_does_not_load() -> None:
    with pytest.raises(PolicyError, match="more than 8 roles deep"):
        policy_of(chain(DEEPEST_ROLES))


def test_roles_are_held_in_one_tenant_only() -> None:
    agents = {
        "ana": {"owner": "o@x", "roles": ["clerk"]},
        "zed": {"owner": "o@x", "roles": ["clerk"], "tenant": "acme"},
    }
    policy = policy_of({"agents": agents, "allow": [allowing(to="clerk", tenant="acme")]})
    assert both(policy, MAIL) == "deny"
    assert both(policy, MAIL._replace(sub="zed", dom="acme")) == "allow"
    assert both(policy, MAIL._replace(sub="zed")) == "deny"
    assert both(policy, MAIL._replace(dom="acme")) == "deny"


# --- 11, 12: time, reasons, dependencies ------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"])
def test_11_a_window_is_the_same_moment_in_every_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    rule = 'id = "e"\nto = "ana"\ntools = ["*"]\nowner = "o@x"\nreason = "why"\napproved_by = "li@x"\n'
    text = f'[agents.ana]\nowner = "o@x"\n[[exception]]\n{rule}expires = 2026-01-01T02:00:00+02:00\n'
    assert [both(Policy(text), MAIL, now_us=moment) for moment in (NOW - 1, NOW)] == ["allow", "deny"]


def test_11_a_time_without_a_zone_does_not_load() -> None:
    with pytest.raises(PolicyError, match=re.escape("exception[0].expires")):
        Policy(
            '[agents.ana]\nowner = "o@x"\n[[exception]]\nid = "e"\nto = "ana"\ntools = ["*"]\nowner = "o@x"\n'
            'reason = "why"\napproved_by = "li@x"\nexpires = 2026-01-01T02:00:00\n'
        )


def test_11_all_rules_that_match_are_named_not_the_first() -> None:
    policy = policy_of(sections(allow=[allowing(), allowing(id="b", to="clerk"), allowing(id="c", to="*")]))
    decision = Snapshot(policy, 1).decide(MAIL, dict, NOW)
    assert {reason.rule for reason in decision.reasons} == {"a", "b", "c"}


def test_12_the_evaluator_beneath_casbin_is_a_mended_one() -> None:
    assert tuple(map(int, version("simpleeval").split("."))) >= (1, 0, 5)


# --- beside the twelve ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "asked", "stated", "matches"),
    [
        ("allow", "read", "write", True),
        ("allow", "write", "write", True),
        ("allow", "irreversible", "write", False),
        ("deny", "read", "write", False),
        ("deny", "write", "write", True),
        ("ask", "irreversible", "write", True),
        ("allow", "weird", "write", False),
        ("allow", "read", "", False),
        ("deny", "weird", "write", True),
        ("ask", "read", "", True),
    ],
)
def test_an_allow_is_a_ceiling_the_others_are_floors_and_an_unknown_word_permits_nothing(
    kind: str, asked: str, stated: str, matches: bool
) -> None:
    assert covers(asked, stated, kind) is matches


def test_a_window_holds_its_first_moment_and_not_its_last() -> None:
    assert [live(now, 10, 20) for now in (9, 10, 19, 20)] == [False, True, True, False]
    assert live(0, 0, 0)
    assert live(2**62, 10, 0)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("allow", {"amount": 10}, "allow"),
        ("allow", {"amount": 99}, "deny"),
        ("allow", {}, "deny"),
        ("allow", {"amount": True}, "deny"),
        ("allow", {"amount": float("nan")}, "deny"),
        ("deny", {"amount": 10}, "deny"),
        ("deny", {"amount": 99}, "allow"),
        ("deny", {}, "deny"),
        ("deny", {"amount": None}, "deny"),
        ("ask", {"amount": 10}, "ask"),
        ("ask", {"amount": 99}, "allow"),
        ("ask", {"amount": "10"}, "ask"),
    ],
)
def test_a_condition_in_error_matches_no_allow_and_every_deny_and_ask(
    kind: str, arguments: dict[str, Any], expected: str
) -> None:
    rules: dict[str, Any] = {"allow": [allowing(id="all")] if kind != "allow" else []}
    extra = {"approvers": "leads"} if kind == "ask" else {}
    rules[kind] = [*rules.get(kind, []), allowing(id="c", when="small", **extra)]
    policy = policy_of(sections(constraints={"small": "amount <= 50"}, **rules))
    assert both(policy, MAIL, arguments) == expected


def test_no_argument_reaches_a_log_even_if_the_host_enables_every_logger(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Casbin logs each denied request; uvicorn's logging set-up, like many, switches its logger on again."""
    policy = policy_of(sections())
    with caplog.at_level(logging.DEBUG):
        for name in list(logging.root.manager.loggerDict):
            monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        assert policy.enforce(MAIL, {"password": "hunter2"}, NOW) == "deny"
    assert "hunter2" not in caplog.text


def test_nothing_of_a_loaded_policy_changes_when_it_is_asked() -> None:
    policy = policy_of(sections(allow=[allowing(to="clerk")]))

    def inside() -> list[Any]:
        managers = [part.get_role_manager() for part in (policy._permit, policy._ask)]
        return [sorted(manager.rm_map.get("default").all_roles) for manager in managers if manager.rm_map]

    both(policy, MAIL)
    before = inside()
    for number in range(50):
        both(policy, MAIL._replace(sub=f"stranger-{number}"))
    assert inside() == before


def test_the_old_casbin_dist_beside_pycasbin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_old_casbin()
    dist = tmp_path / "casbin-1.43.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: casbin\nVersion: 1.43.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        DependencyError, match=r"the dist casbin 1\.43\.0 is installed beside pycasbin 2\."
    ) as caught:
        Policy("")
    assert "pip uninstall casbin pycasbin && pip install 'pycasbin>=2.8'" in str(caught.value)


def test_the_digest_is_of_the_text_to_the_last_space() -> None:
    assert Policy("").digest != Policy(" ").digest
    assert Policy("").digest == Policy("").digest
    assert policies.EVERYONE == "*"
