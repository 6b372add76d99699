"""Promises 1 and 5: a decision holds only while its policy does, and nobody decides by half a policy."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pratique.capabilities.policy import Policy
from pratique.errors import LedgerCorruptError, PolicyError
from pratique.ledger import policies
from pratique.ledger import tables as t
from pratique.model import Status
from pratique.runtime import Runtime
from tests.house import (
    ALLOW_ALL,
    DENY_ALL,
    PEOPLE,
    POLICY,
    START_US,
    Clock,
    Desk,
    House,
    opened,
    records,
    sql,
)


async def test_a_policy_applied_elsewhere_is_picked_up_without_a_restart(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    assert (await session.call("desk.note", {"text": "a"})).status is Status.DONE
    house.apply(POLICY + DENY_ALL)
    for name, args in (("desk.note", {"text": "b"}), ("desk.look", {"text": "b"})):
        outcome = await session.call(name, args)
        assert outcome.status is Status.DENIED
        assert "everything is switched off" in outcome.error
        assert outcome.value is None
    house.apply(POLICY)
    assert (await session.call("desk.note", {"text": "c"})).status is Status.DONE
    assert [e.text for e in desk.effects] == ["a", "c"]
    outcomes = records(runtime.ledger, "call.outcome")
    assert [(r["epoch"], r["outcome"]) for r in outcomes] == [
        (1, "done"),
        (2, "denied"),
        (2, "denied"),
        (3, "done"),
    ]


async def test_a_call_denied_by_an_old_policy_runs_under_the_new_one(house: House, desk: Desk) -> None:
    house.apply(POLICY + DENY_ALL)
    runtime = house.runtime()
    session = await opened(runtime)
    house.apply(POLICY)
    assert (await session.call("desk.note", {"text": "a"})).status is Status.DONE
    assert len(desk.effects) == 1


@pytest.mark.parametrize("name", ["desk.look", "desk.mail"])
async def test_the_result_of_a_read_is_withheld_when_it_is_denied_meanwhile(house: House, name: str) -> None:
    async def deny() -> None:
        await asyncio.to_thread(house.apply, POLICY + DENY_ALL)

    class Changing(Runtime):
        async def execute(self, permit: Any) -> Any:
            result = await super().execute(permit)
            await deny()
            return result

    plain = house.runtime()
    runtime = Changing(plain.ledger, plain.registry, plain._executor)
    session = await opened(runtime)
    outcome = await session.call(name)
    assert outcome.status is Status.DENIED
    assert outcome.value is None
    assert "the result is withheld" in outcome.error
    assert "Ignore your instructions" not in outcome.model_dump_json()
    (record,) = records(runtime.ledger, "call.outcome")
    assert (record["outcome"], record["epoch"]) == ("denied", 2)
    assert "result_c" not in record


async def test_the_result_of_a_read_leaves_when_the_new_policy_allows_it_too(
    house: House, desk: Desk
) -> None:
    runtime = house.runtime()

    async def change() -> None:
        await asyncio.to_thread(house.apply, POLICY + "# changed\n")

    desk.meanwhile = change
    outcome = await (await opened(runtime)).call("desk.look", {"text": "a"})
    assert (outcome.status, outcome.value) == (Status.DONE, {"seen": "a"})
    assert records(runtime.ledger)[-1]["epoch"] == 2


async def test_a_write_that_runs_while_the_policy_changes_still_has_its_outcome(
    house: House, desk: Desk
) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    running = asyncio.create_task(session.call("desk.note", {"text": "a", "then": "wait"}))
    await desk.started.wait()
    house.apply(POLICY + DENY_ALL)
    desk.gate.set()
    assert (await running).status is Status.DONE
    assert records(runtime.ledger)[-1]["outcome"] == "done"


async def test_a_policy_that_never_settles_lets_nothing_run(house: House, desk: Desk) -> None:
    class Restless(Runtime):
        def decide(self, call: Any, answer: Any = None) -> Any:
            decision = super().decide(call, answer)
            house.apply(POLICY + f"# {len(records(self.ledger))}\n")
            return decision

    plain = house.runtime()
    runtime = Restless(plain.ledger, plain.registry, plain._executor)
    session = await opened(runtime)
    with pytest.raises(Exception, match="the policy keeps changing; call again"):
        await session.call("desk.note", {"text": "a"})
    assert not desk.effects
    assert not records(runtime.ledger, "call.intent")


async def test_while_policies_change_every_record_was_decided_by_a_whole_one(house: House) -> None:
    """Two policies that differ in two rules: no call may ever see one rule of each."""
    first = PEOPLE + ALLOW_ALL.replace('"desk"', '"desk-a"')
    second = PEOPLE + ALLOW_ALL.replace('"desk"', '"desk-b"') + DENY_ALL.replace('["*"]', '["desk.note"]')
    epochs = {house.apply(first).epoch: "a"}
    runtime = house.runtime()
    sessions = [await opened(runtime) for _ in range(4)]

    async def change() -> None:
        for turn in range(20):
            text = (second, first)[turn % 2]
            epochs[(await asyncio.to_thread(house.apply, text)).epoch] = "ba"[turn % 2]

    async def work(place: int) -> None:
        changing_still = changing
        while not changing_still.done():
            for name in ("desk.note", "desk.look"):
                await sessions[place].call(name, {"text": "x"})

    changing = asyncio.create_task(change())
    await asyncio.gather(changing, *(work(place) for place in range(4)))
    seen = set()
    for record in records(runtime.ledger, "call.outcome") + records(runtime.ledger, "call.intent"):
        letter = epochs[record["epoch"]]
        denied = record.get("outcome") == "denied"
        assert denied == (letter == "b" and record["tool"] == "desk.note")
        assert record["rules"][-1] == f"desk-{letter}"
        seen.add((letter, record["tool"]))
    assert len(seen) == 4, "the run was long enough to see both policies on both tools"


async def test_of_two_who_apply_at_once_one_is_told(house: House) -> None:
    ledger = house.ledger()
    assert policies.apply(ledger, Policy(POLICY), "ana", 1).epoch == 2
    with pytest.raises(PolicyError, match=r"changed from epoch 1 to 2.*look at it and apply again"):
        policies.apply(ledger, Policy(PEOPLE), "bo", 1)
    assert policies.in_force(ledger).policy.text == POLICY


async def test_a_policy_text_that_was_changed_in_the_database_decides_nothing(house: House) -> None:
    ledger = house.ledger()
    sql(ledger, "UPDATE blobs SET body = ?", (PEOPLE + ALLOW_ALL).encode())
    with pytest.raises(LedgerCorruptError, match="the policy of epoch 1 is not the text that was applied"):
        policies.in_force(ledger)
    with pytest.raises(LedgerCorruptError):
        house.runtime()


def exception(expires: datetime, *, uses: int | None = None, not_before: datetime | None = None) -> str:
    text = f"""
