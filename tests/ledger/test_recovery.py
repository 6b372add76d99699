"""After a crash, what was begun and not ended is said, once, and never silently run again."""

import asyncio
from typing import Any

import pytest

from pratique.errors import LedgerUnavailableError
from pratique.ledger.door import Ledger
from pratique.ledger.recovery import settle
from pratique.model import Status
from tests.house import Desk, House, break_log, mend_log, opened, records


async def hang(house: House, desk: Desk) -> tuple[Ledger, "asyncio.Task[Any]", str]:
    """Start a write that hangs; return its ledger, its task and its session."""
    runtime = house.runtime()
    session = await opened(runtime)
    task = asyncio.create_task(session.call("desk.note", {"text": "a", "then": "wait"}, call_id="c1"))
    await desk.started.wait()
    return runtime.ledger, task, session.id


async def test_a_call_whose_process_lives_is_left_alone(house: House, desk: Desk) -> None:
    _, task, _ = await hang(house, desk)
    other = house.ledger()
    assert settle(other) == []
    desk.gate.set()
    assert (await task).status is Status.DONE
    assert settle(other) == []


async def test_a_call_whose_process_is_gone_becomes_unknown_once(house: House, desk: Desk) -> None:
    ledger, task, session = await hang(house, desk)
    ledger.writer.close()  # as the kernel does when the process dies
    others = [house.ledger() for _ in range(3)]
    settled = await asyncio.gather(*(asyncio.to_thread(settle, other) for other in others))
    assert sum(map(len, settled)) == 1
    (intent,) = next(found for found in settled if found)
    assert (intent["call_id"], intent["session"]) == ("c1", session)
    (outcome,) = records(others[0], "call.outcome")
    assert outcome["outcome"] == "unknown"
    assert outcome["intent"] == intent["seq"]
    assert outcome["trace_id"] == intent["trace_id"]
    assert "may or may not have taken effect" in outcome["error"]
    assert not {"args_c", "grants", "writer"} & outcome.keys(), "it commits to no value"
    desk.gate.set()
    with pytest.raises(LedgerUnavailableError, match="is unknown"):
        await task


async def test_what_cannot_be_settled_now_is_settled_later(house: House, desk: Desk) -> None:
    ledger, task, _ = await hang(house, desk)
    task.cancel()
    break_log(ledger, kind="call.outcome")
    with pytest.raises((LedgerUnavailableError, asyncio.CancelledError)):
        await task
    ledger.close()
    other = house.ledger()
    with pytest.raises(LedgerUnavailableError):
        settle(other)
    assert not records(other, "call.outcome")
    mend_log(other)
    assert len(settle(other)) == 1
    assert settle(other) == []


async def test_many_orphans_are_all_settled(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    tasks = [
        asyncio.create_task(session.call("desk.note", {"text": str(n), "then": "wait"}, call_id=f"c{n}"))
        for n in range(20)
    ]
    while len(desk.effects) < 20:  # noqa: ASYNC110  # the tools run in this loop
        await asyncio.sleep(0)
    runtime.ledger.writer.close()
    other = house.ledger()
    assert {intent["call_id"] for intent in settle(other)} == {f"c{n}" for n in range(20)}
    desk.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = records(other, "call.outcome")
    assert [r["outcome"] for r in outcomes] == ["unknown"] * 20
