"""A call that is made again is what its record says, as far as it can still be known."""

import asyncio

import pytest

from pratique.errors import LedgerCorruptError
from pratique.model import Status
from tests.house import Desk, House, opened, records, sql


async def test_a_result_that_was_erased_is_said_to_be_and_the_call_does_not_run_again(
    house: House, desk: Desk
) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    done = await session.call("desk.note", {"text": "a"}, call_id="c1")
    sql(runtime.ledger, "DELETE FROM vault WHERE seq = ?", done.record)
    again = await (await house.runtime().resume_session(session.id)).call(
        "desk.note", {"text": "a"}, call_id="c1"
    )
    assert (again.status, again.error) == (Status.UNKNOWN, "it was done; its result was erased")
    assert len(desk.effects) == 1


async def test_a_result_that_is_not_the_recorded_one_is_not_given_back(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    done = await session.call("desk.note", {"text": "a"}, call_id="c1")
    other = await session.call("desk.note", {"text": "b"}, call_id="c2")
    swap = "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?"
    sql(runtime.ledger, swap, other.record, done.record)

    async def go_on() -> None:
        resumed = await house.runtime().resume_session(session.id)
        await resumed.call("desk.note", {"text": "a"}, call_id="c1")

    with pytest.raises(LedgerCorruptError, match="do not open"):
        await go_on()
    assert len(desk.effects) == 2


async def test_the_label_of_a_result_is_given_back_with_it(house: House) -> None:
    session = await opened(house.runtime())
    first = await session.call("desk.mail", call_id="c1")
    again = await (await house.runtime().resume_session(session.id)).call("desk.mail", call_id="c1")
    assert (again.value, again.label) == (first.value, first.label)


async def test_a_call_that_still_runs_elsewhere_is_unknown_and_not_run_here(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    args = {"text": "a", "then": "wait"}
    task = asyncio.create_task(session.call("desk.note", args, call_id="c1"))
    await desk.started.wait()
    elsewhere = await house.runtime().resume_session(session.id)
    outcome = await elsewhere.call("desk.note", args, call_id="c1")
    assert outcome.status is Status.UNKNOWN
    assert "has no outcome yet" in outcome.error
    desk.gate.set()
    assert (await task).status is Status.DONE
    assert len(desk.effects) == 1
    assert len(records(runtime.ledger, "call.intent")) == 1
