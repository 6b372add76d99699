"""Promises 1, 3 and 4: no declaration, no call; a call runs once; what became of it is in the chain."""

import asyncio
from typing import Any

import pytest

from pratique.audit.chain import Verdict
from pratique.errors import SessionClosedError
from pratique.ledger import queries
from pratique.model import Status
from pratique.runtime import Runtime
from tests.house import ALLOW_ALL, PEOPLE, Desk, House, opened, records, verify


async def test_a_read_runs_and_has_one_record(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    outcome = await session.call("desk.look", {"text": "here"})
    assert (outcome.status, outcome.value, outcome.decision) == (Status.DONE, {"seen": "here"}, "allow")
    assert len(desk.reads) == 1
    assert [r["type"] for r in records(runtime.ledger)] == ["policy.load", "session.open", "call.outcome"]
    assert outcome.record == 3


async def test_a_write_has_its_intent_before_its_effect_and_its_outcome_after(
    runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    running = asyncio.create_task(session.call("desk.note", {"text": "a", "then": "wait"}))
    await desk.started.wait()
    intents = records(runtime.ledger, "call.intent")
    assert [r["call_id"] for r in intents] == [desk.effects[0].call_id]
    assert not records(runtime.ledger, "call.outcome")
    desk.gate.set()
    outcome = await running
    (closing,) = records(runtime.ledger, "call.outcome")
    assert (closing["intent"], closing["outcome"]) == (intents[0]["seq"], "done")
    assert outcome.record == closing["seq"]


async def test_what_is_recorded_names_who_what_and_why(runtime: Runtime) -> None:
    session = await opened(runtime, trace_id="ab" * 16)
    await session.call("desk.look", {"text": "here"}, call_id="c1")
    record = records(runtime.ledger)[-1]
    assert record["agent"] == "support"
    assert record["session"] == session.id
    assert record["trace_id"] == "ab" * 16
    assert record["call_id"] == "c1"
    assert (record["tool"], record["tier"], record["level"]) == ("desk.look", "read", "inline")
    assert (record["effect"], record["rules"], record["reasons"]) == ("allow", ["desk"], ["desk allows"])
    assert record["epoch"] == 1
    assert record["policy_digest"] == runtime.enforcement.snapshot.policy.digest
    assert record["engine"].startswith("pycasbin ")
    assert "here" not in str(record), "values are committed to, not held"
    values = runtime.ledger.read(lambda c: queries.values(c, runtime.ledger.vault, record))
    assert (values["args"].value, values["args"].genuine) == (b'{"text":"here"}', True)
    assert (values["result"].value, values["result"].genuine) == (b'{"seen":"here"}', True)


async def test_an_empty_configuration_permits_nothing(empty_house: House, desk: Desk) -> None:
    runtime = empty_house.runtime()
    session = await opened(runtime)
    for name, args in (
        ("desk.look", {}),
        ("desk.note", {"text": "a"}),
        ("desk.pay", {"to": "x", "amount": 1}),
    ):
        outcome = await session.call(name, args)
        assert outcome.status is Status.DENIED
        assert "knows no agent 'support'" in outcome.error
    assert not desk.reads
    assert not desk.effects
    assert [r["outcome"] for r in records(runtime.ledger, "call.outcome")] == ["denied"] * 3


async def test_an_unknown_agent_is_denied_on_record(runtime: Runtime, desk: Desk) -> None:
    session = await runtime.open_session(agent="nobody", user="kim@acme.example")
    outcome = await session.call("desk.look")
    assert outcome.status is Status.DENIED
    assert "knows no agent 'nobody'" in outcome.error
    assert outcome.record == records(runtime.ledger)[-1]["seq"]
    assert not desk.reads


@pytest.mark.parametrize(
    "name",
    ["desk.nothing", "", "DESK.LOOK", "desk.look ", "desk", "desk.*", "d\0sk", "\ud800", "x" * 100_000],
)
async def test_an_unknown_tool_is_denied_in_one_line(runtime: Runtime, name: str) -> None:
    session = await opened(runtime)
    outcome = await session.call(name, {})
    assert outcome.status is Status.DENIED
    assert "there is no tool" in outcome.error
    assert "\n" not in outcome.error
    assert len(outcome.error) < 2000
    assert records(runtime.ledger)[-1]["outcome"] == "denied"


def deep(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({}, "text: missing"),
        ({"text": 5}, "text: Input should be a valid string"),
        ({"text": None}, "text: Input should be a valid string"),
        ({"text": "a", "extra": 1}, "extra: not an argument of this tool"),
        (["a"], "arguments: Input should be an object"),
        ("text", "arguments: Input should be an object"),
        ({"text": "x" * 10 * 1024 * 1024}, "bytes of JSON, at most 262,144 are taken"),
        ({"text": float("nan")}, "nan is not JSON"),
        ({"text": [float("inf")]}, "inf is not JSON"),
        ({"text": deep(33)}, "nested more than 32 deep"),
        ({"text": deep(100_000)}, "arguments: "),
        ({"text": "\ud800"}, "not plain JSON"),
        ({"text": 2**60}, "beyond 2^53 - 1"),
        ({"text": b"bytes"}, "not plain JSON"),
        ({5: "a"}, "not plain JSON"),
        ({"text": {"a", "b"}}, "not plain JSON"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else type(value).__name__,
)
async def test_arguments_that_do_not_fit_are_denied_in_one_line(
    runtime: Runtime, desk: Desk, args: Any, why: str
) -> None:
    session = await opened(runtime)
    outcome = await session.call("desk.note", args)
    assert outcome.status is Status.DENIED
    assert why in outcome.error
    assert "\n" not in outcome.error
    assert not desk.effects
    assert records(runtime.ledger)[-1]["outcome"] == "denied"
    assert verify(runtime.ledger).verdict is Verdict.UNANCHORED


async def test_the_text_of_wrong_arguments_is_not_repeated_into_the_log(runtime: Runtime) -> None:
    session = await opened(runtime)
    await session.call("desk.note", {"text": ["my-password-in-the-wrong-place"]})
    assert "my-password" not in str(records(runtime.ledger))


@pytest.mark.parametrize("call_id", ["", "a b", "ä", "x" * 129, "a\n", "\0"])
async def test_a_call_id_that_is_none_is_refused_at_once(runtime: Runtime, call_id: str) -> None:
    session = await opened(runtime)
    with pytest.raises(ValueError, match="call_id"):
        await session.call("desk.look", call_id=call_id)


async def test_the_same_call_is_run_once_and_answered_twice(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    for name, args in (("desk.look", {"text": "a"}), ("desk.note", {"text": "a"})):
        first = await session.call(name, args, call_id="c1")
        again = await session.call(name, args, call_id="c1")
        assert first == again
        assert first.status is Status.DONE
    assert (len(desk.reads), len(desk.effects)) == (1, 1)


async def test_the_order_of_keys_does_not_make_another_call(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    await session.call("desk.note", {"text": "a", "then": ""}, call_id="c1")
    await session.call("desk.note", {"then": "", "text": "a"}, call_id="c1")
    assert len(desk.effects) == 1


async def test_other_arguments_under_the_same_id_are_another_call(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    first = await session.call("desk.note", {"text": "a"}, call_id="c1")
    other = await session.call("desk.note", {"text": "b"}, call_id="c1")
    assert (first.value, other.value) == ({"noted": "a"}, {"noted": "b"})
    assert [e.text for e in desk.effects] == ["a", "b"]


async def test_two_sessions_share_no_call_ids(runtime: Runtime, desk: Desk) -> None:
    for _ in range(2):
        await (await opened(runtime)).call("desk.note", {"text": "a"}, call_id="c1")
    assert len(desk.effects) == 2


async def test_the_same_call_made_by_many_at_once_runs_once(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    outcomes = await asyncio.gather(
        *(session.call("desk.note", {"text": "a"}, call_id="c1") for _ in range(20)),
        *(session.call("desk.look", {"text": "a"}, call_id="c2") for _ in range(20)),
    )
    assert (len(desk.effects), len(desk.reads)) == (1, 1)
    assert all(outcome == outcomes[0] for outcome in outcomes[:20])
    assert all(outcome == outcomes[20] for outcome in outcomes[20:])


async def test_if_the_first_of_many_is_cancelled_the_others_still_get_the_outcome(
    runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    args = {"text": "a", "then": "wait"}
    first = asyncio.create_task(session.call("desk.note", args, call_id="c1"))
    await desk.started.wait()
    second = asyncio.create_task(session.call("desk.note", args, call_id="c1"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    desk.gate.set()
    outcome = await second
    assert outcome.status is Status.UNKNOWN, "it was begun and cancelled: it is not run again"
    assert len(desk.effects) == 1


async def test_a_follower_that_is_cancelled_leaves_the_first_alone(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    args = {"text": "a", "then": "wait"}
    first = asyncio.create_task(session.call("desk.note", args, call_id="c1"))
    await desk.started.wait()
    second = asyncio.create_task(session.call("desk.note", args, call_id="c1"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    desk.gate.set()
    assert (await first).status is Status.DONE


async def test_an_outcome_that_is_no_longer_in_memory_is_looked_up(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    first = await session.call("desk.note", {"text": "first"}, call_id="first")
    await asyncio.gather(*(session.call("desk.look", call_id=f"c{n}") for n in range(1001)))
    again = await session.call("desk.note", {"text": "first"}, call_id="first")
    assert (again.status, again.value, again.record) == (Status.DONE, {"noted": "first"}, first.record)
    assert len(desk.effects) == 1


@pytest.mark.parametrize("name", ["desk.look", "desk.note"])
async def test_a_call_made_again_after_a_restart_is_not_run_again(
    house: House, desk: Desk, name: str
) -> None:
    session = await opened(house.runtime())
    first = await session.call(name, {"text": "a"}, call_id="c1")
    resumed = await house.runtime().resume_session(session.id)
    again = await resumed.call(name, {"text": "a"}, call_id="c1")
    assert (again.status, again.value, again.record) == (first.status, first.value, first.record)
    assert (again.decision, again.label, again.tier) == (first.decision, first.label, first.tier)
    assert len(desk.effects) + len(desk.reads) == 1


async def test_a_failed_write_is_not_run_again_after_a_restart(house: House, desk: Desk) -> None:
    session = await opened(house.runtime())
    args = {"text": "a", "then": "raise"}
    assert (await session.call("desk.note", args, call_id="c1")).status is Status.UNKNOWN
    resumed = await house.runtime().resume_session(session.id)
    assert (await resumed.call("desk.note", args, call_id="c1")).status is Status.UNKNOWN
    assert len(desk.effects) == 1


async def test_a_denied_call_may_be_asked_again_after_a_restart(empty_house: House, desk: Desk) -> None:
    session = await opened(empty_house.runtime())
    assert (await session.call("desk.look", call_id="c1")).status is Status.DENIED
    empty_house.apply(PEOPLE + ALLOW_ALL)
    resumed = await empty_house.runtime().resume_session(session.id)
    assert (await resumed.call("desk.look", call_id="c1")).status is Status.DONE
    assert len(desk.reads) == 1


async def test_a_session_that_was_closed_takes_no_calls(runtime: Runtime) -> None:
    async with runtime.session(agent="support", user="kim@acme.example") as session:
        await session.call("desk.look")
        session.finish("all done", "looked")
    with pytest.raises(SessionClosedError, match=session.id):
        await session.call("desk.look")
    with pytest.raises(SessionClosedError):
        await session.redeem("t_1")
    with pytest.raises(SessionClosedError, match="over"):
        await runtime.resume_session(session.id)
    with pytest.raises(SessionClosedError, match="not there"):
        await runtime.resume_session("s_nothing")
    assert records(runtime.ledger)[-1]["final_action"] == "looked"


async def test_a_session_taken_over_by_another_process_writes_no_more(house: House, desk: Desk) -> None:
    old = await opened(house.runtime())
    new = await house.runtime().resume_session(old.id)
    for name, args in (("desk.note", {"text": "old"}), ("desk.pay", {"to": "x", "amount": 1})):
        outcome = await old.call(name, args)
        assert outcome.status is Status.DENIED
        assert "goes on in another process" in outcome.error
    assert (await new.call("desk.note", {"text": "new"})).status is Status.DONE
    assert [e.text for e in desk.effects] == ["new"]


async def test_a_session_that_another_process_closed_writes_no_more(house: House, desk: Desk) -> None:
    old = await opened(house.runtime())
    await (await house.runtime().resume_session(old.id)).aclose()
    outcome = await old.call("desk.note", {"text": "old"})
    assert outcome.status is Status.DENIED
    assert "is closed" in outcome.error
    assert not desk.effects


async def test_leaving_a_session_that_goes_on_elsewhere_does_not_end_it(house: House) -> None:
    old = await opened(house.runtime())
    new = await house.runtime().resume_session(old.id)
    await old.aclose()
    assert (await new.call("desk.note", {"text": "new"})).status is Status.DONE


async def test_a_permit_runs_one_call_once(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    kept = []

    class Spy(Runtime):
        async def execute(self, permit: Any) -> Any:
            kept.append(permit)
            return await super().execute(permit)

    spy = Spy(runtime.ledger, runtime.registry, runtime._executor)
    await (await opened(spy)).call("desk.note", {"text": "a"})
    with pytest.raises(KeyError):
        await spy.execute(kept[0])
    forged = kept[0].model_copy(update={"key": object()})
    with pytest.raises(KeyError):
        await spy.execute(forged)
    with pytest.raises(KeyError):
        await runtime.execute(kept[0])
    assert len(desk.effects) == 1


async def test_a_permit_for_one_call_runs_no_other(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    tampered = []

    class Swap(Runtime):
        async def execute(self, permit: Any) -> Any:
            args = permit.call.args.model_copy(update={"text": "other"})
            other = permit.model_copy(update={"call": permit.call.model_copy(update={"args": args})})
            with pytest.raises(KeyError):
                await super().execute(other)
            tampered.append(other)
            return await super().execute(permit)

    swap = Swap(runtime.ledger, runtime.registry, runtime._executor)
    await (await opened(swap)).call("desk.note", {"text": "a"})
    assert tampered
    assert [e.text for e in desk.effects] == ["a"]


async def test_a_thousand_concurrent_calls_are_all_answered_and_all_recorded(
    house: House, desk: Desk
) -> None:
    runtime = house.runtime()
    sessions = [await opened(runtime) for _ in range(4)]
    before = len(records(runtime.ledger))
    outcomes = await asyncio.gather(
        *(sessions[n % 4].call(*call_number(n), call_id=f"c{n}") for n in range(1000))
    )
    assert all(outcome.status is Status.DONE for outcome in outcomes)
    assert [outcome.value for outcome in outcomes] == [
        {"noted": str(n)} if n % 2 else {"seen": str(n)} for n in range(1000)
    ]
    assert sorted(e.text for e in desk.effects) == sorted(str(n) for n in range(1, 1000, 2))
    written = records(runtime.ledger)[before:]
    assert len(written) == 1500
    by_number = {record["seq"]: record for record in written}
    for n, outcome in enumerate(outcomes):
        assert outcome.record is not None
        assert by_number[outcome.record]["call_id"] == f"c{n}"
    report = verify(runtime.ledger)
    assert (report.verdict, report.records) == (Verdict.UNANCHORED, before + 1500)
    assert runtime.ledger.batches < 1000, "many calls share one sync"


def call_number(n: int) -> tuple[str, dict[str, str]]:
    return ("desk.note" if n % 2 else "desk.look"), {"text": str(n)}


async def test_the_final_action_is_the_last_call_that_changed_something(runtime: Runtime) -> None:
    session = await opened(runtime)
    await session.call("desk.note", {"text": "a"})
    await session.call("desk.look")
    await session.aclose()
    assert records(runtime.ledger)[-1]["final_action"] == "desk.note (done)"
