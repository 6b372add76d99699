"""Promise: what code in a sandbox calls is called as by its agent: decided, asked, recorded, and no cleaner."""

# Code that is run is kept on the lines that it reads best on.
# ruff: noqa: E501

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from pratique.errors import LedgerUnavailableError, ToolDeclarationError
from pratique.model import Confidentiality, Integrity, Outcome, Status
from pratique.runtime import Runtime
from pratique.sandbox.backend import Work
from pratique.sessions.code_calls import MOST_CALLS
from pratique.sessions.session import Session
from pratique.tools.code import python_tool, run_shell
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.registry import Registry
from tests.house import (
    ALLOW_ALL,
    ASK_IRREVERSIBLE,
    PEOPLE,
    Desk,
    House,
    answer,
    break_log,
    mend_log,
    opened,
    records,
    until,
)

pytestmark = pytest.mark.usefixtures("a_jail")

DESK = ("desk.look", "desk.mail", "desk.note", "desk.pay")
RUN_CODE = """
[[allow]]
id = "code"
to = "support"
tools = ["python.run"]
taint = "sink"
"""
CLEAN_NOTES = ALLOW_ALL.replace('"sink"', '"context"')


def python(**declared: Any) -> Tool:
    return python_tool(**{"calls": DESK, "timeout": 20, **declared})


async def run(session: Session, code: str, inputs: Any = None, **options: Any) -> Outcome:
    return await session.call("python.run", {"code": code, "inputs": inputs}, **options)


Start = Callable[..., Runtime]


@pytest_asyncio.fixture
async def start(empty_house: House) -> AsyncIterator[Start]:
    """Starts runtimes whose `python.run` may call the desk's tools, and closes them."""
    started: list[Runtime] = []

    def make(policy: str = "", *tools: Tool, **declared: Any) -> Runtime:
        if policy:
            empty_house.apply(PEOPLE + policy)
        started.append(empty_house.runtime(tools=tools or [python(**declared)]))
        return started[-1]

    yield make
    for runtime in started:
        await runtime.aclose()


@pytest.mark.parametrize("level", ["jail", "restricted"])
async def test_each_call_is_one_of_the_session_s_own(start: Start, desk: Desk, level: str) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE, runs_in=level)
    session = await opened(runtime)
    code = "a = call('desk.look', text='one')\ncall('desk.note', text=a['seen'] + '!')\na['seen']"
    outcome = await run(session, code, call_id="c1")
    assert (outcome.status, outcome.value["value"]) == (Status.DONE, "one"), outcome
    assert [effect.text for effect in desk.effects] == ["one!"]
    told = [
        (r["type"], r["tool"], r["call_id"], r.get("code_of")) for r in records(runtime.ledger, "call.intent")
    ]
    assert told == [("call.intent", "desk.note", "c1.2", "c1")]
    closed = records(runtime.ledger, "call.outcome")
    assert [(r["tool"], r["call_id"], r.get("code_of")) for r in closed] == [
        ("desk.look", "c1.1", "c1"),
        ("desk.note", "c1.2", "c1"),
        ("python.run", "c1", None),
    ]
    assert closed[0]["rules"] == ["desk"]
    assert closed[2]["sandbox"]["calls"] == 2


async def test_what_is_not_declared_or_not_allowed_is_not_called(start: Start, desk: Desk) -> None:
    only_look = ALLOW_ALL.replace('["desk.*"]', '["desk.look"]')
    runtime = start(only_look + RUN_CODE, calls=("desk.look", "desk.note"))
    session = await opened(runtime)
    code = (
        "said = []\nfor name, args in (('desk.pay', {'to': 'li', 'amount': 1}), ('desk.note', {'text': 'x'}),\n"
        "                   ('desk.look', {'no': 1}), ('desk.look', {})):\n"
        "    try: said.append(call(name, **args))\n    except Exception as error: said.append(str(error))\nsaid"
    )
    outcome = await run(session, code)
    undeclared, denied, invalid, seen = outcome.value["value"]
    assert undeclared == "this code may not call 'desk.pay'; it may call: desk.look, desk.note"
    assert denied.startswith("desk.note: denied: no rule")
    assert "desk.look: denied: desk.look: no: not an argument" in invalid
    assert seen == {"seen": ""}
    assert not desk.effects
    outcomes = [(r["tool"], r["outcome"]) for r in records(runtime.ledger, "call.outcome")]
    assert outcomes[:2] == [("desk.note", "denied"), ("desk.look", "denied")], "what was asked is on record"


async def test_code_without_declared_calls_has_none(start: Start) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE, calls=())
    outcome = await run(await opened(runtime), "call('desk.look')")
    assert outcome.status is Status.FAILED
    assert "may not call 'desk.look'; it may call: none" in outcome.error


