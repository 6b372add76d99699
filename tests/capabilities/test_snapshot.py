"""Promise: the fast decision is Casbin's decision: on any policy, after any change, from any thread."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.capabilities import snapshot as snapshots
from pratique.capabilities.policy import Access, Policy, covers, live, tool_match
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Allow, Ask, Confidentiality, Deny, Need, Taint, Tier
from tests.capabilities.random_policies import (
    AGENTS,
    MOMENTS,
    NOW,
    TOOLS,
    Question,
    Rule,
    numbered,
    policies,
    policy_of,
    policy_sections,
    questions,
    toml,
)

thorough = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}


def fast(snapshot: Snapshot, question: Question) -> str:
    access, arguments, now_us = question
    return snapshot.decide(access, lambda: arguments, now_us).word


@thorough
@given(policies, questions(100))
def test_the_fast_decision_equals_plain_casbins(policy: Policy, asked: list[Question]) -> None:
    snapshot = Snapshot(policy, 1)
    for question in asked:
        reference = policy.enforce(*question)
        assert fast(snapshot, question) == reference
        assert fast(snapshot, question) == reference, "the second time, from the cache"


@thorough
@given(policies, questions(50))
def test_a_decision_names_every_rule_that_matches_and_no_other(policy: Policy, asked: list[Question]) -> None:
    snapshot = Snapshot(policy, 1)
    for access, arguments, now_us in asked:
        matching = {
            row.id
            for row in policy.rows
            if policy.knows(access.sub, access.dom)
            and row.dom == access.dom
            and row.sub in policy.subjects[access.sub]
            and tool_match(access.tool, row.tool)
            and covers(access.tier, row.tier, row.kind)
            and covers(access.label, row.label, row.kind)
            and covers(access.taint, row.taint, row.kind)
            and live(now_us, row.nbf, row.exp)
            and policy.condition_holds(row.cond, arguments, row.kind)
        }
        decision = snapshot.decide(access, lambda a=arguments: a, now_us)  # type: ignore[misc]  # binds early
        assert {reason.rule for reason in decision.reasons} - {""} == matching


@settings(thorough, max_examples=30)
@given(st.lists(policies, min_size=2, max_size=4), questions(30))
def test_no_decision_is_stale_after_a_policy_change(changes: list[Policy], asked: list[Question]) -> None:
    for epoch, policy in enumerate([*changes, *changes]):
        snapshot = Snapshot(policy, epoch)
        for access, arguments, now_us in asked:
            decision = snapshot.decide(access, lambda a=arguments: a, now_us)  # type: ignore[misc]  # binds early
            assert decision.word == policy.enforce(access, arguments, now_us)
            assert (decision.epoch, decision.policy) == (epoch, policy.digest)


@settings(max_examples=5, deadline=None)
@given(
    st.lists(policies, min_size=3, max_size=3, unique_by=lambda policy: policy.digest),
    questions(60),
)
def test_no_decision_is_wrong_while_snapshots_are_swapped_under_threads(
    loaded: list[Policy], asked: list[Question]
) -> None:
    """Each decision must be Casbin's for the epoch that it names, whichever snapshot a thread caught."""
    expected = [[policy.enforce(*question) for question in asked] for policy in loaded]
    current = Snapshot(loaded[0], 0)
    enough = threading.Event()

    def swap() -> None:
        nonlocal current
        for turn in range(300):
            which = turn % len(loaded)
            current = Snapshot(loaded[which], which)
        enough.set()

    def decide() -> int:
        made = 0
        while not enough.is_set() or made < len(asked):
            for place, (access, arguments, now_us) in enumerate(asked):
                decision = current.decide(access, lambda a=arguments: a, now_us)  # type: ignore[misc]  # binds early
                assert decision.word == expected[decision.epoch][place]
                assert decision.policy == loaded[decision.epoch].digest
                made += 1
        return made

    with ThreadPoolExecutor(5) as threads:
        deciding = [threads.submit(decide) for _ in range(4)]
        threads.submit(swap).result()
        assert all(done.result() >= len(asked) for done in deciding)


