"""Promise: the mail tools read a Maildir as it is, and write exactly the message that was asked for, once."""

import email
import email.policy
import os
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.errors import ToolError
from pratique.tools.context import World
from pratique.tools.email import draft_message, list_messages, read_message, search_messages, send_message
from pratique.tools.email_headers import iso
from pratique.tools.email_writing import Letter, compose
from pratique.tools.mailbox_search import MOST_LOOKED_AT

PLAIN = b"From: ana@acme.example\r\nSubject: %b\r\nDate: Fri, 20 Nov 2026 10:14:00 +0000\r\n\r\nHello\r\n"
LETTER = {"to": ["ana@acme.example"], "subject": "Grüße", "body": "Hi,\n.\nFrom me\n" + "x" * 2000}


@pytest.fixture
def maildir(world: World) -> Path:
    root = world.roots["maildir"]
    (root / "cur" / "1700000002.M1P1.acme:2,S").write_bytes(PLAIN % b"second")
    (root / "cur" / "1700000001.M1P1.acme:2,").write_bytes(PLAIN % b"first")
    (root / "new" / "1700000003.M1P1.acme").write_bytes(PLAIN % b"third")
    (root / "tmp" / "1700000004.M1P1.acme").write_bytes(PLAIN % b"half delivered")
    (root / "new" / ".nfs0001").write_bytes(b"")
    return root


@pytest.mark.usefixtures("maildir")
async def test_lists_newest_first_with_pages(run: Any) -> None:
    page = await run(list_messages, limit=2)
    assert [(one["subject"], one["unread"]) for one in page["messages"]] == [
        ("third", True),
        ("second", False),
    ]
    assert page["total"] == 3
    assert page["messages"][0] == {
        "id": "inbox/1700000003.M1P1.acme",
        "date": "2023-11-14T22:13:23Z",
        "unread": True,
        "flags": [],
        "bytes": 88,
        "from": "ana@acme.example",
        "from_name": "",
        "subject": "third",
        "sent": "2026-11-20T10:14:00Z",
        "has_attachments": False,
        "problems": [],
    }
    rest = await run(list_messages, limit=2, before=page["next"])
    assert [one["subject"] for one in rest["messages"]] == ["first"]
    assert rest["next"] is None


async def test_an_id_survives_that_the_message_is_read(run: Any, maildir: Path) -> None:
    identity = (await run(list_messages))["messages"][0]["id"]
    (maildir / "new" / "1700000003.M1P1.acme").rename(maildir / "cur" / "1700000003.M1P1.acme:2,RS")
    message = await run(read_message, id=identity)
    assert (message["subject"], message["body"], message["unread"]) == ("third", "Hello", False)


async def test_folders_are_those_of_maildir(run: Any, maildir: Path) -> None:
    (maildir / ".Archive.2024" / "cur").mkdir(parents=True)
    (maildir / ".Archive.2024" / "cur" / "1.a").write_bytes(PLAIN % b"old")
    [message] = (await run(list_messages, folder="Archive/2024"))["messages"]
    assert message["id"] == "Archive/2024/1.a"
    assert (await run(read_message, id=message["id"]))["subject"] == "old"
    assert (await run(list_messages, folder="INBOX"))["folder"] == "inbox"
    with pytest.raises(ToolError, match="there are: inbox, Archive/2024"):
        await run(list_messages, folder="Spam")


@pytest.mark.parametrize("folder", [".", "..", "../drafts", "/etc", "a/../..", "", "a\0b", "a//b", "x" * 200])
@pytest.mark.usefixtures("maildir")
async def test_no_folder_leads_out(run: Any, folder: str) -> None:
    with pytest.raises(ToolError):
        await run(list_messages, folder=folder)


@pytest.mark.parametrize(
    "identity", ["", "inbox/", "inbox/../../x", "/etc/passwd", "../inbox/x", "inbox/cur/1", "a\0/b"]
)
@pytest.mark.usefixtures("maildir")
async def test_no_id_leads_out(run: Any, identity: str) -> None:
    with pytest.raises(ToolError):
        await run(read_message, id=identity)


