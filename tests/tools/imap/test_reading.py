"""Promise: mail on an IMAP server is listed and read like mail on disk, and reading leaves no trace."""

from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolError
from tests.servers.dovecot import Dovecot
from tests.tools.imap.messages import PLAIN, large, message


async def test_lists_newest_first_with_pages(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"first", PLAIN % b"second", PLAIN % b"third")
    page = await run(tools["list"], limit=2)
    assert [one["subject"] for one in page["messages"]] == ["third", "second"]
    assert (page["folder"], page["total"]) == ("inbox", 3)
    line = page["messages"][0]
    assert line.pop("date").endswith("Z")
    assert line == {
        "id": line["id"],
        "unread": True,
        "flags": [],
        "bytes": len(PLAIN % b"third"),
        "from": "ana@acme.example",
        "from_name": "Ana",
        "subject": "third",
        "sent": "2026-11-20T10:14:00Z",
        "has_attachments": False,
        "problems": [],
    }
    rest = await run(tools["list"], limit=2, before=page["next"])
    assert [one["subject"] for one in rest["messages"]] == ["first"]
    assert rest["next"] is None


async def test_reading_leaves_no_trace(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"third")
    [line] = (await run(tools["list"]))["messages"]
    read = await run(tools["read"], id=line["id"])
    assert (read["subject"], read["body"], read["unread"]) == ("third", "Hello", True)
    assert (await run(tools["list"]))["messages"] == [line]


async def test_a_page_follows_without_a_gap_when_its_last_message_is_gone(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, *(PLAIN % str(number).encode() for number in range(9)))
    page = await run(tools["list"], limit=4)
    assert [one["subject"] for one in page["messages"]] == ["8", "7", "6", "5"]
    dovecot.remove(user, "5", "2")
    rest = await run(tools["list"], limit=4, before=page["next"])
    assert [one["subject"] for one in rest["messages"]] == ["4", "3", "1", "0"]
    with pytest.raises(ToolError, match="no message has the id"):
        await run(tools["read"], id=page["next"])


async def test_an_old_id_never_comes_to_mean_another_message(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    """UIDVALIDITY: the folder is made anew, and its first message has the UID that another one had."""
    dovecot.deliver(user, PLAIN % b"old")
    [line] = (await run(tools["list"]))["messages"]
    for file in dovecot.folder(user).rglob("*"):
        if file.is_file():
            file.unlink()
    validity = line["id"].removeprefix("inbox/").partition(".")[0]
    (dovecot.folder(user) / "dovecot-uidlist").write_text(f"3 V{int(validity) + 7} N1\n")
    dovecot.deliver(user, PLAIN % b"new")
    for tool, arguments in (("read", {}), ("flag", {"add": ["seen"]})):
        with pytest.raises(ToolError, match="made anew and its ids changed: list it again"):
            await run(tools[tool], id=line["id"], **arguments)
    with pytest.raises(ToolError, match="no message of this folder has the id"):
        await run(tools["list"], before=line["id"])
    [fresh] = (await run(tools["list"]))["messages"]
    assert fresh["id"].rpartition(".")[2] == line["id"].rpartition(".")[2]
    assert (await run(tools["read"], id=fresh["id"]))["subject"] == "new"


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [
        ("Grüße & Küsse", "Gr&APwA3w-e &- K&APw-sse"),
        ("日本語/下書き", "&ZeVnLIqe-.&Tgtm+DBN-"),
        ('a "quoted" name', 'a "quoted" name'),
        ("back\\slash", "back\\slash"),
        ("{5}", "{5}"),
        ("*", "*"),
        ("12", "12"),
    ],
)
async def test_folders_have_the_names_that_people_gave_them(
    run: Any, tools: Any, dovecot: Dovecot, user: str, name: str, on_disk: str
) -> None:
    dovecot.deliver(user, PLAIN % b"inside", folder=on_disk)
    page = await run(tools["list"], folder=name)
    assert (page["folder"], [one["subject"] for one in page["messages"]]) == (name, ["inside"])
    assert (await run(tools["read"], id=page["messages"][0]["id"]))["body"] == "Hello"
    with pytest.raises(ToolError) as told:
        await run(tools["list"], folder="nowhere")
    assert name in str(told.value)


@pytest.mark.parametrize(
    "name", ["", "\r\n", 'x"\r\nA1 DELETE INBOX\r\n', "a\0b", "../other", "x" * 200, "INBOX\r", "\u2028"]
)
async def test_no_folder_name_leads_elsewhere(
    run: Any, tools: Any, dovecot: Dovecot, user: str, name: str
) -> None:
    dovecot.deliver(user, PLAIN % b"still there")
    with pytest.raises(ToolError):
        await run(tools["list"], folder=name)
    assert (await run(tools["list"], folder="INBOX"))["total"] == 1


@pytest.mark.parametrize(
    "identity",
    ["", "inbox/", "inbox/1", "inbox/1.x", "inbox/1.1\r\n", "1.1", "inbox/\uff11.1", "inbox/99999999999.1"],
)
async def test_what_is_no_id_names_nothing(run: Any, tools: Any, identity: str) -> None:
    with pytest.raises(ToolError, match="no message has the id"):
        await run(tools["read"], id=identity)


async def test_a_large_message_is_read_whole(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    sent = large(b"large", 10_000_000)
    dovecot.deliver(user, sent)
    [line] = (await run(tools["list"]))["messages"]
    assert (line["subject"], line["has_attachments"], line["bytes"]) == ("large", True, len(sent))
    read = await run(tools["read"], id=line["id"])
    assert (read["body"], read["problems"]) == ("see file", [])
    [attachment] = read["attachments"]
    assert (attachment["name"], attachment["type"]) == ("ship.png", "image/png")
    assert attachment["bytes"] > 7_000_000


@pytest.mark.slow
async def test_a_huge_message_is_read_in_part(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    sent = large(b"huge", 40_000_000)
    dovecot.deliver(user, sent)
    [line] = (await run(tools["list"]))["messages"]
    read = await run(tools["read"], id=line["id"])
    assert read["problems"][0] == f"only the first 33,554,432 of {len(sent):,} bytes were read"
    assert read["body"] == "see file"


async def test_a_huge_folder_is_listed_a_page_at_a_time(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    fill(dovecot.folder(user), 3_000)
    page = await run(tools["list"], limit=200)
    assert (page["total"], len(page["messages"])) == (3_000, 200)
    assert [page["messages"][place]["subject"] for place in (0, 199)] == ["2999", "2800"]
    last = await run(tools["list"], limit=1, before=page["next"])
    assert last["messages"][0]["subject"] == "2799"


async def test_what_stands_in_headers_is_taken_as_text(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    """Encoded words, NUL and parentheses are for the reader of messages, not for the protocol."""
    hostile = message("=?utf-8?q?=29_UID_1_FLAGS_=28?= {10}", sender='") "x" <ana@acme.example>')
    dovecot.deliver(user, hostile, PLAIN % b"\xff\xfe {3}\r\n x")
    lines = (await run(tools["list"]))["messages"]
    assert len(lines) == 2
    assert lines[1]["subject"] == ") UID 1 FLAGS ( {10}"


def fill(folder: Path, count: int, first: int = 0) -> None:
    """Put many messages into a folder, quickly."""
    for number in range(first, first + count):
        (folder / "cur" / f"{1_700_000_000 + number}.M1.tests:2,S").write_bytes(PLAIN % str(number).encode())
