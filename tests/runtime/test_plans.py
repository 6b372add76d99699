"""Plans: which tools a run may use, said before anything from outside is read. A call outside it asks."""

from typing import Any

import pytest

from pratique.errors import PolicyError
from pratique.model import Status
from pratique.runtime import Runtime
from pratique.tools.declaration import Tool
from tests.house import House, opened, records
from tests.outside import REQUEST, Border, preset

PLANS = """
[plans]
answer-mail = ["post.*"]
pay = ["bank.pay", "bank.payees"]
look = ["post.read"]
"""
PAYMENT = {"account": "Bolt Ltd", "amount": 18.5}
ANSWER = {"to": ["maria@cafe.example"], "body": "It is done."}


@pytest.fixture
def tools() -> list[Tool]:
    return Border().tools()


@pytest.fixture
def guarded(empty_house: House, tools: list[Tool]) -> Runtime:
    empty_house.apply(preset("provenance") + PLANS)
    return empty_house.runtime(tools=tools)


@pytest.mark.parametrize(
    ("plan", "pays", "answers"),
    [
        (None, Status.DONE, Status.DONE),
        ("pay", Status.DONE, Status.PENDING),
        ("answer-mail", Status.PENDING, Status.DONE),
        (["bank.pay", "post.send"], Status.DONE, Status.DONE),
        (["*"], Status.DONE, Status.DONE),
        (["post.se*", "bank"], Status.PENDING, Status.PENDING),
        ([], Status.PENDING, Status.PENDING),
    ],
)
async def test_a_call_outside_the_plan_asks(
    guarded: Runtime, plan: str | list[str] | None, pays: Status, answers: Status
) -> None:
    facts: dict[str, Any] = {} if plan is None else {"plan": plan}
    session = await opened(guarded, request=REQUEST, **facts)
    await session.call("post.read", {"mail": "7"})
    assert (await session.call("bank.pay", PAYMENT)).status is pays
    assert (await session.call("post.send", ANSWER)).status is answers


async def test_a_call_outside_the_plan_asks_before_anything_was_read(guarded: Runtime) -> None:
    session = await opened(guarded, request=REQUEST, plan="look")
    pending = await session.call("bank.pay", PAYMENT)
    assert pending.status is Status.PENDING
    assert "bank.pay is not in the plan of this session" in pending.error
    assert records(guarded.ledger)[-1]["taint"] == "sink"


async def test_reading_is_never_outside_the_plan(guarded: Runtime) -> None:
    session = await opened(guarded, request=REQUEST, plan=[])
    for _ in range(2):
        assert (await session.call("post.read", {"mail": "7"})).status is Status.DONE
        assert (await session.call("bank.payees")).status is Status.DONE
        assert (await session.call("web.get", {"url": "https://a.example"})).status is Status.PENDING


async def test_a_plan_does_not_free_a_tainted_call(guarded: Runtime) -> None:
    session = await opened(guarded, request=REQUEST, plan="pay")
    await session.call("post.read", {"mail": "7"})
    pending = await session.call("bank.pay", {"account": "LT12 1000 0111 0100 1000", "amount": 18.5})
    assert pending.status is Status.PENDING


async def test_a_plan_that_the_policy_does_not_have_is_one_clear_line(guarded: Runtime) -> None:
    with pytest.raises(PolicyError) as problem:
        await opened(guarded, request=REQUEST, plan="pay-everybody")
    assert str(problem.value).splitlines() == [
        "session: plan: the policy in force has no plan 'pay-everybody'; it has: answer-mail, look, pay"
    ]
    assert records(guarded.ledger, "session.open") == []


@pytest.mark.parametrize("plan", [["bank.pay", 7], 7, [b"bank.pay"]])
async def test_a_plan_of_anything_but_names_is_refused(guarded: Runtime, plan: object) -> None:
    with pytest.raises(PolicyError, match="session: plan: "):
        await opened(guarded, request=REQUEST, plan=plan)


async def test_the_plan_is_on_record_and_outlives_a_restart(empty_house: House, tools: list[Tool]) -> None:
    empty_house.apply(preset("provenance") + PLANS)
    first = empty_house.runtime(tools=tools)
    session = await opened(first, request=REQUEST, plan="pay")
    assert records(first.ledger, "session.open")[-1]["plan"] == ["bank.pay", "bank.payees"]
    resumed = await empty_house.runtime(tools=tools).resume_session(session.id)
    assert (await resumed.call("bank.pay", PAYMENT)).status is Status.DONE
    assert (await resumed.call("post.send", ANSWER)).status is Status.PENDING


async def test_a_plan_of_a_tool_pattern_that_is_none_does_not_load(empty_house: House) -> None:
    with pytest.raises(PolicyError, match="plans"):
        empty_house.apply(preset("provenance") + '[plans]\npay = ["bank pay"]\n')
