"""Promise: an mbox file is a mailbox like any other: messages are found, kept apart, and keep their ids."""

from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.tools.context import World
from pratique.tools.email_mbox import list_messages, read_message, search_messages
from pratique.tools.mbox import LARGEST_FILE

FROM = b"From ana@acme.example Fri Nov 20 10:14:00 2026\n"
HEAD = b"From: ana@acme.example\nSubject: %b\nDate: Fri, 20 Nov 2026 10:14:00 +0000\n"


@pytest.fixture
def root(world: World, tmp_path: Path) -> Path:
    world.roots["mbox"] = tmp_path / "mbox"
    world.roots["mbox"].mkdir()
    return world.roots["mbox"]


def put(root: Path, *messages: bytes, folder: str = "inbox") -> None:
    (root / folder).write_bytes(b"".join(FROM + raw + b"\n" for raw in messages))


async def test_lists_newest_first_with_pages(run: Any, root: Path) -> None:
    put(root, *(HEAD % word + b"\nbody\n" for word in (b"first", b"second", b"third")))
    page = await run(list_messages, limit=2)
    assert [one["subject"] for one in page["messages"]] == ["third", "second"]
    assert (page["total"], page["messages"][0]["date"]) == (3, "2026-11-20T10:14:00Z")
    rest = await run(list_messages, limit=2, before=page["next"])
    assert ([one["subject"] for one in rest["messages"]], rest["next"]) == (["first"], None)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
async def test_an_id_survives_that_a_mail_program_sets_flags(run: Any, root: Path, line_end: bytes) -> None:
    def write(flags: bytes) -> None:
        raw = FROM + HEAD % b"one" + flags + b"\nbody\n\n" + FROM + HEAD % b"two" + b"\nbody\n"
        (root / "inbox").write_bytes(raw.replace(b"\n", line_end))

    write(b"")
    [_, one] = (await run(list_messages))["messages"]
    write(b"Status: RO\nX-Status: AF\nX-UID: 17\n")
    read = await run(read_message, id=one["id"])
    assert (read["subject"], read["flags"], read["unread"]) == ("one", ["answered", "flagged", "seen"], False)
    assert one["unread"]


async def test_only_a_line_after_an_empty_one_begins_a_message(run: Any, root: Path) -> None:
    put(root, HEAD % b"one" + b"\n>From me\n>>From you\nFrom us, no empty line before\n")
    [one] = (await run(list_messages))["messages"]
    read = await run(read_message, id=one["id"])
    assert read["body"] == "From me\n>From you\nFrom us, no empty line before"


async def test_equal_messages_are_told_apart(run: Any, root: Path) -> None:
    put(root, *[HEAD % b"same" + b"\nbody\n"] * 3)
    ids = [one["id"] for one in (await run(list_messages))["messages"]]
    assert len(set(ids)) == 3
    assert {(await run(read_message, id=identity))["subject"] for identity in ids} == {"same"}


async def test_search_reads_what_the_messages_say(run: Any, root: Path) -> None:
    put(root, HEAD % b"one" + b"\nthe Harbour\n", HEAD % b"two" + b"\nthe ship\n")
    for conditions, found in (
        ({"text": "harbour"}, ["one"]),
        ({"subject": "TWO", "sender": "ana@"}, ["two"]),
        ({"since": "2026-11-20"}, ["two", "one"]),
        ({"until": "2026-11-20"}, []),
        ({"unread": True}, ["two", "one"]),
    ):
        page = await run(search_messages, **conditions)
        assert [one["subject"] for one in page["messages"]] == found
    first = await run(search_messages, text="the", limit=1)
    second = await run(search_messages, text="the", limit=1, before=first["next"])
    assert [page["messages"][0]["subject"] for page in (first, second)] == ["two", "one"]


@pytest.mark.parametrize("folder", ["", ".", "..", "../inbox", "a/b", "/etc/passwd", ".hidden", "a\0b"])
async def test_no_folder_leads_out(run: Any, root: Path, folder: str) -> None:
    put(root, HEAD % b"one" + b"\n")
    with pytest.raises(ToolError, match="cannot be the name of a mail folder"):
        await run(list_messages, folder=folder)


async def test_what_is_missing_or_too_large_is_said(run: Any, root: Path) -> None:
    with pytest.raises(ToolError, match="the mail folder 'inbox' does not exist"):
        await run(list_messages)
    with (root / "inbox").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(ToolError, match="the mail folder 'inbox' cannot be had: larger than"):
        await run(list_messages)
    (root / "empty").touch()
    assert (await run(list_messages, folder="empty"))["total"] == 0
