"""Promise: whatever is wrong with a policy file is told in one line that names the file and the key."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.capabilities.lint import DEEPEST_ROLES, LARGEST_POLICY, read_policy
from pratique.capabilities.manifest import (
    AllowRule,
    AskRule,
    DenyRule,
    ExceptionRule,
    PolicyFile,
    microseconds,
)
from pratique.errors import PolicyError
from pratique.model import Confidentiality, Taint, Tier
from tests.capabilities.random_policies import policy_sections, toml

AGENT = '[agents.ana]\nowner = "o@x"\n'
RULE = 'id = "r"\nto = "ana"\ntools = ["mail.*"]\n'
EXCEPTION = 'expires = 2026-12-01T06:00:00Z\nowner = "o@x"\nreason = "why"\napproved_by = "li@x"\n'
GROUP = '[groups]\nleads = ["li@x"]\n'


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read_policy(text, "policy.toml")
    assert str(caught.value) == "policy.toml: " + "; ".join(caught.value.problems)
    assert all("\n" not in problem for problem in caught.value.problems)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a typo in any key
        ("[agent.ana]\n", "agent: unknown key"),
        (AGENT + "ower = 1\n", "agents.ana.ower: unknown key"),
        (f"{AGENT}[[allows]]\n{RULE}", "allows: unknown key"),
        (f"{AGENT}[[Deny]]\n{RULE}", "Deny: unknown key"),
        (f"{AGENT}[[allow]]\n{RULE}teir = 'read'\n", "allow[0].teir: unknown key"),
        (f"{AGENT}[[allow]]\n{RULE}expires = 2026-12-01T06:00:00Z\n", "allow[0].expires: unknown key"),
        (f"{AGENT}[[deny]]\n{RULE}quorum = 1\n", "deny[0].quorum: unknown key"),
        (f"{AGENT}[[exception]]\n{RULE}{EXCEPTION}max_use = 1\n", "exception[0].max_use: unknown key"),
        (
            f"{AGENT}[[test]]\nagent='ana'\ntool='a.b'\nexpect='deny'\narg = {{}}\n",
            "test[0].arg: unknown key",
        ),
        ("[roles.r]\ninherit = ['s']\n", "roles.r.inherit: unknown key"),
        # a wrong word
        (
            f"{AGENT}[[allow]]\n{RULE}tier = 'raed'\n",
            "allow[0].tier: Input should be 'read', 'egress', 'write' or 'irreversible', got 'raed'",
        ),
        (
            f"{AGENT}[[allow]]\n{RULE}taint = 'Sink'\n",
            "allow[0].taint: Input should be 'none', 'context', 'argument' or 'sink', got 'Sink'",
        ),
        (
            f"{AGENT}[[test]]\nagent='ana'\ntool='a.b'\nexpect='Deny'\n",
            "test[0].expect: Input should be 'allow', 'ask' or 'deny', got 'Deny'",
        ),
        # what must be there
        ("[agents.ana]\nroles = []\n", "agents.ana.owner: missing"),
        (
            f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('expires', '# ')}",
            "exception[0].expires: missing",
        ),
        (f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('owner', '# ')}", "exception[0].owner: missing"),
        (f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('reason', '# ')}", "exception[0].reason: missing"),
        (
            f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('approved_by', '# ')}",
            "exception[0].approved_by: missing",
        ),
        (f"{AGENT}[[ask]]\n{RULE}", "ask[0].approvers: missing"),
        # ids and names
        (f"{AGENT}[[allow]]\n{RULE}[[deny]]\n{RULE}", "r: two rules have this id"),
        (
            f"[[allow]]\n{RULE}",
            "r.to: no agent or role of tenant 'default' is called 'ana'",
        ),
        (
            f"{AGENT}[[allow]]\n{RULE}tenant = 'acme'\n",
            "r.to: no agent or role of tenant 'acme' is called 'ana'",
        ),
        (f"{AGENT}[[allow]]\n{RULE}when = 'small'\n", "r.when: no constraint is called 'small'"),
        (
            f"{AGENT}[[ask]]\n{RULE}approvers = 'leads'\n",
            "r.approvers: no group is called 'leads'; add it under [groups]",
        ),
        (
            "[[test]]\nagent = 'bo'\ntool = 'a.b'\nexpect = 'allow'\n",
            "test[0].agent: no agent is called 'bo'",
        ),
        (
            f"{AGENT}[agents.bo]\nowner='o@x'\nroles=['ana']\n",
            "agents.ana: is also the name of a role that this agent does not hold; rename one",
        ),
        (
            "[agents.ana]\nowner='o@x'\nroles=['ana', 'chief']\n[agents.bo]\nowner='o@x'\nroles=['ana']\n",
            "agents.ana: is also the name of a role that others hold, and they would get its other roles",
        ),
        # roles
        ("[roles.a]\ninherits = ['a']\n", "roles.a: inherits itself"),
        # groups, times, constraints
        (
            f"{AGENT}{GROUP}[[ask]]\n{RULE}approvers = 'leads'\nquorum = 2\n",
            "r.quorum: asks 2 of 'leads', which has 1",
        ),
        (
            f"{AGENT}[[exception]]\n{RULE}{EXCEPTION}not_before = 2026-12-01T06:00:00Z\n",
            "r: not_before is not earlier than expires",
        ),
        (
            f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('2026-12', '1970-01').replace('T06', 'T00')}",
            "r.expires: is not later than 1970",
        ),
        (
            "[constraints]\nsmall = 'amount ** 2 < 5'\n",
            "constraints.small: 'amount ** 2' is not part of the language",
        ),
        (
            "[constraints]\nsmall = 'amount <'\n",
            "constraints.small: 'amount <' does not parse: invalid syntax",
        ),
    ],
)
def test_one_line_names_the_key(text: str, expected: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"{AGENT}[[exception]]\n{RULE}{EXCEPTION.replace('Z', '')}", "exception[0].expires"),
        (f"{AGENT}[[ask]]\n{RULE}approvers='l'\nwait = '0s'\n", "ask[0].wait"),
        (f"{AGENT}[[ask]]\n{RULE}approvers='l'\nwait = '4 hours'\n", "ask[0].wait"),
        (f"{AGENT}[[ask]]\n{RULE}approvers='l'\nuse_within = '9999d'\n", "ask[0].use_within"),
        (f"{AGENT}[[ask]]\n{RULE}approvers='l'\nquorum = 0\n", "ask[0].quorum"),
        (f"{AGENT}[[ask]]\n{RULE}approvers='l'\nquorum = true\n", "ask[0].quorum"),
        (f"{AGENT}[[exception]]\n{RULE}{EXCEPTION}max_uses = 0\n", "exception[0].max_uses"),
        (f"{AGENT}[[allow]]\n{RULE.replace('mail.*', 'crm.*.read')}", "allow[0].tools[0]"),
        (f"{AGENT}[[allow]]\n{RULE.replace('mail.*', 'mail*')}", "allow[0].tools[0]"),
        (f"{AGENT}[[allow]]\n{RULE.replace('mail.*', '.*')}", "allow[0].tools[0]"),
        (f"{AGENT}[[allow]]\n{RULE.replace('mail.*', 'mail.(read|send)')}", "allow[0].tools[0]"),
        (f"{AGENT}[[allow]]\n{RULE.replace('mail.*', '')}", "allow[0].tools[0]"),
        (f"{AGENT}[[allow]]\nid = 'r'\nto = 'ana'\ntools = []\n", "allow[0].tools"),
        (f"{AGENT}[[allow]]\nid = 'r'\nto = 'ana'\ntools = 'mail.*'\n", "allow[0].tools"),
        (f'{AGENT}[[allow]]\nid = "a\\nb"\nto = "ana"\ntools = ["*"]\n', "allow[0].id"),
        (f'{AGENT}[[allow]]\nid = "a, b"\nto = "ana"\ntools = ["*"]\n', "allow[0].id"),
        (f'{AGENT}[[allow]]\nid = "r"\nto = ""\ntools = ["*"]\n', "allow[0].to"),
        ("[agents.'']\nowner = 'o@x'\n", "agents"),
        ("[agents.'a b']\nowner = 'o@x'\n", "agents.a b"),
        ("[agents.ana]\nowner = ''\n", "agents.ana.owner"),
        ("[agents]\nana = 1\n", "agents.ana"),
        ("allow = 1\n", "allow"),
        ("[constraints]\nsmall = 5\n", "constraints.small"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_key(text: str, key: str) -> None:
    assert any(line.startswith(key) for line in problems(text))


def test_every_problem_is_told_at_once() -> None:
    found = problems(f"[[allow]]\n{RULE}when = 'x'\n[[deny]]\n{RULE}[constraints]\ny = '1 +'\n")
    assert len(found) == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[agents.ana\n", "(at line 1, column 12)"),
        ("a = 1\na = 2\n", "Cannot overwrite a value (at line 2, column 6)"),
        ("a = 'x\n'", "(at line 1, column 7)"),
        ("\n\n= 1", "(at line 3, column 1)"),
    ],
)
def test_a_slip_in_the_toml_is_told_with_line_and_column(text: str, says: str) -> None:
    assert says in problems(text)[0]


def test_a_huge_file_is_refused_unread() -> None:
    assert problems("#" * (LARGEST_POLICY + 1)) == [f"larger than {LARGEST_POLICY} characters"]


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "{a=" * 100_000, "a = " + "9" * 5000])
def test_a_file_made_to_exhaust_the_parser_is_a_problem_not_a_crash(text: str) -> None:
    assert len(problems(text)) == 1


def test_a_chain_of_roles_that_casbin_would_cut_does_not_load() -> None:
    names = [f"r{number}" for number in range(DEEPEST_ROLES + 2)]
    links = dict(pairwise(names))

    def chain(most: int) -> str:
        return "".join(f"[roles.{name}]\ninherits = ['{links[name]}']\n" for name in names[:most])

    assert len(read_policy(chain(DEEPEST_ROLES - 1)).roles) == DEEPEST_ROLES - 1
    assert problems(chain(DEEPEST_ROLES)) == [
        f"roles.r0: more than {DEEPEST_ROLES} roles deep; Casbin ignores what is further up"
    ]


def test_a_cycle_of_roles_names_each_of_them() -> None:
    found = problems("[roles.a]\ninherits=['b']\n[roles.b]\ninherits=['c']\n[roles.c]\ninherits=['a']\n")
    assert found == [f"roles.{name}: inherits itself" for name in "abc"]


def test_many_ways_up_to_the_same_role_are_looked_at_once() -> None:
    """Eight levels of forty roles have 40^8 paths; going up each of them would never end."""
    lines = []
    for level in range(DEEPEST_ROLES - 1):
        up = ", ".join(f"'r{level + 1}-{place}'" for place in range(40))
        lines += [f"[roles.r{level}-{place}]\ninherits = [{up}]" for place in range(40)]
    assert len(read_policy("\n".join(lines)).roles) == len(lines)


def test_an_agent_may_share_the_name_of_a_role_that_gives_nothing_else_away() -> None:
    shared = "[agents.ana]\nowner='o@x'\nroles=['ana']\n[agents.bo]\nowner='o@x'\nroles=['ana', 'chief']\n"
    assert read_policy(shared).agents.keys() == {"ana", "bo"}


def test_what_a_rule_leaves_out_takes_the_strictest_meaning() -> None:
    deny, ask, exception = (RULE.replace("r", other, 1) for other in "dae")
    found = read_policy(
        f"{AGENT}{GROUP}[[allow]]\n{RULE}[[deny]]\n{deny}[[ask]]\n{ask}approvers = 'leads'\n"
        f"[[exception]]\n{exception}{EXCEPTION}"
    )
    for ceiling in (found.allow[0], found.exception[0]):
        assert (ceiling.tier, ceiling.confidentiality, ceiling.taint) == (
            Tier.READ,
            Confidentiality.INTERNAL,
            Taint.NONE,
        )
    for floor in (found.deny[0], found.ask[0]):
        assert (floor.tier, floor.confidentiality, floor.taint) == (
            Tier.READ,
            Confidentiality.PUBLIC,
            Taint.NONE,
        )
    assert (found.ask[0].quorum, found.ask[0].wait, found.ask[0].use_within) == (
        1,
        timedelta(hours=4),
        timedelta(minutes=15),
    )


def test_no_rule_has_a_field_that_its_kind_does_not_read() -> None:
    """A deny with an expiry would silently end; only an exception ends, and only it must say when."""
    for kind in (AllowRule, DenyRule, AskRule):
        assert not {"expires", "not_before"} & kind.model_fields.keys()
    assert ExceptionRule.model_fields["expires"].is_required()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("2d", timedelta(days=2)),
        ("PT1H30M", timedelta(minutes=90)),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, meant: timedelta) -> None:
    found = read_policy(f"{AGENT}{GROUP}[[ask]]\n{RULE}approvers = 'leads'\nwait = '{text}'\n")
    assert found.ask[0].wait == meant


def test_a_moment_counts_from_the_epoch_in_any_zone() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert microseconds(moment) == microseconds(datetime(2026, 1, 1, tzinfo=UTC)) == 1_767_225_600_000_000
    assert microseconds(None) == 0


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_policy_error(text: str) -> None:
    try:
        assert isinstance(read_policy(text), PolicyFile)
    except PolicyError as problem:
        assert problem.problems  # noqa: PT017  # both outcomes are right


@settings(max_examples=60, deadline=None)
@given(policy_sections(), st.data())
def test_a_letter_changed_in_any_key_of_a_rule_is_found(
    sections: dict[str, Any], data: st.DataObject
) -> None:
    kinds = [kind for kind in ("allow", "deny", "ask", "exception") if sections[kind]]
    if not kinds:
        return
    kind = data.draw(st.sampled_from(kinds))
    rule = data.draw(st.sampled_from(sections[kind]))
    key = data.draw(st.sampled_from([key for key, value in rule.items() if value is not None]))
    place = data.draw(st.integers(0, len(key) - 1))
    rule[key[:place] + "Q" + key[place + 1 :]] = rule.pop(key)
    with pytest.raises(PolicyError, match="unknown key"):
        read_policy(toml(sections))
