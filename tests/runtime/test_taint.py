"""Promise 2, in its simplest honest form: what a session was shown marks every later call, and never less."""

import asyncio
from typing import Any

import pytest

from pratique.model import Confidentiality, Integrity, Status
from pratique.runtime import Runtime
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from tests.house import ALLOW_ALL, PEOPLE, Desk, House, opened, records

CLEAN_ONLY = (
    PEOPLE
    + ALLOW_ALL.replace('"sink"', '"none"')
    .replace('"desk"', '"clean"')
    .replace('["desk.*"]', '["desk.note"]')
    + ALLOW_ALL.replace('["desk.*"]', '["desk.look", "desk.mail", "desk.odd"]')
)


async def test_reading_text_from_outside_taints_the_calls_after_it(empty_house: House, desk: Desk) -> None:
    empty_house.apply(CLEAN_ONLY)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    assert (await session.call("desk.note", {"text": "before"})).status is Status.DONE
    await session.call("desk.look")
    assert (await session.call("desk.note", {"text": "still clean"})).status is Status.DONE
    read = await session.call("desk.mail", call_id="m1")
    assert read.label.integrity is Integrity.UNTRUSTED
    assert read.label.confidentiality is Confidentiality.CONFIDENTIAL
    assert read.label.sources == {"desk.mail:m1#body"}
    assert session.context == read.label
    after = await session.call("desk.note", {"text": "after"})
    assert after.status is Status.DENIED
    assert "taint only up to none, this is context" in after.error
    assert [e.text for e in desk.effects] == ["before", "still clean"]
    assert records(runtime.ledger)[-1]["taint"] == "context"


async def test_the_taint_is_kept_when_the_session_goes_on_elsewhere(empty_house: House, desk: Desk) -> None:
    empty_house.apply(CLEAN_ONLY)
    session = await opened(empty_house.runtime())
    await session.call("desk.mail")
    resumed = await empty_house.runtime().resume_session(session.id)
    assert resumed.context == session.context
    assert (await resumed.call("desk.note", {"text": "after"})).status is Status.DENIED
    assert not desk.effects


async def test_another_session_is_not_tainted(empty_house: House) -> None:
    empty_house.apply(CLEAN_ONLY)
    runtime = empty_house.runtime()
    await (await opened(runtime)).call("desk.mail")
    assert (await (await opened(runtime)).call("desk.note", {"text": "a"})).status is Status.DONE


async def test_a_process_whose_session_goes_on_elsewhere_is_shown_nothing_any_more(house: House) -> None:
    """What it read would taint the session, and the process that serves it now would not know."""
    first = await opened(house.runtime())
    second = await house.runtime().resume_session(first.id)
    late, served = await asyncio.gather(
        first.call("desk.mail", call_id="a"), second.call("desk.mail", call_id="b")
    )
    assert (late.status, late.value) == (Status.DENIED, None)
    assert "goes on in another process" in late.error
    assert served.status is Status.DONE
    third = await house.runtime().resume_session(first.id)
    assert third.context.sources == {"desk.mail:b#body"}
    assert third.context.integrity is Integrity.UNTRUSTED


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        ({"body": "text"}, True),
        ({"body": ""}, False),
        ({"body": None}, False),
        ({"id": "m1"}, False),
        ({"body": 0}, True),
        ({"body": [{"deep": "text"}]}, True),
    ],
)
async def test_a_declared_field_marks_the_result_when_it_holds_anything(
    house: House, value: Any, marked: bool
) -> None:
    @tool("desk.odd", tier="read", sources=["body"])
    async def odd(_: ToolContext) -> Any:
        return value

    session = await opened(house.runtime(tools=[odd]))
    outcome = await session.call("desk.odd")
    assert (outcome.label.integrity is Integrity.UNTRUSTED) == marked
    assert (session.context.integrity is Integrity.UNTRUSTED) == marked


async def test_a_tool_that_declares_no_sources_returns_untrusted_text_only(house: House) -> None:
    @tool("desk.odd", tier="read")
    async def odd(_: ToolContext) -> Any:
        return ["a", {"b": "c"}]

    outcome = await (await opened(house.runtime(tools=[odd]))).call("desk.odd", call_id="c1")
    assert outcome.label.sources == {"desk.odd:c1#[]", "desk.odd:c1#[].b", "desk.odd:c1#[].b#key"}


def many_fields(count: int, length: int) -> Tool:
    @tool("desk.odd", tier="write")
    async def odd(_: ToolContext) -> Any:
        return {f"{n:05}".ljust(length, "ä"): "text from outside" for n in range(count)}

    return odd


@pytest.mark.parametrize(("count", "length"), [(10_000, 5), (60, 4_000), (2_000, 100)])
async def test_a_result_with_however_many_names_can_be_recorded(
    house: House, count: int, length: int
) -> None:
    """The names in a result come from outside too: they must not keep an outcome out of the chain."""
    runtime = house.runtime(tools=[many_fields(count, length)])
    session = await opened(runtime)
    outcome = await session.call("desk.odd")
    assert outcome.status is Status.DONE
    assert outcome.label.integrity is Integrity.UNTRUSTED
    assert len(outcome.value) == count
    assert records(runtime.ledger)[-1]["outcome"] == "done"
    assert (await session.call("desk.look")).status is Status.DONE


async def test_labels_never_fall_over_a_long_session(runtime: Runtime) -> None:
    session = await opened(runtime)
    highest = session.context
    for n in range(100):
        await session.call(("desk.mail", "desk.look")[n % 2], call_id=f"c{n}")
        assert session.context.integrity.rank >= highest.integrity.rank
        assert session.context.confidentiality.rank >= highest.confidentiality.rank
        highest = session.context
    assert len(highest.sources) <= 64