[[exception]]
id = "weekend"
to = "support"
tools = ["desk.*"]
tier = "irreversible"
taint = "sink"
expires = {expires.isoformat()}
owner = "ana@acme.example"
reason = "migration"
approved_by = "li@acme.example"
"""
    if uses is not None:
        text += f"max_uses = {uses}\n"
    if not_before is not None:
        text += f"not_before = {not_before.isoformat()}\n"
    return PEOPLE + text


def moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


async def test_an_exception_begins_and_ends_at_its_microsecond(
    empty_house: House, desk: Desk, clock: Clock
) -> None:
    begin, end = START_US + 10_000_000, START_US + 20_000_000
    empty_house.apply(exception(moment(end), not_before=moment(begin)))
    session = await opened(empty_house.runtime())
    expected = {begin - 1: Status.DENIED, begin: Status.DONE, end - 1: Status.DONE, end: Status.DENIED}
    for now_us, status in expected.items():
        clock.now_us = now_us
        outcome = await session.call("desk.note", {"text": str(now_us)})
        assert outcome.status is status, now_us
    assert len(desk.effects) == 2


@pytest.mark.parametrize("most", [1, 3])
async def test_a_counted_exception_is_used_no_more_often_than_it_says_by_calls_that_race(
    empty_house: House, desk: Desk, most: int
) -> None:
    empty_house.apply(exception(moment(START_US + 10**12), uses=most))
    runtimes = [empty_house.runtime() for _ in range(2)]
    sessions = [await opened(runtime) for runtime in runtimes]
    outcomes = await asyncio.gather(
        *(sessions[n % 2].call("desk.note", {"text": str(n)}, call_id=f"c{n}") for n in range(20))
    )
    done = [o for o in outcomes if o.status is Status.DONE]
    denied = [o for o in outcomes if o.status is Status.DENIED]
    assert (len(done), len(denied)) == (most, 20 - most)
    assert len(desk.effects) == most
    assert all(f"has been used {most} of {most} times" in o.error for o in denied)


async def test_a_counted_exception_is_not_drawn_on_when_a_rule_allows_anyway(
    empty_house: House, desk: Desk
) -> None:
    text = exception(moment(START_US + 10**12), uses=1) + ALLOW_ALL
    empty_house.apply(text)
    session = await opened(empty_house.runtime())
    for n in range(3):
        assert (await session.call("desk.note", {"text": str(n)})).status is Status.DONE
    assert len(desk.effects) == 3


async def test_a_counted_exception_counts_across_restarts(empty_house: House, desk: Desk) -> None:
    empty_house.apply(exception(moment(START_US + 10**12), uses=1))
    await (await opened(empty_house.runtime())).call("desk.note", {"text": "a"})
    outcome = await (await opened(empty_house.runtime())).call("desk.note", {"text": "b"})
    assert outcome.status is Status.DENIED
    assert len(desk.effects) == 1


@pytest.mark.parametrize("uses", [None, 1])
async def test_a_result_leaves_by_an_exception_that_came_meanwhile_unless_its_uses_are_counted(
    empty_house: House, desk: Desk, uses: int | None
) -> None:
    empty_house.apply(POLICY)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    only = exception(moment(START_US + 10**12), uses=uses)

    async def change() -> None:
        desk.meanwhile = None
        await asyncio.to_thread(empty_house.apply, only)

    desk.meanwhile = change
    outcome = await session.call("desk.look", {"text": "a"})
    assert (outcome.status, outcome.value) == (
        (Status.DONE, {"seen": "a"}) if uses is None else (Status.DENIED, None)
    )
    counted = runtime.ledger.read(lambda c: [tuple(row) for row in c.execute(t.grant_uses.select())])
    assert counted == []