async def test_unreadable_messages_are_listed_with_a_problem(run: Any, maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PLAIN % b"secret")
    os.link(tmp_path / "secret", maildir / "cur" / "1.hard")
    (maildir / "cur" / "2.link").symlink_to(tmp_path / "secret")
    os.mkfifo(maildir / "cur" / "3.fifo")
    (maildir / "cur" / "4.folder").mkdir()
    (maildir / "cur" / "5.empty").write_bytes(b"")
    (maildir / "cur" / "6.noise").write_bytes(os.urandom(3000))
    (maildir / "cur" / os.fsdecode(b"7.\xff %\xe2\x80\xae")).write_bytes(PLAIN % b"odd name")
    listed = {one["id"]: one for one in (await run(list_messages))["messages"]}
    assert len(listed) == 10
    for name in ("1.hard", "2.link", "3.fifo", "4.folder"):
        [problem] = listed[f"inbox/{name}"]["problems"]
        assert problem.startswith("cannot be read: ")
        assert listed[f"inbox/{name}"]["subject"] == ""
        with pytest.raises(ToolError, match="cannot be read"):
            await run(read_message, id=f"inbox/{name}")
    assert listed["inbox/5.empty"]["problems"]
    assert (await run(read_message, id="inbox/5.empty"))["body"] == ""
    assert await run(read_message, id="inbox/6.noise")
    assert (await run(read_message, id="inbox/7.%FF%20%25%E2%80%AE"))["subject"] == "odd name"


async def test_a_huge_message_is_read_in_part(run: Any, maildir: Path) -> None:
    head = PLAIN.partition(b"\r\n\r\n")[0] % b"big" + b"\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
    part = b"--q\r\n\r\nsee file\r\n--q\r\nContent-Type: image/png\r\n\r\n"
    big = head + part + (b"A" * 76 + b"\r\n") * 450_000
    (maildir / "cur" / "1800000000.big").write_bytes(big)
    line = (await run(list_messages, limit=1))["messages"][0]
    assert (line["subject"], line["has_attachments"], line["bytes"]) == ("big", True, len(big))
    message = await run(read_message, id=line["id"])
    assert message["problems"][0] == f"only the first 33,554,432 of {len(big):,} bytes were read"
    assert message["body"] == "see file"


async def test_a_missing_mailbox_is_said(run: Any, world: World) -> None:
    for name in ("cur", "new"):
        (world.roots["maildir"] / name).rmdir()
    with pytest.raises(ToolError, match="no mail folder is called 'inbox'"):
        await run(list_messages)


def written(world: World, root: str) -> list[tuple[str, EmailMessage]]:
    files = sorted(world.roots[root].iterdir())
    return [(file.name, read_back(file.read_bytes())) for file in files]


def read_back(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_what_is_sent_is_a_real_message(run: Any, world: World) -> None:
    result = await run(send_message, **LETTER, cc=["li@acme.example"], in_reply_to="<1@acme.example>")
    [(name, message)] = written(world, "outbox")
    assert result == {"status": "queued", "message_id": message["Message-ID"], "file": name, "recipients": 2}
    assert message["From"] == "kim@acme.example"
    assert message["To"] == "ana@acme.example"
    assert message["Cc"] == "li@acme.example"
    assert message["Subject"] == "Grüße"
    assert message["In-Reply-To"] == message["References"] == "<1@acme.example>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == LETTER["body"]
    raw = (world.roots["outbox"] / name).read_bytes()
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert (world.roots["outbox"] / name).stat().st_mode & 0o077 == 0


async def test_a_draft_stays_in_the_house(run: Any, world: World) -> None:
    await run(draft_message, **LETTER)
    assert len(written(world, "drafts")) == 1
    assert written(world, "outbox") == []


async def test_a_repeated_call_is_one_message_and_another_call_is_another(run: Any, world: World) -> None:
    first = await run(send_message, **LETTER)
    file = world.roots["outbox"] / first["file"]
    before = file.stat()
    assert await run(send_message, **LETTER) == first
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(written(world, "outbox")) == 1
    await run(send_message, **LETTER, call_id="c2")
    await run(send_message, **LETTER, session="s2")
    await run(send_message, **{**LETTER, "body": "another text under the same id"})
    assert len(written(world, "outbox")) == 4


@pytest.mark.parametrize(
    "damage",
    [
        {"subject": "x\r\nBcc: all@evil.example"},
        {"subject": "x\nBcc: all@evil.example"},
        {"subject": "x\x00"},
        {"subject": "x\u2028Bcc: all@evil.example"},
        {"subject": "x\x85y"},
        {"to": ["a@b.example\r\nBcc: all@evil.example"]},
        {"to": ["a@b.example, c@evil.example"]},
        {"to": ["Ana <a@b.example>"]},
        {"to": ["a@b.example\n"]},
        {"to": ["a@b"]},
        {"to": ['"a b"@c.example']},
        {"to": ["a@[10.0.0.1]"]},
        {"to": ["ä@b.example"]},
        {"to": ["a@bü.example"]},
        {"to": ["@b.example"]},
        {"to": ["a..b@c.example"]},
        {"to": ["-"]},
        {"to": []},
        {"to": ["a@b.example"] * 101},
        {"to": "a@b.example"},
        {"cc": ["x"]},
        {"in_reply_to": "<a@b>\r\nBcc: c@evil.example"},
        {"in_reply_to": "a@b"},
        {"bcc": ["a@b.example"]},
    ],
)
async def test_nothing_gets_into_a_header_that_does_not_belong_there(
    run: Any, world: World, damage: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=": "):
        await run(send_message, **{**LETTER, **damage})
    assert written(world, "outbox") == []


@pytest.mark.parametrize(
    "user", ["kim", "", "kim@acme.example\r\nBcc: x@evil.example", "Kim <kim@acme.example>"]
)
async def test_a_user_without_an_address_sends_nothing(run: Any, world: World, user: str) -> None:
    with pytest.raises(ToolError, match="no mail address"):
        await run(send_message, **LETTER, user=user)
    assert written(world, "outbox") == []


async def test_a_full_outbox_fails_the_call_in_words(run: Any, world: World) -> None:
    world.roots["outbox"].rmdir()
    with pytest.raises(ToolError, match="'outbox' cannot be opened"):
        await run(send_message, **LETTER)


NOW = datetime(2026, 11, 20, 10, 14, tzinfo=UTC)
subjects = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)


