"""Promise: a ticket on Roundup is listed, read and changed like one on disk; a repeat adds nothing, and what
somebody else did meanwhile is not undone."""

import asyncio
from typing import Any

import pytest

from pratique.capabilities.fields import Shape
from pratique.errors import ToolError
from pratique.tools import tickets as local
from tests.servers.roundup import Roundup


async def test_a_ticket_is_read_with_everything_in_it(run: Any, tools: Any, tracker: Roundup) -> None:
    issue = tracker.issue("Printer on fire", "It burns.", "Still.", status="unread", priority="urgent")
    ticket = await run(tools["read"], id=issue)
    times = [ticket.pop("created"), ticket.pop("updated"), *(one.pop("time") for one in ticket["messages"])]
    assert all(time.endswith("Z") for time in times)
    assert ticket == {
        "id": issue,
        "title": "Printer on fire",
        "reporter": "ana",
        "state": "new",
        "priority": "high",
        "assignee": None,
        "comment_count": 1,
        "messages": [{"author": "ana", "body": "It burns."}, {"author": "ana", "body": "Still."}],
        "omitted": 0,
        "attachments": [],
    }


def test_the_labels_are_those_of_tickets_on_disk(tools: Any) -> None:
    on_disk = (local.list_tickets, local.read_ticket, local.comment_on_ticket, local.update_ticket)
    for tool in on_disk:
        same = tools[tool.capability.name.removeprefix("tickets.")].capability
        assert (same.sources, same.sinks, same.tier, same.ids, same.parameters) == (
            tool.capability.sources,
            tool.capability.sinks,
            tool.capability.tier,
            tool.capability.ids,
            tool.capability.parameters,
        )
    shape: Shape = tools["read"].shape
    found = {"title": "x", "reporter": "x", "state": "x", "messages": [{"body": "x", "author": "x"}]}
    foreign = {leaf.path for leaf in shape.leaves(found) if leaf.word.label.foreign}
    assert foreign == {"title", "reporter", "messages[].body", "messages[].author"}


async def test_tickets_are_listed_by_number_in_pages(run: Any, tools: Any, tracker: Roundup) -> None:
    ids = [tracker.issue(f"t{number}", status="deferred") for number in range(12)]
    page = await run(tools["list"], state="pending", limit=5, after=str(int(ids[0]) - 1))
    assert [one["id"] for one in page["tickets"]] == ids[:5]
    page = await run(tools["list"], state="pending", limit=5, after=ids[9])
    assert ([one["title"] for one in page["tickets"]], page["next"]) == (["t10", "t11"], None)
    everything = await run(tools["list"], limit=200)
    assert everything["total"] >= 12
    assert [one["problem"] for one in everything["tickets"]] == [""] * len(everything["tickets"])


async def test_a_comment_is_written_once_in_the_name_of_the_user(
    run: Any, tools: Any, tracker: Roundup
) -> None:
    issue = tracker.issue("Printer", "It burns.")
    first = await run(tools["comment"], id=issue, body="On it.\nKim")
    assert first["comment_count"] == 1
    assert (await run(tools["comment"], id=issue, body="On it.\nKim"))["comment_count"] == 1
    assert (await run(tools["comment"], id=issue, body="On it.\nKim", call_id="c2"))["comment_count"] == 2
    ticket = await run(tools["read"], id=issue)
    assert [(one["author"], one["body"]) for one in ticket["messages"]] == [
        ("ana", "It burns."),
        ("kim", "On it.\nKim"),
        ("kim", "On it.\nKim"),
    ]


async def test_a_repeat_finishes_what_broke_off_between_message_and_issue(
    run: Any, tools: Any, tracker: Roundup
) -> None:
    issue = tracker.issue("Printer", "It burns.")
    await run(tools["comment"], id=issue, body="On it.")
    with tracker.client() as client:
        item = client.get(f"issue/{issue}").json()["data"]
        first = item["attributes"]["messages"][0]["id"]
        client.patch(f"issue/{issue}", json={"messages": [first]}, headers={"If-Match": item["@etag"]})
        before = client.get("msg").json()["data"]["@total_size"]
    assert (await run(tools["comment"], id=issue, body="On it."))["comment_count"] == 1
    with tracker.client() as client:
        assert client.get("msg").json()["data"]["@total_size"] == before


