"""A session is who asks, for whom, and what was said: recorded, and kept from the log's readers."""

import asyncio
import math
from typing import Any

import pytest

from pratique.errors import (
    CanonicalError,
    LedgerCorruptError,
    PratiqueError,
    SessionClosedError,
    TraceInUseError,
)
from pratique.ledger import queries
from pratique.model import Status
from pratique.runtime import Runtime
from tests.house import Desk, House, break_log, mend_log, opened, records, sql, verify


def opening_values(runtime: Runtime) -> dict[str, bytes]:
    (record,) = records(runtime.ledger, "session.open")
    found = runtime.ledger.read(lambda c: queries.values(c, runtime.ledger.vault, record))
    assert all(value.genuine for value in found.values())
    return {name: value.value for name, value in found.items()}


async def test_what_the_host_says_is_committed_to_and_kept_out_of_the_log(runtime: Runtime) -> None:
    await opened(
        runtime, request="please refund order 8821", model="m-1 2026", inputs={"order": 8821, "x": [1.5]}
    )
    (record,) = records(runtime.ledger, "session.open")
    assert record["model"] == "m-1 2026"
    assert "kim" not in str(record)
    assert "8821" not in str(record).replace(record["trace_id"], "")
    assert opening_values(runtime) == {
        "user": b"kim@acme.example",
        "request": b"please refund order 8821",
        "inputs": b'{"order":8821,"x":[1.5]}',
    }


async def test_the_final_answer_is_committed_to_when_the_session_ends(runtime: Runtime) -> None:
    async with runtime.session(agent="support", user="kim@acme.example") as session:
        session.finish("refunded \ud800", "refund")
    record = records(runtime.ledger)[-1]
    assert (record["type"], record["final_action"]) == ("session.close", "refund")
    values = runtime.ledger.read(lambda c: queries.values(c, runtime.ledger.vault, record))
    assert values["output"].value == "refunded \ufffd".encode()
    await session.aclose()
    assert len(records(runtime.ledger, "session.close")) == 1


async def test_a_session_that_ends_with_an_error_is_closed_all_the_same(runtime: Runtime) -> None:
    with pytest.raises(RuntimeError, match="the agent broke"):
        async with runtime.session(agent="support", user="kim@acme.example"):
            raise RuntimeError("the agent broke")
    assert len(records(runtime.ledger, "session.close")) == 1


@pytest.mark.parametrize(
    "inputs", [{"n": math.nan}, {"s": "\ud800"}, {"x": "y" * 2_000_000}, {"n": 2**60}, {1: 2}], ids=range(5)
)
async def test_inputs_that_are_no_json_are_refused_and_no_session_is_opened(
    runtime: Runtime, inputs: dict[Any, Any]
) -> None:
    with pytest.raises(CanonicalError):
        await opened(runtime, inputs=inputs)
    assert not records(runtime.ledger, "session.open")


@pytest.mark.parametrize(
    "name", ["\ud800", "", "x" * 100_000, "kim\0", "' OR 1=1 --", "\u202e"], ids=range(6)
)
async def test_names_of_any_text_open_a_session_or_are_refused_in_our_words(
    runtime: Runtime, name: str
) -> None:
    for facts in ({"agent": name, "user": "kim"}, {"agent": "support", "user": name}):
        try:
            session = await runtime.open_session(**facts)  # type: ignore[arg-type]  # the keys are right
        except PratiqueError:
            continue
        outcome = await session.call("desk.look")
        assert outcome.status is (Status.DENIED if facts["user"] == "kim" else Status.DONE)
    neighbour = await opened(runtime)
    assert (await neighbour.call("desk.look")).status is Status.DONE
    verify(runtime.ledger)