async def test_the_taint_of_what_the_code_was_handed_is_on_what_it_asks_for(start: Start, desk: Desk) -> None:
    runtime = start(CLEAN_NOTES + RUN_CODE)
    session = await opened(runtime)
    body = (await session.call("desk.mail")).value["body"]
    code = (
        "said = []\nfor name, args in (('desk.note', {'text': inputs[::-1]}), ('desk.pay', {'to': 'li', 'amount': 1})):\n"
        "    try: said.append(call(name, **args))\n    except Exception as error: said.append(str(error))\nsaid"
    )
    outcome = await run(session, code, body)
    note, pay = outcome.value["value"]
    assert "taint only up to context, this is argument" in note, "turned round, it is the letter's text still"
    assert "taint only up to context, this is sink" in pay
    assert not desk.effects


async def test_what_the_code_was_given_taints_what_it_asks_for_next(start: Start, desk: Desk) -> None:
    runtime = start(CLEAN_NOTES + RUN_CODE)
    session = await opened(runtime)
    assert (await run(session, "call('desk.note', text='clean')")).status is Status.DONE
    outcome = await run(session, "call('desk.note', text=call('desk.mail')['body'][::-1])")
    assert outcome.status is Status.FAILED
    assert "taint only up to context, this is argument" in outcome.error
    assert [effect.text for effect in desk.effects] == ["clean"]
    assert records(runtime.ledger, "call.outcome")[-2]["taint"] == "argument"


async def test_the_label_of_what_code_was_given_is_on_its_result_and_on_the_session(start: Start) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE)
    session = await opened(runtime)
    outcome = await run(session, "len(call('desk.mail')['body'])", call_id="c1")
    assert outcome.label.confidentiality is Confidentiality.CONFIDENTIAL
    assert "desk.mail:c1.1#body" in outcome.label.sources
    assert session.context.confidentiality is Confidentiality.CONFIDENTIAL
    assert records(runtime.ledger, "call.outcome")[-1]["confidentiality"] == "confidential"


async def test_a_tool_that_vouches_for_its_result_does_not_vouch_for_what_its_code_was_given(
    start: Start,
) -> None:
    @tool("own.code", tier="read", sources={"*": "authority"}, runs_in="jail", calls=["desk.mail"])
    async def own(ctx: ToolContext, code: str) -> Any:
        """Run code."""
        return json.loads((await ctx.sandbox.run(Work(code=code))).value_json or b"null")

    session = await opened(start(CLEAN_NOTES + RUN_CODE.replace("python.run", "own.code"), own))
    clean = await session.call("own.code", {"code": "'li-of-ours'"})
    assert clean.label.integrity is Integrity.TRUSTED
    given = await session.call("own.code", {"code": "call('desk.mail')['body'][:6] + '-of-theirs'"})
    assert given.label.integrity is Integrity.UNTRUSTED
    paid = await session.call("desk.pay", {"to": clean.value, "amount": 1})
    refused = await session.call("desk.pay", {"to": given.value, "amount": 1})
    assert paid.status is Status.DONE
    assert refused.status is Status.DENIED, "else the letter's word would count as the tool's own"


async def test_a_call_that_needs_a_person_is_told_to_the_code_and_can_be_redeemed(
    start: Start, desk: Desk
) -> None:
    runtime = start(ALLOW_ALL + ASK_IRREVERSIBLE + RUN_CODE)
    session = await opened(runtime)
    code = "try: call('desk.pay', to='li', amount=3)\nexcept Exception as error: result = str(error)"
    outcome = await run(session, code)
    said = outcome.value["value"]
    assert said.startswith("desk.pay: waiting for a person (")
    assert said.endswith("this run does not wait for it, its agent may")
    ticket = said.split("(")[1].split(")")[0]
    assert not desk.effects
    answer(runtime, ticket)
    assert (await session.redeem(ticket)).status is Status.DONE
    assert [effect.text for effect in desk.effects] == ["li:3"]


async def test_the_taint_of_code_stays_on_its_question_when_the_policy_changes(
    start: Start, empty_house: House
) -> None:
    runtime = start(ALLOW_ALL + ASK_IRREVERSIBLE + RUN_CODE)
    session = await opened(runtime)
    code = "call('desk.mail')\ntry: call('desk.pay', to='li', amount=3)\nexcept Exception as error: result = str(error)"
    ticket = (await run(session, code)).value["value"].split("(")[1].split(")")[0]
    empty_house.apply(PEOPLE + CLEAN_NOTES + ASK_IRREVERSIBLE + RUN_CODE)
    again = await session.redeem(ticket)
    assert again.status is Status.DENIED
    assert "this is sink" in again.error