async def test_an_update_changes_what_it_names_and_says_who_did(
    run: Any, tools: Any, tracker: Roundup
) -> None:
    issue = tracker.issue("Printer", "It burns.", status="unread", priority="bug")
    changed = await run(tools["update"], id=issue, state="solved", assignee="kim@acme.example")
    assert (changed["state"], changed["priority"], changed["assignee"]) == ("solved", "normal", "kim")
    ticket = await run(tools["read"], id=issue)
    assert (ticket["messages"][-1]["author"], ticket["messages"][-1]["body"]) == (
        "kim",
        "Set state: solved, assignee: kim@acme.example",
    )
    assert (await run(tools["update"], id=issue, priority="low", call_id="c2"))["priority"] == "low"
    with pytest.raises(ToolError, match="nothing to update"):
        await run(tools["update"], id=issue)


async def test_a_repeated_update_does_not_undo_what_came_after_it(
    run: Any, tools: Any, tracker: Roundup
) -> None:
    issue = tracker.issue("Printer", "It burns.")
    await run(tools["update"], id=issue, state="open")
    await run(tools["update"], id=issue, state="closed", call_id="c2")
    assert (await run(tools["update"], id=issue, state="open"))["state"] == "closed"


async def test_comments_at_once_are_all_there(run: Any, perform: Any, tools: Any, tracker: Roundup) -> None:
    """Those that meet a newer version are added to it; who meets one too often says so, and repeats."""
    issue = tracker.issue("Printer", "It burns.")

    async def comment(number: int) -> None:
        result = await perform(tools["comment"], id=issue, body=f"n {number}", call_id=f"c{number}")
        while result.status == "failed":
            assert "at the same moment" in result.error
            result = await perform(tools["comment"], id=issue, body=f"n {number}", call_id=f"c{number}")

    async with asyncio.timeout(60):
        await asyncio.gather(*(comment(number) for number in range(4)))
    ticket = await run(tools["read"], id=issue)
    assert sorted(one["body"] for one in ticket["messages"][1:]) == [f"n {number}" for number in range(4)]


async def test_attachments_are_named_and_text_is_given(run: Any, tools: Any, tracker: Roundup) -> None:
    issue, other = tracker.issue("Printer", "It burns."), tracker.issue("Other", "x")
    text = tracker.attach(issue, "../../notes.txt", "text/plain", "Grüße\n".encode())
    image = tracker.attach(issue, "ship.png", "image/png", b"\x89PNG")
    ticket = await run(tools["read"], id=issue)
    assert sorted((one["id"], one["name"], one["type"]) for one in ticket["attachments"]) == [
        (text, "../../notes.txt", "text/plain"),
        (image, "ship.png", "image/png"),
    ]
    assert tools["read"].capability.sources["attachments[].name"] == "untrusted"
    got = await run(tools["attachment"], ticket=issue, id=text)
    assert (got["text"], got["bytes"], got["problem"]) == ("Grüße\n", 8, "")
    got = await run(tools["attachment"], ticket=issue, id=image)
    assert (got["text"], got["bytes"], got["problem"]) == ("", 4, "not plain text: nothing of it is given")
    with pytest.raises(ToolError, match="has no attachment"):
        await run(tools["attachment"], ticket=other, id=text)


async def test_a_long_ticket_keeps_its_beginning_and_its_end(run: Any, tools: Any, tracker: Roundup) -> None:
    texts = ["It-burns.", *(str(number) for number in range(203))]
    messages = tracker.administer(*(f"create msg author=ana content={text}" for text in texts))
    [issue] = tracker.administer(f"create issue title=Printer messages={','.join(messages)}")
    ticket = await run(tools["read"], id=issue)
    assert (ticket["omitted"], ticket["comment_count"]) == (3, 203)
    assert [ticket["messages"][place]["body"] for place in (0, 1, -1)] == ["It-burns.", "3", "202"]


@pytest.mark.parametrize("identity", ["T-1", "1a", "99999999", "0", "-1", "1_0"])
async def test_what_is_no_ticket_is_said_to_be_none(run: Any, tools: Any, identity: str) -> None:
    for name, arguments in (("read", {}), ("comment", {"body": "x"}), ("update", {"state": "open"})):
        with pytest.raises((ToolError, ValueError)):
            await run(tools[name], id=identity, **arguments)


async def test_nobody_writes_who_is_no_user_of_the_tracker(run: Any, tools: Any, tracker: Roundup) -> None:
    issue = tracker.issue("Printer", "It burns.")
    for user in ("eve@evil.example", "kim", ""):
        with pytest.raises(ToolError, match="has no user with the address"):
            await run(tools["comment"], user=user, id=issue, body="x", call_id=user)
    with pytest.raises(ToolError, match="has no user with the address"):
        await run(tools["update"], id=issue, assignee="eve@evil.example")
    assert (await run(tools["read"], id=issue))["comment_count"] == 0