@pytest.mark.parametrize(
    ("user", "odd"),
    [
        (" li@acme.example", "a blank"),
        ("li@acme.example ", "a blank"),
        ("li @acme.example", "a blank"),
        ("li@acme.example\u3000", "nobody sees"),
        ('"li"@acme.example', "quotes"),
        ("li@acme.example.", "ends with a dot"),
        ("li@acme\u3002example", "not a full stop"),
    ],
)
async def test_another_spelling_of_a_name_is_not_another_person(
    runtime: Runtime, user: str, odd: str
) -> None:
    """Mail to each of these reaches li, who would answer their own question."""
    with pytest.raises(CanonicalError, match=odd):
        await opened(runtime, user=user)
    assert not records(runtime.ledger, "session.open")


async def test_a_trace_id_belongs_to_one_session(runtime: Runtime) -> None:
    first = await opened(runtime, trace_id="ab" * 16)
    before = records(runtime.ledger)
    with pytest.raises(TraceInUseError, match=f"is that of the session {first.id}: leave trace_id out"):
        await opened(runtime, trace_id="ab" * 16, user="mo@acme.example")
    assert records(runtime.ledger) == before
    assert (await first.call("desk.look")).status is Status.DONE
    assert (await (await opened(runtime)).call("desk.look")).status is Status.DONE


async def test_two_at_once_cannot_have_one_trace_id(runtime: Runtime) -> None:
    both = (opened(runtime, trace_id="ab" * 16) for _ in range(2))
    ends = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Session", "TraceInUseError"]


@pytest.mark.parametrize("trace_id", ["0" * 32, "AB" * 16, "ab", "g" * 32, "ab" * 16 + "\n"])
async def test_a_trace_id_that_is_none_is_refused(runtime: Runtime, trace_id: str) -> None:
    with pytest.raises(CanonicalError, match="32 lower-case hex digits"):
        await opened(runtime, trace_id=trace_id)
    assert not records(runtime.ledger, "session.open")


async def test_a_session_that_cannot_be_recorded_is_not_opened(runtime: Runtime) -> None:
    break_log(runtime.ledger)
    with pytest.raises(PratiqueError):
        await opened(runtime)
    mend_log(runtime.ledger)
    await opened(runtime)
    assert len(records(runtime.ledger, "session.open")) == 1


async def test_a_session_is_resumed_by_its_id_or_its_trace(house: House) -> None:
    first = await opened(house.runtime(), trace_id="ab" * 16)
    for name in (first.id, "ab" * 16):
        resumed = await house.runtime().resume_session(name)
        assert resumed.subject == first.subject


async def test_the_user_of_a_resumed_session_is_the_one_that_was_recorded(house: House) -> None:
    runtime = house.runtime()
    first = await opened(runtime, user="kim@acme.example")
    await opened(runtime, user="li@acme.example")
    kim, li = (record["seq"] for record in records(runtime.ledger, "session.open"))
    sql(
        runtime.ledger,
        "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?",
        li,
        kim,
    )
    with pytest.raises(LedgerCorruptError):
        await house.runtime().resume_session(first.id)
    sql(runtime.ledger, "DELETE FROM vault WHERE seq = ?", kim)
    with pytest.raises(LedgerCorruptError, match="user was erased"):
        await house.runtime().resume_session(first.id)


async def test_of_many_that_resume_at_once_one_may_write(house: House, desk: Desk) -> None:
    first = await opened(house.runtime())
    runtimes = [house.runtime() for _ in range(4)]
    sessions = await asyncio.gather(*(runtime.resume_session(first.id) for runtime in runtimes))
    outcomes = await asyncio.gather(*(s.call("desk.note", {"text": "a"}) for s in (first, *sessions)))
    assert sorted(outcome.status for outcome in outcomes) == [Status.DENIED] * 4 + [Status.DONE]
    assert len(desk.effects) == 1


async def test_a_session_that_ends_while_it_is_resumed_stays_ended(house: House) -> None:
    for _ in range(5):
        runtime, other = house.runtime(), house.runtime()
        session = await opened(runtime)
        _, resumed = await asyncio.gather(
            session.aclose(), other.resume_session(session.id), return_exceptions=True
        )
        row = other.ledger.read(lambda c, session=session: queries.session(c, session.id))  # type: ignore[misc]  # bound in the loop on purpose
        assert row is not None
        assert bool(row.closed_us) == isinstance(resumed, SessionClosedError)