async def test_code_waits_for_a_person_as_long_as_its_caller_does(start: Start, desk: Desk) -> None:
    runtime = start(ALLOW_ALL + ASK_IRREVERSIBLE + RUN_CODE)
    session = await opened(runtime)
    task = asyncio.create_task(run(session, "call('desk.pay', to='li', amount=4)", wait=60))
    await until(lambda: bool(records(runtime.ledger, "approval.proposed")))
    answer(runtime, records(runtime.ledger, "approval.proposed")[0]["ticket"])
    outcome = await task
    assert outcome.value["value"] == {"paid": 4}, outcome
    assert [effect.text for effect in desk.effects] == ["li:4"]


async def test_nobody_s_answer_in_the_run_s_time_is_a_clear_end(start: Start, desk: Desk) -> None:
    runtime = start(ALLOW_ALL + ASK_IRREVERSIBLE + RUN_CODE, timeout=3.0)
    outcome = await run(await opened(runtime), "call('desk.pay', to='li', amount=4)", wait=600)
    assert outcome.status is Status.FAILED
    assert "desk.pay: waiting for a person" in outcome.error
    assert not desk.effects


async def test_a_cancelled_run_cancels_the_call_it_waits_for_and_both_are_on_record(
    start: Start, desk: Desk
) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE)
    session = await opened(runtime)
    task = asyncio.create_task(run(session, "call('desk.note', text='x', then='wait')"))
    await desk.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closed = [(r["tool"], r["outcome"]) for r in records(runtime.ledger, "call.outcome")]
    assert closed == [("desk.note", "unknown"), ("python.run", "failed")]


async def test_the_run_s_time_ends_the_call_it_waits_for(start: Start) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE, timeout=1.0)
    outcome = await run(await opened(runtime), "call('desk.note', text='x', then='wait')")
    assert outcome.status is Status.FAILED
    assert "ran longer than" in outcome.error
    closed = [(r["tool"], r["outcome"]) for r in records(runtime.ledger, "call.outcome")]
    assert closed == [("desk.note", "unknown"), ("python.run", "failed")]


async def test_so_many_calls_and_no_more(start: Start, desk: Desk) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE)
    code = f"for i in range({MOST_CALLS + 9}): call('desk.look', text=str(i))"
    outcome = await run(await opened(runtime), code)
    assert f"more than {MOST_CALLS} calls in one run" in outcome.error
    assert len(desk.reads) == MOST_CALLS


async def test_a_run_made_again_does_not_do_twice_what_it_did_once(start: Start, desk: Desk) -> None:
    """The outer call is a read that never got on record; the agent asks again, in another process."""
    runtime = start(ALLOW_ALL + RUN_CODE)
    session = await opened(runtime)
    code, call_id = "call('desk.note', text='once')\ncall('desk.look')\n'done'", "c" * 128

    async def full_disk() -> None:
        if desk.reads:  # not before the note is on record
            break_log(runtime.ledger)

    desk.meanwhile = full_disk
    with pytest.raises(LedgerUnavailableError):
        await run(session, code, call_id=call_id)
    desk.meanwhile = None
    mend_log(runtime.ledger)
    again = await run(await start().resume_session(session.id), code, call_id=call_id)
    assert (again.status, again.error) == (Status.DONE, "")
    assert again.value["value"] == "done"
    assert [effect.text for effect in desk.effects] == ["once"]


async def test_what_a_tool_says_of_its_failure_is_told_and_nothing_else(start: Start) -> None:
    runtime = start(ALLOW_ALL + RUN_CODE)
    code = (
        "said = []\nfor then in ('refuse', 'raise'):\n    try: call('desk.note', text='x', then=then)\n"
        "    except Exception as error: said.append(str(error))\nsaid"
    )
    outcome = await run(await opened(runtime), code)
    assert outcome.value["value"] == ["desk.note: no ink for x", "desk.note: desk.note raised RuntimeError"]


def test_a_declaration_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ToolDeclarationError, match="say runs_in"):
        tool("a.b", tier="read", calls=["desk.look"])(_body)
    with pytest.raises(ToolDeclarationError, match="patterns are not taken"):
        tool("a.b", tier="read", runs_in="jail", calls=["desk.*"])(_body)
    made = Registry([python_tool(calls=["shell.run", "no.such"]), run_shell])
    assert made.problems() == [
        "python.run: its code may call 'shell.run', which runs in a jail: code can call inline tools only",
        "python.run: its code may call 'no.such', and there is no such tool",
    ]
    assert "call(name, **arguments)" in python_tool(calls=["desk.look"]).capability.description


async def test_code_cannot_call_what_holds_a_sandbox(start: Start) -> None:
    rule = RUN_CODE.replace('"python.run"', '"python.run", "shell.run"')
    runtime = start(ALLOW_ALL + rule, python_tool(calls=["shell.run"]), run_shell)
    outcome = await run(await opened(runtime), "call('shell.run', argv=['true'])")
    assert "shell.run runs in a jail: code cannot call it" in outcome.error


async def _body(ctx: ToolContext) -> None:
    """Do nothing."""
