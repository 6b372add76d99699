"""Server-sent events: what happened since, what happens now, to whoever may hear it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from pratique.identity.people import People
from pratique.server.feed import Event, Feed
from tests.house import POLICY, Clock, House, answer, opened, records
from tests.server.front import Front, front_of
from tests.server.test_people_api import LI, MO, asked

ALL = 30


@asynccontextmanager
async def listening(feed: Feed, after: int) -> AsyncIterator["asyncio.Queue[Event]"]:
    """Give a queue that a listener fills; it listens when this begins."""
    heard: asyncio.Queue[Event] = asyncio.Queue()
    before = len(feed)

    async def listen() -> None:
        async with contextlib.aclosing(feed.listen(after, lambda event: bool(event.ticket))) as events:
            async for event in events:
                heard.put_nowait(event)

    task = asyncio.create_task(listen())
    async with asyncio.timeout(ALL):
        while len(feed) == before and not task.done():  # noqa: ASYNC110  # it begins in the other task
            await asyncio.sleep(0)
    try:
        yield heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def next_of(heard: "asyncio.Queue[Event]") -> Event:
    async with asyncio.timeout(ALL):
        return await heard.get()


async def test_a_listener_hears_what_happens_as_it_stands_and_no_arguments(front: Front) -> None:
    feed = front.app.state.door.feed
    async with listening(feed, await feed.last()) as heard:
        _, _, ticket = await asked(front)
        asked_event = await next_of(heard)
        await asyncio.to_thread(answer, front.runtime, ticket)
        events = [asked_event, await next_of(heard), await next_of(heard)]
    assert [(event.type, event.state) for event in events] == [
        ("approval.proposed", "proposed"),
        ("approval.vote", "proposed"),
        ("approval.decided", "approved"),
    ]
    assert {event.ticket for event in events} == {ticket}
    assert "mo" not in str([event.tool for event in events])
    assert len(feed) == 0


async def test_whoever_comes_back_gets_everything_since_without_gaps_or_repeats(front: Front) -> None:
    feed = front.app.state.door.feed
    tickets = [(await asked(front, args={"to": "mo", "amount": n}))[2] for n in range(3)]
    seen = records(front.ledger, "approval.proposed")[0]["seq"]
    async with listening(feed, seen) as heard:
        tickets.append((await asked(front, args={"to": "mo", "amount": 9}))[2])
        assert [(await next_of(heard)).ticket for _ in range(3)] == tickets[1:]
    assert heard.empty()


async def test_who_comes_back_to_one_session_reads_that_one_and_a_page_at_a_time(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pratique.server.feed.PAGE", 2)
    feed, runtime = front.app.state.door.feed, front.runtime
    mine, other = await opened(runtime), await opened(runtime)
    for number in range(4):
        await other.call("desk.note", {"text": str(number)})
    await mine.call("desk.note", {"text": "mine"})
    read: list[list[str]] = []
    at_once = [0, 0]
    page = feed._page

    async def watched(after: int, session: str = "") -> Any:
        if session:
            at_once[0] += 1
            at_once[1] = max(at_once)
        found = await page(after, session)
        if session:
            at_once[0] -= 1
            read.append([record["session"] for record in found])
        return found

    monkeypatch.setattr(feed, "_page", watched)

    async def come_back() -> list[str]:
        async with contextlib.aclosing(feed.listen(0, lambda _: True, mine.id)) as events:
            return [(await anext(events)).type for _ in range(3)]

    async with asyncio.timeout(ALL):
        heard = await asyncio.gather(*(come_back() for _ in range(8)))
    assert heard == [["session.open", "call.intent", "call.outcome"]] * 8
    assert {session for sessions in read for session in sessions} == {mine.id}
    assert at_once == [0, 1]
    assert max(map(len, read)) <= 2


async def test_what_another_process_commits_is_heard(front: Front, house: House) -> None:
    feed = front.app.state.door.feed
    async with listening(feed, await feed.last()) as heard:
        session = await opened(house.runtime())
        pending = await session.call("desk.pay", {"to": "mo", "amount": 1})
        assert (await next_of(heard)).ticket == pending.ticket


async def test_who_does_not_keep_up_is_let_go(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pratique.server.feed.MOST_BEHIND", 2)
    feed = front.app.state.door.feed
    slow = feed.listen(await feed.last(), lambda _: True)
    first = asyncio.create_task(anext(slow))
    await asyncio.sleep(0)
    for amount in range(4):
        await asked(front, args={"to": "mo", "amount": amount})
    await first
    async with asyncio.timeout(ALL):
        assert len([event async for event in slow]) <= 2


async def test_two_hundred_listeners_hear_every_event_once(front: Front) -> None:
    feed = front.app.state.door.feed
    after = await feed.last()
    async with contextlib.AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(listening(feed, after)) for _ in range(200)]
        assert len(feed) == 200
        tickets = [(await asked(front, args={"to": "mo", "amount": n}))[2] for n in range(5)]
        for heard in queues:
            assert [(await next_of(heard)).ticket for _ in range(5)] == tickets
    assert len(feed) == 0


async def streamed(front: Front, client: Any, path: str, count: int, **headers: str) -> list[dict[str, Any]]:
    """Return so many events of a stream that has as many to give, then end the server's streams."""
    found: list[dict[str, Any]] = []

    async def end() -> None:
        await asyncio.sleep(0.3)
        front.app.state.door.closing.set()

    ending = asyncio.create_task(end())
    async with asyncio.timeout(ALL):
        answer = await client.get(path, headers=headers)  # this transport gives a body when it is whole
    await ending
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            found.append({"id": lines["id"], "event": lines["event"], **orjson.loads(lines["data"])})
    assert len(found) == count
    return found


