"""Promise: the strictest isolation floor that matches is demanded, and none is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.capabilities.diff import Direction, direction_of, refloored
from pratique.capabilities.isolation import at_least, unmet
from pratique.capabilities.isolation import demanded as demanded_levels
from pratique.capabilities.policy import Access, Policy
from pratique.errors import PolicyError
from pratique.model import Level, Taint, Tier
from tests.capabilities.random_policies import capability

POLICY = """
[agents.support]
owner = "ana@acme.example"
roles = ["desk"]

[agents.other]
owner = "ana@acme.example"

[[isolation]]
id = "code"
tools = ["python.*"]
level = "restricted"

[[isolation]]
id = "desk-code"
to = "desk"
tools = ["python.run", "shell.run"]
level = "jail"

[[isolation]]
id = "tainted"
tools = ["*"]
taint = "argument"
tier = "egress"
level = "container"
"""


def demanded(
    agent: str, tool: str, tier: str = "read", taint: str = "none", tenant: str = "default"
) -> Level:
    return at_least(Policy(POLICY), Access(agent, tenant, tool, tier, "internal", taint))


@pytest.mark.parametrize(
    ("agent", "tool", "tier", "taint", "level"),
    [
        ("other", "python.run", "read", "none", Level.RESTRICTED),
        ("other", "python.eval", "read", "sink", Level.RESTRICTED),
        ("support", "python.run", "read", "none", Level.JAIL),
        ("support", "shell.run", "read", "none", Level.JAIL),
        ("other", "shell.run", "read", "none", Level.INLINE),
        ("support", "python.run", "egress", "context", Level.JAIL),
        ("support", "python.run", "egress", "argument", Level.CONTAINER),
        ("other", "mail.send", "irreversible", "sink", Level.CONTAINER),
        ("other", "mail.read", "read", "sink", Level.INLINE),
        ("stranger", "python.run", "read", "none", Level.RESTRICTED),
        ("other", "mail.send", "no such tier", "no such taint", Level.CONTAINER),
    ],
)
def test_the_strictest_floor_that_matches_is_demanded(
    agent: str, tool: str, tier: str, taint: str, level: Level
) -> None:
    assert demanded(agent, tool, tier, taint) is level


def test_a_floor_is_for_its_tenant() -> None:
    assert demanded("support", "python.run", tenant="elsewhere") is Level.INLINE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('id = "a"\ntools = ["x.y"]\nlevel = "cage"', "isolation[0].level"),
        ('id = "a"\ntools = ["x.y"]', "isolation[0].level: missing"),
        ('id = "a"\nto = "nobody"\ntools = ["x.y"]\nlevel = "jail"', "a.to: no agent or role"),
        ('id = "a"\ntools = ["x.y"]\nlevel = "jail"\nwhen = "b"', "isolation[0].when: unknown key"),
        (
            (
                'id = "a"\ntools = ["x.y"]\nlevel = "jail"\n'
                '[[isolation]]\nid = "a"\ntools = ["x.z"]\nlevel = "jail"'
            ),
            "a: two rules have this id",
        ),
    ],
)
def test_a_floor_that_cannot_be_read_does_not_load(text: str, problem: str) -> None:
    with pytest.raises(PolicyError) as found:
        Policy(f"[[isolation]]\n{text}")
    assert any(line.startswith(problem) for line in found.value.problems), found.value.problems


TOOLS = [
    capability(name, tier).model_copy(update={"runs_in": level, "hosts": hosts})
    for name, tier, level, hosts in (
        ("desk.look", Tier.READ, Level.INLINE, ()),
        ("desk.pay", Tier.IRREVERSIBLE, Level.INLINE, ()),
        ("python.run", Tier.READ, Level.JAIL, ()),
        ("net.run", Tier.EGRESS, Level.JAIL, ("api.acme.example",)),
        ("image.run", Tier.READ, Level.CONTAINER, ()),
    )
]


def test_floors_that_tools_cannot_be_lifted_to_are_found_beforehand() -> None:
    lines = [f"{found.rule.id} {found.line}" for found in unmet(Policy(POLICY), TOOLS)]
    assert lines == [
        f"tainted demands a container for {what}: every such call would fail"
        for what in (
            "desk.pay (inline, in Pratique's own process)",
            "net.run (with hosts, and a container has no network)",
        )
    ]
    assert not list(unmet(Policy(POLICY), TOOLS[2:3])), "its code can be lifted"
    everywhere = POLICY + '\n[[isolation]]\nid = "all"\ntools = ["*"]\nlevel = "restricted"\n'
    assert "for desk.look, desk.pay (inline" in [found.line for found in unmet(Policy(everywhere), TOOLS)][-1]


def test_levels_beyond_what_tools_declare_are_named_with_who_needs_them() -> None:
    wanted = demanded_levels(Policy(POLICY), TOOLS)
    assert {level: (need.rule.id, need.tool) for level, need in wanted.items()} == {
        Level.CONTAINER: ("tainted", "net.run")
    }
    assert not demanded_levels(Policy(POLICY), TOOLS[:3])


def test_what_a_changed_floor_changes_is_named_cell_by_cell() -> None:
    before, after = Policy(POLICY), Policy(POLICY.replace('level = "jail"', 'level = "container"'))
    changes = refloored(before, after, TOOLS)
    assert {(one.agent, one.tool, one.before, one.after) for one in changes} == {
        ("support", "python.run", Level.JAIL, Level.CONTAINER)
    }
    assert {one.taint for one in changes} == set(Taint)
    assert direction_of(changes) is Direction.TIGHTER
    assert direction_of(refloored(after, before, TOOLS)) is Direction.LOOSER
    assert changes[0].line == (
        "support calls python.run (taint none): at least jail → at least container (tighter)"
    )
    assert refloored(before, before, TOOLS) == []
    assert changes[0].rules_after == ("desk-code",)


@settings(deadline=None)
@given(st.sampled_from(list(Level)[1:]), st.sampled_from(list(Level)[1:]), st.sampled_from(list(Taint)))
def test_one_more_floor_never_lowers_a_level(level: Level, other: Level, taint: Taint) -> None:
    text = '\n[[isolation]]\nid = "{}"\ntools = ["*"]\nlevel = "{}"\ntaint = "{}"\n'
    less = Policy(POLICY + text.format("a", level, "none"))
    more = Policy(POLICY + text.format("a", level, "none") + text.format("b", other, taint))
    assert all(one.direction is Direction.TIGHTER for one in refloored(less, more, TOOLS))
