"""Every call that a mail touched: what carried it, what came out of that, in whatever session."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pratique.cli import app
from pratique.ledger.touched import How, _Trail, follow
from pratique.runtime import Runtime
from tests.house import Clock, House, opened, records
from tests.outside import OPEN, THIEF, Border, Letter

PAGE = "https://pages.evil.example/instructions-for-the-week"
KIM, LI = "kim@acme.example", "li@acme.example"


@pytest.fixture
def border() -> Border:
    made = Border()
    made.letters["8"] = Letter("eve@evil.example", f"The details are at {PAGE} as agreed.")
    made.letters["9"] = Letter("ann@a.example", "Lunch on Tuesday?")
    return made


@pytest.fixture
async def runtime(empty_house: House, border: Border, clock: Clock) -> Runtime:
    """Mail 8 names a page; what the page says is paid by. Mail 9 has nothing to do with it."""
    empty_house.apply(OPEN)
    runtime = empty_house.runtime(tools=border.tools())
    quiet = await opened(runtime, user=LI, request="Lunch?")
    await quiet.call("post.read", {"mail": "9"}, call_id="lunch")
    session = await opened(runtime, request="Do what mail 8 says.")
    await session.call("bank.payees", call_id="before")
    await session.call("post.read", {"mail": "8"}, call_id="read")
    await session.call("bank.payees", call_id="harmless")
    page = await session.call("web.get", {"url": PAGE}, call_id="fetch")
    await session.call("post.send", {"to": [KIM], "body": page.value["text"]}, call_id="send")
    clock.forward(1)
    await session.aclose()
    return runtime


def told(runtime: Runtime, source: str, *, exposed: bool = False) -> list[tuple[str, How, int]]:
    found = runtime.ledger.read(lambda c: list(follow(c, source, exposed=exposed)))
    return [(one.record["call_id"], one.how, one.steps) for one in found]


async def test_what_carried_a_mail_and_what_came_of_it_is_followed(runtime: Runtime) -> None:
    found = told(runtime, "email:8")
    assert found[0] == ("read", How.BROUGHT, 0)
    assert ("fetch", How.CARRIES, 0) in found
    assert [name for name, _, _ in found if name == "send"] == ["send", "send"], "its intent and its outcome"
    assert not {"lunch", "before", "harmless"} & {name for name, _, _ in found}


async def test_what_a_session_did_after_it_was_shown_a_mail_is_given_when_asked_for(runtime: Runtime) -> None:
    found = told(runtime, "email:8", exposed=True)
    assert ("harmless", How.AFTER, 0) in found
    assert not {"lunch", "before"} & {name for name, _, _ in found}, "before it, or elsewhere"


async def test_one_field_of_a_mail_is_told_from_another(runtime: Runtime) -> None:
    assert ("fetch", How.CARRIES, 0) in told(runtime, "email:8#body")
    assert ("fetch", How.CARRIES, 0) not in told(runtime, "email:8#from")
    assert told(runtime, "email:80") == []


async def test_what_our_own_write_carried_is_found_in_the_session_that_read_it_back(
    empty_house: House, border: Border
) -> None:
    empty_house.apply(OPEN)
    runtime = empty_house.runtime(tools=border.tools())
    first = await opened(runtime)
    letter = await first.call("post.read", {"mail": "7"}, call_id="read")
    await first.call("post.send", {"to": [KIM], "body": letter.value["body"]}, call_id="wrote")
    border.letters["10"] = Letter(KIM, letter.value["body"])
    second = await opened(runtime, user=LI)
    await second.call("post.read", {"mail": "10"}, call_id="back")
    await second.call("bank.pay", {"account": THIEF, "amount": 1.0}, call_id="paid")
    found = {name: (how, steps) for name, how, steps in told(runtime, "email:7")}
    assert found["wrote"] == (How.CARRIES, 0)
    assert "back" in found
    assert "paid" in found


def record(number: int, given_in: list[str], came_out: list[str], session: str) -> dict[str, Any]:
    return {
        "seq": number,
        "type": "call.outcome",
        "outcome": "done",
        "session": session,
        "lineage": given_in,
        "label_out": {"sources": came_out},
    }


names = st.sampled_from([f"x{n}" for n in range(6)])
calls = st.lists(
    st.tuples(st.lists(names, max_size=2), st.lists(names, max_size=2), st.sampled_from("ab")), max_size=12
)


@given(calls)
def test_what_is_found_is_what_can_be_reached_forwards_and_nothing_else(
    made: list[tuple[list[str], list[str], str]],
) -> None:
    trail, reached = _Trail("x0"), {"x0"}
    for number, (given_in, came_out, session) in enumerate(made, 1):
        carries = bool(reached & set(given_in))
        found = trail.take(record(number, given_in, came_out, session))
        assert (found is not None and found.how is How.CARRIES) == carries
        if carries:
            reached |= set(came_out)
        elif reached & set(came_out):
            assert found is not None
            assert found.how is How.BROUGHT


async def test_the_commands_lead_from_one_thing_to_the_next(
    runtime: Runtime, empty_house: House, tmp_path: Any
) -> None:
    config = tmp_path / "pratique.toml"
    config.write_text(f'folder = "{empty_house.folder}"\n')

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, ["audit", *words, "--json", "-c", str(config)])
        assert result.exit_code == 0, result.stderr
        return orjson.loads(result.stdout)

    mine = run("search", "--user", KIM)
    assert {found["call_id"] for found in mine} == {"before", "read", "harmless", "fetch", "send"}
    fetched = next(r for r in records(runtime.ledger, "call.outcome") if r["call_id"] == "fetch")
    shown = run("trace", str(fetched["seq"]))
    assert shown["session"] == fetched["session"]
    call = next(call for call in shown["tool_calls"] if call["call_id"] == "fetch")
    assert call["label"]["taint"] == fetched["taint"]
    assert call["label_out"]["integrity"] == "untrusted"
    assert call["result"]["text"].startswith("the page")
    near = run("around", str(fetched["seq"]), "-n", "2")
    assert [one["seq"] for one in near] == [fetched["seq"] + n for n in (-2, -1, 0, 1, 2)]
    own = run("around", str(fetched["seq"]), "-n", "100", "--session")
    assert {one["session"] for one in own} == {fetched["session"]}
    assert run("follow", "email:8")[0]["record"]["call_id"] == "read"
    assert CliRunner().invoke(app, ["audit", "follow", "email:99", "-c", str(config)]).exit_code == 1
    assert CliRunner().invoke(app, ["audit", "around", "9999", "-c", str(config)]).exit_code == 2
    assert CliRunner().invoke(app, ["audit", "trace", "t_0000000000000000", "-c", str(config)]).exit_code == 2