@settings(max_examples=300, deadline=None)
@given(subjects, st.text(max_size=500))
def test_whatever_is_written_reads_back_and_adds_no_header(subject: str, body: str) -> None:
    letter = Letter("kim@acme.example", ("a@b.example",), (), subject, body, None)
    message = read_back(compose(letter, session="s", call_id="c", now=NOW).content)
    assert sorted(message.keys()) == sorted(
        [
            "Message-ID",
            "Date",
            "From",
            "To",
            "Subject",
            "Auto-Submitted",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ]
    )
    assert message["To"].addresses[0].addr_spec == "a@b.example"
    assert iso(message["Date"].datetime) == "2026-11-20T10:14:00Z"
    assert "".join(str(message["Subject"]).split()) == "".join(subject.split())
    assert message.get_content().rstrip().splitlines() == body.rstrip().splitlines()


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"subject": "IR"}, ["third", "first"]),
        ({"sender": "ANA@", "subject": "second"}, ["second"]),
        ({"text": "hello"}, ["third", "second", "first"]),
        ({"unread": True}, ["third", "first"]),
        ({"unread": False}, ["second"]),
        ({"since": "2023-11-14", "until": "2023-11-15", "subject": "first"}, ["first"]),
        ({"since": "2023-11-15"}, []),
        ({"until": "2023-11-14"}, []),
        ({"text": "nothing like it"}, []),
    ],
)
@pytest.mark.usefixtures("maildir")
async def test_a_search_finds_what_holds_every_condition(
    run: Any, conditions: dict[str, Any], found: list[str]
) -> None:
    page = await run(search_messages, **conditions)
    assert ([one["subject"] for one in page["messages"]], page["next"]) == (found, None)


@pytest.mark.usefixtures("maildir")
async def test_pages_of_a_search_follow_each_other(run: Any) -> None:
    first = await run(search_messages, text="hello", limit=2)
    second = await run(search_messages, text="hello", limit=2, before=first["next"])
    assert [one["subject"] for one in second["messages"]] == ["first"]
    assert second["next"] is None
    with pytest.raises(ToolError, match="nothing to search for"):
        await run(search_messages)
    with pytest.raises(ToolError, match="until: 2026-13-01 is no day"):
        await run(search_messages, until="2026-13-01")


async def test_a_search_of_a_large_folder_says_where_it_left_off(run: Any, maildir: Path) -> None:
    for number in range(MOST_LOOKED_AT):
        (maildir / "cur" / f"{1_800_000_000 + number}.M1:2,").write_bytes(PLAIN % b"noise")
    page = await run(search_messages, subject="first")
    assert page["messages"] == []
    page = await run(search_messages, subject="first", before=page["next"])
    assert [one["subject"] for one in page["messages"]] == ["first"]