async def test_the_stream_goes_on_after_the_last_event_id(front: Front) -> None:
    for amount in range(3):
        await asked(front, args={"to": "mo", "amount": amount})
    first = records(front.ledger, "approval.proposed")[0]["seq"]
    li = await front.person(LI)
    events = await streamed(front, li, "/api/v1/approvals/events", 2, **{"Last-Event-ID": str(first)})
    assert [event["event"] for event in events] == ["approval.proposed"] * 2
    assert all(int(event["id"]) == event["seq"] > first for event in events)


async def test_an_agent_hears_of_its_own_session_only(front: Front) -> None:
    agent, session, ticket = await asked(front)
    await asked(front)
    events = await streamed(front, agent, f"{session}/events", 2, **{"Last-Event-ID": "0"})
    assert [event["type"] for event in events] == ["session.open", "approval.proposed"]
    assert events[1]["ticket"] == ticket


@pytest.mark.parametrize("last", ["-1", "x", "1e3", "9" * 40, "٣"])
async def test_an_event_id_that_is_none_is_refused(front: Front, last: str) -> None:
    li = await front.person(LI)
    answer = await li.get("/api/v1/approvals/events", headers=[(b"last-event-id", last.encode())])
    assert answer.status_code == 422


async def test_streams_of_one_caller_are_bounded(house: House) -> None:
    async with front_of(house.runtime(), open_streams=1) as front:
        li = await front.person(LI)
        held = front.app.state.door.streams.one(f"person:{LI}")
        with held:
            assert (await li.get("/api/v1/approvals/events")).status_code == 429
        await streamed(front, li, "/api/v1/approvals/events", 0)
        assert not front.app.state.door.streams.taken


@pytest.mark.parametrize("end", ["account", "role", "group"])
async def test_a_stream_ends_when_its_login_or_its_right_does(
    front: Front, house: House, clock: Clock, end: str
) -> None:
    name = MO if end == "role" else LI
    listener = await front.person(name, *(["auditor"] if end == "role" else []))
    listening_task = asyncio.create_task(listener.get("/api/v1/approvals/events"))
    feed = front.app.state.door.feed
    async with asyncio.timeout(ALL):
        while not len(feed):  # noqa: ASYNC110  # it begins in the other task
            await asyncio.sleep(0.005)
        if end == "account":
            await asyncio.to_thread(People(front.ledger).disable, LI, "local:test")
        elif end == "role":
            await asyncio.to_thread(People(front.ledger).give, MO, [], "local:test")
        else:
            await asyncio.to_thread(house.apply, POLICY.replace('"li@acme.example", ', ""))
        clock.forward(10)
        await asked(front)
        answer = await listening_task
    assert "approval.proposed" not in answer.text
