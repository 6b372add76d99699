"""The two presets: which calls each of them stops, and that people can see which rule it was."""

from typing import Any

import pytest
from typer.testing import CliRunner

from pratique.capabilities.policy import Policy
from pratique.cli import app
from pratique.errors import PolicyError
from pratique.model import Status
from pratique.tools.declaration import Tool
from tests.house import House, opened
from tests.outside import BOLT, EVERYTHING, OPEN, REQUEST, THIEF, Border, preset


@pytest.fixture
def tools() -> list[Tool]:
    return Border().tools()


WORD = {Status.DONE: "runs", Status.PENDING: "asks"}
CLEAN_PAYMENT = ("bank.pay", {"account": "Bolt Ltd", "amount": 18.5})
TAINTED_PAYMENT = ("bank.pay", {"account": THIEF, "amount": 18.5})
GUESSED_PAYMENT = ("bank.pay", {"account": BOLT, "amount": 18.5})
PAGE = ("web.get", {"url": "https://evil.example/"})
READ = ("post.find", {"text": THIEF})
REPLY = ("post.send", {"to": ["eve@evil.example"], "body": "Done."})


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("strict", "asks asks asks runs runs", "asks asks asks runs asks"),
        ("provenance", "runs runs runs runs runs", "runs asks asks runs asks"),
    ],
)
async def test_what_a_preset_asks_before_and_after_a_stranger_was_read(
    empty_house: House, tools: list[Tool], name: str, before: str, after: str
) -> None:
    """A clean payment, a tainted one, one to an account the model made up, a read, a page from outside."""
    empty_house.apply(preset(name))
    runtime = empty_house.runtime(tools=tools)
    session = await opened(runtime, request=REQUEST)

    async def asked() -> str:
        calls = (CLEAN_PAYMENT, TAINTED_PAYMENT, GUESSED_PAYMENT, READ, PAGE)
        return " ".join([WORD[(await session.call(tool, args)).status] for tool, args in calls])

    assert await asked() == before
    await session.call("post.read", {"mail": "7"})
    assert await asked() == after


@pytest.mark.parametrize(
    ("name", "rule"), [("strict", "preset-strict-write"), ("provenance", "preset-provenance")]
)
async def test_the_question_names_the_row_of_the_preset(
    empty_house: House, tools: list[Tool], name: str, rule: str
) -> None:
    empty_house.apply(preset(name))
    runtime = empty_house.runtime(tools=tools)
    session = await opened(runtime, request=REQUEST)
    await session.call("post.read", {"mail": "7"})
    pending = await session.call(*TAINTED_PAYMENT)
    assert rule in {reason.rule for reason in pending.reasons}
    assert runtime.queue.look(pending.ticket).needs[0].rule == rule


async def test_a_participant_of_a_named_record_is_a_destination_only_where_the_host_says_so(
    empty_house: House, tools: list[Tool]
) -> None:
    """ "Reply to me" makes whoever wrote the message a valid destination: that is opt-in."""
    asked = []
    for more in ("", "identities = true"):
        empty_house.apply(preset("provenance", more))
        session = await opened(empty_house.runtime(tools=tools), request="Answer mail 7, please")
        await session.call("post.read", {"mail": "7"})
        asked.append((await session.call(*REPLY)).status)
    assert asked == [Status.PENDING, Status.DONE]


async def test_a_preset_holds_in_every_tenant(empty_house: House, tools: list[Tool]) -> None:
    elsewhere = preset("provenance").replace("[agents.support]", '[agents.support]\ntenant = "blue"')
    empty_house.apply(elsewhere.replace('to = "*"\n', 'to = "*"\ntenant = "blue"\n', 1))
    session = await opened(empty_house.runtime(tools=tools), request=REQUEST)
    await session.call("post.read", {"mail": "7"})
    pending = await session.call(*TAINTED_PAYMENT)
    assert pending.status is Status.PENDING
    assert "preset-provenance-blue" in {reason.rule for reason in pending.reasons}


def test_a_preset_is_rows_like_any_other() -> None:
    rows = [row for row in Policy(preset("strict")).rows if row.id.startswith("preset-")]
    assert [(row.id, row.kind, row.tier, row.taint) for row in rows] == [
        ("preset-strict-write", "ask", "write", "none"),
        ("preset-strict-egress", "ask", "egress", "context"),
    ]
    [row] = [row for row in Policy(preset("provenance")).rows if row.id.startswith("preset-")]
    assert (row.id, row.kind, row.tier, row.taint) == ("preset-provenance", "ask", "egress", "sink")


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('name = "lenient"\napprovers = "leads"', "preset.name"),
        ('name = "strict"', "preset.approvers: missing"),
        ('name = "strict"\napprovers = "nobody"', "no group is called 'nobody'"),
        ('name = "strict"\napprovers = "leads"\nquorum = 4', "asks 4 of 'leads', which has 3"),
    ],
)
def test_a_preset_that_cannot_ask_anybody_does_not_load(section: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        Policy(f"{OPEN}\n[preset]\n{section}\n")


def test_an_own_rule_may_not_take_a_presets_name() -> None:
    own = EVERYTHING.replace('id = "all"', 'id = "preset-provenance"')
    with pytest.raises(PolicyError, match="preset-provenance: two rules have this id"):
        Policy(preset("provenance") + own)


def test_the_rows_of_a_preset_are_explained_by_name(tmp_path: Any) -> None:
    (tmp_path / "pratique.toml").write_text('tools = ["pratique.tools.email"]\n[roots]\nmaildir="."\n')
    (tmp_path / "policy.toml").write_text(preset("provenance"))
    question = ["policy", "explain", "support", "mail.send", "--taint", "sink"]
    where = ["-p", str(tmp_path / "policy.toml"), "-c", str(tmp_path / "pratique.toml")]
    said = CliRunner().invoke(app, [*question, *where])
    assert "preset-provenance asks leads" in said.output, said.output
