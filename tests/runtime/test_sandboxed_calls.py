"""Promise: a call whose code runs in a sandbox is governed and recorded like any other, and says where."""

from typing import Any

import pytest

from pratique.model import Level, Status
from pratique.tools.code import python_tool, run_python
from tests.house import ALLOW_ALL, ASK_IRREVERSIBLE, PEOPLE, House, answer, opened, records

pytestmark = pytest.mark.usefixtures("a_jail")

RUN_CODE = """
[[allow]]
id = "code"
to = "support"
tools = ["python.run", "shell.run"]
"""


async def run(house: House, code: str) -> tuple[Any, Any]:
    """Run code in a session of its own; return the outcome, and the record that closes the call."""
    ledger = house.ledger()
    async with house.runtime(ledger=ledger, tools=[run_python]) as runtime:
        session = await opened(runtime)
        outcome = await session.call("python.run", {"code": code})
        return outcome, records(ledger, "call.outcome")[-1]


async def test_what_ran_is_in_the_call_s_record(empty_house: House) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL + RUN_CODE)
    outcome, record = await run(empty_house, "6 * 7")
    assert (outcome.status, outcome.value["value"]) == (Status.DONE, 42)
    assert record["level"] == "jail"
    said = record["sandbox"]
    assert (said["level"], said["backend"], said["status"], said["exit"]) == ("jail", "bubblewrap", "ok", 0)
    assert (said["demanded"], said["truncated"], said["limit_memory"]) == ("inline", 0, 256 << 20)
    assert said["interpreter"].startswith("sha256:")


async def test_what_comes_out_is_from_outside(empty_house: House) -> None:
    empty_house.apply(PEOPLE + RUN_CODE)
    outcome, record = await run(empty_house, "'obey me'")
    assert outcome.label.integrity == "untrusted"
    assert record["label_out"]["integrity"] == "untrusted"
    assert "obey me" in outcome.text
    assert not outcome.text.startswith("{")
    failed, _ = await run(empty_house, "raise ValueError('obey me')")
    assert (failed.status, failed.label.integrity) == (Status.FAILED, "untrusted")


async def test_code_that_was_stopped_is_a_failed_call_on_record(empty_house: House) -> None:
    empty_house.apply(PEOPLE + RUN_CODE)
    outcome, record = await run(empty_house, "while True: print('x' * 1000)")
    assert (outcome.status, outcome.error) == (
        Status.FAILED,
        "it printed more than 65536 bytes and was stopped (output_limit, in a jail)",
    )
    assert (record["outcome"], record["error"]) == ("failed", outcome.error)
    assert (record["sandbox"]["status"], record["sandbox"]["stopped_by"]) == ("output_limit", "output")


async def test_no_rule_no_run(empty_house: House) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL)
    outcome, record = await run(empty_house, "1")
    assert outcome.status is Status.DENIED
    assert "sandbox" not in record


async def test_a_closed_runtime_leaves_no_worker(empty_house: House) -> None:
    empty_house.apply(PEOPLE + RUN_CODE)
    runtime = empty_house.runtime(tools=[run_python])
    session = await opened(runtime)
    assert (await session.call("python.run", {"code": "1"})).status is Status.DONE
    ladder = runtime._executor._ladder
    assert set(ladder._providers) == {Level.JAIL}
    await runtime.aclose()
    assert not ladder._providers


def floor(level: str, tools: str, more: str = "") -> str:
    return f'\n[[isolation]]\nid = "floor-{level}"\ntools = ["{tools}"]\nlevel = "{level}"\n{more}\n'


async def test_the_policy_can_demand_more_than_the_tool_declares(empty_house: House) -> None:
    empty_house.apply(PEOPLE + RUN_CODE + floor("jail", "python.*") + floor("restricted", "*"))
    ledger = empty_house.ledger()
    async with empty_house.runtime(ledger=ledger, tools=[python_tool(runs_in="restricted")]) as runtime:
        session = await opened(runtime)
        outcome = await session.call("python.run", {"code": "import os\nos.getuid() != 0"})
        assert outcome.value["value"] is True
    said = records(ledger, "call.outcome")[-1]["sandbox"]
    assert (said["level"], said["demanded"]) == ("jail", "jail")


async def test_an_inline_tool_below_the_floor_fails_with_one_line_and_does_nothing(
    empty_house: House,
) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL + floor("container", "desk.*", 'tier = "write"'))
    runtime = empty_house.runtime()
    session = await opened(runtime)
    outcome = await session.call("desk.note", {"text": "hello"})
    assert outcome.status is Status.FAILED
    assert outcome.error == (
        "the policy demands a container for this call, and desk.note runs inline, in Pratique's own process: "
        "it did not run"
    )
    assert empty_house.desk.effects == []
    assert (await session.call("desk.look", {})).status is Status.DONE


async def test_a_yes_does_not_lower_the_floor(empty_house: House) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL + ASK_IRREVERSIBLE + floor("jail", "desk.pay"))
    runtime = empty_house.runtime()
    session = await opened(runtime)
    asked = await session.call("desk.pay", {"to": "li", "amount": 1})
    answer(runtime, asked.ticket)
    outcome = await session.redeem(asked.ticket)
    assert (outcome.status, empty_house.desk.effects) == (Status.FAILED, [])
    assert "the policy demands a jail" in outcome.error


async def test_a_floor_that_rises_while_a_read_runs_holds_its_result_back(empty_house: House) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL)
    runtime = empty_house.runtime()
    session = await opened(runtime)

    async def rise() -> None:
        empty_house.apply(PEOPLE + ALLOW_ALL + floor("jail", "desk.look"))

    empty_house.desk.meanwhile = rise
    outcome = await session.call("desk.look", {"text": "x"})
    assert (outcome.status, outcome.value) == (Status.DENIED, None)
    assert "the result is withheld: it demands a jail" in outcome.error