@settings(max_examples=10, deadline=None)
@given(policies, questions(100))
def test_plain_casbin_answers_the_same_from_many_threads(policy: Policy, asked: list[Question]) -> None:
    expected = [policy.enforce(*question) for question in asked]

    def enforce(_: int) -> list[str]:
        return [policy.enforce(*question) for question in asked]

    with ThreadPoolExecutor(4) as threads:
        assert all(found == expected for found in threads.map(enforce, range(8)))


def test_caches_that_overflow_lose_speed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_CACHED", 2)
    monkeypatch.setattr(snapshots, "MOST_CACHED_PER_KIND", 1)
    policy = policy_of(_sections(allow=[{"to": "ana", "tools": ["*"], "when": "small"}]))
    snapshot = Snapshot(policy, 1)
    for turn in range(20):
        access = Access("ana", "default", TOOLS[turn % len(TOOLS)], "read", "internal", "none")
        arguments = {"amount": 49 + turn % 3}
        assert fast(snapshot, (access, arguments, NOW)) == policy.enforce(access, arguments, NOW)


# --- restrictions only restrict ---------------------------------------------------------------------------

restrictions = st.one_of(
    st.tuples(
        st.sampled_from(["deny", "ask"]),
        st.fixed_dictionaries(
            {"to": st.sampled_from([*AGENTS[:3], "clerk", "*"]), "tools": st.just(["*"])},
            optional={
                "when": st.sampled_from(["small", "euros"]),
                "tier": st.sampled_from(["write", "egress"]),
            },
        ),
    ),
    st.tuples(st.just("remove an allow"), st.integers(0, 5)),
    st.tuples(
        st.just("lower a ceiling"),
        st.tuples(st.integers(0, 5), st.sampled_from(["tier", "confidentiality", "taint"])),
    ),
)

LOWEST = {"tier": "read", "confidentiality": "public", "taint": "none"}


def restricted(sections: dict[str, Any], what: str, detail: Any) -> dict[str, Any]:
    """Return the policy with one more restriction."""
    new = {**sections, **{kind: [dict(rule) for rule in sections[kind]] for kind in ("allow", "deny", "ask")}}
    if what in {"deny", "ask"}:
        extra = {"approvers": "many"} if what == "ask" else {}
        new[what] = [*new[what], {**detail, **extra}]
    elif what == "remove an allow":
        new["allow"] = [rule for place, rule in enumerate(new["allow"]) if place != detail]
    elif detail[0] < len(new["allow"]):
        new["allow"][detail[0]][detail[1]] = LOWEST[detail[1]]
    return numbered(new)


@thorough
@given(policy_sections(), restrictions, questions(50))
def test_a_new_restriction_never_allows_more(
    sections: dict[str, Any], restriction: tuple[str, Any], asked: list[Question]
) -> None:
    before = Snapshot(policy_of(sections), 1)
    after = Snapshot(policy_of(restricted(sections, *restriction)), 2)
    for question in asked:
        assert STRICTNESS[fast(after, question)] >= STRICTNESS[fast(before, question)]


@thorough
@given(policies, questions(50))
def test_a_higher_tier_class_or_taint_is_never_allowed_more(policy: Policy, asked: list[Question]) -> None:
    snapshot = Snapshot(policy, 1)
    for access, arguments, now_us in asked:
        for field, words in (("tier", Tier), ("label", Confidentiality), ("taint", Taint)):
            rising = [access._replace(**{field: word.value}) for word in words]
            found = [STRICTNESS[fast(snapshot, (higher, arguments, now_us))] for higher in rising]
            assert found == sorted(found)


# --- what a decision says ---------------------------------------------------------------------------------


def _sections(**rules: list[Rule]) -> dict[str, Any]:
    return numbered(
        {
            "agents": {"ana": {"owner": "o@x", "roles": ["clerk"]}, "bo": {"owner": "o@x"}},
            "groups": {"few": ["li@x"], "many": ["li@x", "mo@x", "no@x"]},
            "constraints": {"small": "amount <= 50"},
            **{kind: rules.get(kind, []) for kind in ("allow", "deny", "ask", "exception")},
        }
    )


MAIL = Access("ana", "default", "mail.read", "read", "internal", "none")


def decided(access: Access = MAIL, arguments: Any = None, **rules: list[Rule]) -> Allow | Ask | Deny:
    decision = Snapshot(policy_of(_sections(**rules)), 7).decide(access, lambda: arguments or {}, NOW)
    assert isinstance(decision, Allow | Ask | Deny)
    return decision


