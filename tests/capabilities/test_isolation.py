"""Promise: the strictest isolation floor that matches is demanded, and none is none."""

import pytest

from pratique.capabilities.isolation import at_least
from pratique.capabilities.policy import Access, Policy
from pratique.errors import PolicyError
from pratique.model import Level

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
