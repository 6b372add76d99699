"""Promise: concurrent writers lose nothing, a repeat adds nothing, a damaged ticket hurts only itself."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.errors import ToolError
from pratique.sandbox.beneath import Root
from pratique.tools.context import Files, World
from pratique.tools.tickets import comment_on_ticket, list_tickets, read_ticket, update_ticket
from pratique.tools.tickets_local import LocalTickets
from pratique.tools.tickets_store import Change, Comment
from pratique.tools.tickets_tools import MOST_COMMENTS

BEGAN = {
    "id": "T-1",
    "title": "Printer on fire",
    "reporter": "ana@acme.example",
    "body": "It burns.",
    "created": "2026-11-20T10:00:00Z",
}


def put(root: Path, **facts: Any) -> None:
    ticket = {**BEGAN, **facts}
    (root / ticket["id"]).mkdir()
    (root / ticket["id"] / "ticket.json").write_bytes(orjson.dumps(ticket))


@pytest.fixture
def store(world: World) -> Path:
    root = world.roots["tickets"]
    for number in (1, 2, 3):
        put(root, id=f"T-{number}")
    return root


@pytest.mark.usefixtures("store")
async def test_lists_and_reads(run: Any) -> None:
    page = await run(list_tickets, limit=2)
    assert ([one["id"] for one in page["tickets"]], page["total"], page["next"]) == (["T-1", "T-2"], 3, "T-2")
    page = await run(list_tickets, limit=2, after=page["next"])
    assert ([one["id"] for one in page["tickets"]], page["next"]) == (["T-3"], None)
    assert await run(read_ticket, id="T-1") == {
        "id": "T-1",
        "title": "Printer on fire",
        "reporter": "ana@acme.example",
        "state": "new",
        "priority": "normal",
        "assignee": None,
        "created": "2026-11-20T10:00:00Z",
        "updated": "2026-11-20T10:00:00Z",
        "comment_count": 0,
        "messages": [{"author": "ana@acme.example", "time": "2026-11-20T10:00:00Z", "body": "It burns."}],
        "omitted": 0,
        "attachments": [],
    }


async def test_an_update_changes_what_it_names_and_nothing_else(run: Any, store: Path) -> None:
    began = (store / "T-1" / "ticket.json").read_bytes()
    await run(update_ticket, id="T-1", state="open", assignee="kim@acme.example")
    await run(update_ticket, id="T-1", priority="high", call_id="c2")
    ticket = await run(read_ticket, id="T-1")
    assert (ticket["state"], ticket["priority"], ticket["assignee"]) == ("open", "high", "kim@acme.example")
    assert (await run(list_tickets, state="open"))["tickets"][0]["id"] == "T-1"
    assert (await run(read_ticket, id="T-2"))["state"] == "new"
    assert (store / "T-1" / "ticket.json").read_bytes() == began
    with pytest.raises(ToolError, match="nothing to update"):
        await run(update_ticket, id="T-1")


@pytest.mark.usefixtures("store")
async def test_a_repeated_call_adds_nothing(run: Any) -> None:
    first = await run(comment_on_ticket, id="T-1", body="On it.")
    assert await run(comment_on_ticket, id="T-1", body="On it.") == first
    assert first["comment_count"] == 1
    assert (await run(comment_on_ticket, id="T-1", body="On it.", call_id="c2"))["comment_count"] == 2
    assert (await run(comment_on_ticket, id="T-1", body="other words"))["comment_count"] == 3
    await run(update_ticket, id="T-1", state="open")
    await run(update_ticket, id="T-1", state="closed", call_id="c2")
    assert (await run(update_ticket, id="T-1", state="open"))["state"] == "closed"


def test_comments_and_changes_at_once_are_all_there(store: Path) -> None:
    start = threading.Barrier(8)
    moment = datetime(2026, 11, 21, tzinfo=UTC)

    def write(number: int) -> None:
        tickets = LocalTickets(Files(Root(store), "tickets", writable=True))
        start.wait()
        for turn in range(10):
            key = f"{number}x{turn}"
            tickets.comment("T-1", key, Comment(author="a", time=moment, body=key))
            tickets.change("T-1", key, Change(author="a", time=moment, priority="high"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ticket = LocalTickets(Files(Root(store), "tickets", writable=False)).ticket("T-1")
    assert sorted(comment.body for comment in ticket.comments) == sorted(
        f"{number}x{turn}" for number in range(8) for turn in range(10)
    )
    assert len(list((store / "T-1" / "changes").iterdir())) == 80
    assert ticket.priority == "high"


@pytest.mark.parametrize("identity", ["../T-1", "T-1/..", "/etc", "", ".", "T-1\0", "T 1", "x" * 65, "T-1\n"])
@pytest.mark.usefixtures("store")
async def test_no_id_leads_out(run: Any, identity: str) -> None:
    for tool, args in (
        (read_ticket, {}),
        (comment_on_ticket, {"body": "x"}),
        (update_ticket, {"state": "open"}),
    ):
        with pytest.raises(ValueError, match=": "):
            await run(tool, id=identity, **args)


async def test_a_damaged_ticket_is_listed_with_its_problem(run: Any, store: Path, tmp_path: Path) -> None:
    (store / "T-1" / "ticket.json").write_text("{")
    (store / "T-2" / "ticket.json").write_bytes(orjson.dumps({**BEGAN, "id": "T-3"}))
    (store / "T-4").mkdir()
    (store / "T-5").symlink_to(tmp_path)
    (store / "T-6").mkdir()
    (store / "T-6" / "ticket.json").symlink_to(store / "T-3" / "ticket.json")
    put(store, id="T-7", created="yesterday")
    listed = {one["id"]: one["problem"] for one in (await run(list_tickets))["tickets"]}
    assert listed == {
        "T-1": "the ticket 'T-1' cannot be had: T-1/ticket.json is damaged: not JSON",
        "T-2": "the ticket 'T-2' is damaged: its file names another id",
        "T-3": "",
        "T-4": "the ticket 'T-4' does not exist",
        "T-6": "the ticket 'T-6' cannot be had: a symbolic link is on the path",
        "T-7": "the ticket 'T-7' cannot be had: T-7/ticket.json is damaged: created",
    }
    for identity in ("T-1", "T-2", "T-4", "T-6", "T-7", "T-9"):
        with pytest.raises(ToolError):
            await run(comment_on_ticket, id=identity, body="x")
    assert not [path for path, folders, _ in os.walk(store) if "comments" in folders]
    assert not (store / "T-9").exists()


async def test_a_damaged_comment_fails_its_ticket_and_names_itself(run: Any, store: Path) -> None:
    await run(comment_on_ticket, id="T-1", body="x")
    (store / "T-1" / "comments" / "zz.json").write_text('{"author": "a"}')
    with pytest.raises(ToolError, match=r"T-1/comments/zz.json is damaged: time"):
        await run(read_ticket, id="T-1")
    assert (await run(read_ticket, id="T-2"))["state"] == "new"


async def test_a_long_ticket_keeps_its_beginning_and_its_end(run: Any, store: Path) -> None:
    tickets = LocalTickets(Files(Root(store), "tickets", writable=True))
    began = datetime(2026, 11, 21, tzinfo=UTC)
    (store / "T-1" / "comments").mkdir()
    for number in range(MOST_COMMENTS + 7):
        event = Comment(author="a", time=began + timedelta(minutes=number), body=str(number))
        (store / "T-1" / "comments" / f"{number:04}.json").write_text(event.model_dump_json())
    ticket = await run(read_ticket, id="T-1")
    assert ticket["omitted"] == 7
    assert [ticket["messages"][place]["body"] for place in (0, 1, -1)] == ["It burns.", "7", "206"]
    tickets.comment(
        "T-1", "big", Comment(author="a", time=datetime(2027, 1, 1, tzinfo=UTC), body="x" * 300_000)
    )
    assert [one["body"] for one in (await run(read_ticket, id="T-1"))["messages"]] == ["It burns."]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from([None, "open", "solved", "closed"]),
            st.sampled_from([None, "low", "high"]),
        ),
        max_size=8,
    )
)
def test_the_last_word_counts_whatever_the_clock_says(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, Any, Any]]
) -> None:
    """Changes made one after the other add up in that order, even when the clock jumps back."""
    root = tmp_path_factory.mktemp("tickets")
    put(root)
    tickets = LocalTickets(Files(Root(root), "tickets", writable=True))
    expected: dict[str, Any] = {"state": "new", "priority": "normal"}
    for number, (hour, state, priority) in enumerate(changes):
        moment = datetime(2026, 11, 21, hour, tzinfo=UTC)
        # The keys sort against the order of writing.
        key = f"k{99 - number}"
        ticket = tickets.change("T-1", key, Change(author="a", time=moment, state=state, priority=priority))
        expected |= {k: v for k, v in (("state", state), ("priority", priority)) if v is not None}
        assert {"state": ticket.state, "priority": ticket.priority} == expected