def test_an_empty_policy_permits_nothing() -> None:
    assert Snapshot(Policy(""), 0).decide(MAIL, dict, NOW).because == "the policy knows no agent 'ana'"


def test_an_agent_without_rules_may_do_nothing() -> None:
    assert isinstance(decided(), Deny)


def test_a_deny_beats_every_allow_and_both_are_named() -> None:
    decision = decided(
        allow=[{"to": "*", "tools": ["*"]}], deny=[{"to": "clerk", "tools": ["mail.*"], "reason": "no"}]
    )
    assert isinstance(decision, Deny)
    assert decision.because == "deny-0 denies: no; allow-0 allows"


def test_an_ask_alone_permits_nothing() -> None:
    decision = decided(ask=[{"to": "*", "tools": ["*"], "approvers": "few"}])
    assert isinstance(decision, Deny)


def test_two_asks_need_both_groups_and_the_shorter_times() -> None:
    decision = decided(
        allow=[{"to": "ana", "tools": ["*"]}],
        ask=[
            {"to": "*", "tools": ["*"], "approvers": "few", "wait": "2h", "use_within": "5m"},
            {"to": "*", "tools": ["*"], "approvers": "many", "quorum": 2, "wait": "1h", "use_within": "15m"},
        ],
    )
    assert isinstance(decision, Ask)
    assert decision.needs == (
        Need(rule="ask-0", approvers="few", quorum=1),
        Need(rule="ask-1", approvers="many", quorum=2),
    )
    assert (decision.wait_s, decision.use_within_s) == (3600, 300)


def test_a_rule_that_matches_by_two_patterns_is_named_once() -> None:
    decision = decided(allow=[{"to": "ana", "tools": ["mail.read", "mail.*", "*"]}])
    assert [reason.rule for reason in decision.reasons] == ["allow-0"]


def test_a_counted_exception_is_drawn_on_only_when_nothing_else_allows() -> None:
    counted = {
        "to": "ana",
        "tools": ["*"],
        "expires": "",
        "owner": "o@x",
        "reason": "why",
        "approved_by": "li@x",
        "max_uses": 3,
    }
    counted["expires"] = MOMENTS[1]
    assert decided(exception=[dict(counted)]).grants == (("exception-0", 3),)
    assert decided(exception=[dict(counted)], allow=[{"to": "ana", "tools": ["*"]}]).grants == ()


def test_a_denial_says_what_came_near_and_why_it_did_not_reach() -> None:
    decision = decided(
        MAIL._replace(tier="write", taint="context"), allow=[{"to": "ana", "tools": ["*"], "when": "small"}]
    )
    assert decision.because == (
        "no rule allows ana to call mail.read (write): allow-0 allows tier only up to read, this is write, "
        "taint only up to none, this is context, when small"
    )


def test_a_denial_names_a_few_near_misses_and_says_when_there_are_others() -> None:
    decision = decided(MAIL._replace(tier="write"), allow=[{"to": "ana", "tools": ["*"]}] * 9)
    assert decision.because.count(" allows ") == 1 + snapshots.MOST_NEAR_MISSES
    assert decision.because.endswith("; and others")
    assert (
        "others"
        not in decided(MAIL._replace(tier="write"), allow=[{"to": "ana", "tools": ["*"]}] * 3).because
    )


def test_a_condition_that_many_rules_share_is_evaluated_once() -> None:
    class Counting(dict[str, Any]):
        looked = 0

        def __getitem__(self, key: str) -> Any:
            Counting.looked += 1
            return super().__getitem__(key)

    rules = [{"to": "ana", "tools": ["mail.*"], "when": "small"}] * 50
    assert isinstance(decided(arguments=Counting(amount=1), allow=[dict(rule) for rule in rules]), Allow)
    assert Counting.looked == 1


def test_the_arguments_are_not_read_when_no_condition_asks() -> None:
    def arguments() -> dict[str, Any]:
        raise AssertionError("nobody asked")

    policy = Policy(toml(_sections(allow=[{"to": "ana", "tools": ["mail.*"]}])))
    assert Snapshot(policy, 1).decide(MAIL, arguments, NOW).word == "allow"
