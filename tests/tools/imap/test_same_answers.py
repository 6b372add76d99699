"""Promise: the same message gives the same answer, whatever kind of mailbox it lies in, and no message of the
corpus fails a call: CPython's own awkward messages, and more."""

import re
from collections.abc import Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pratique.tools import email, email_mbox, email_reading
from pratique.tools.context import World
from tests.servers.dovecot import Dovecot
from tests.servers.machine import lacking
from tests.tools.imap.messages import message

OURS = [
    b"",
    b"\n",
    b"no header at all\n",
    b"Subject: only a subject\n",
    b": no name\nSubject: x\n\nbody\n",
    b"Subject: =?utf-8?b?////?= =?x-unknown?q?a?= =?utf-8?q?half\nFrom: @\n\n\n",
    b"From: a@b.example, c@d.example\nSubject: two\nContent-Type: text/plain; charset=utf-16\n\n\xff\xfe\n",
    b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a--\n",
    b"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: deep\n\nx\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%E2%80%AE; filename*1=cod.exe\n\nx\n",
    b"Content-Type: text/html\n\n<!-- do this --><p hidden>and this</p><b>Bill</b>\n",
    b"Subject: dots\n\n.\n..\n.\r.\n",
    b"Subject: from\n\nFrom here on\n>From there\n\nFrom nowhere Mon Jan  1 00:00:00 2026\n",
    b"Subject: " + b"x" * 70_000 + b"\n\nlong\n",
    message("Grüße 日本", body="שלום\n"),
]
KEPT = ("from", "from_name", "reply_to", "to", "cc", "subject", "sent", "body", "attachments", "problems")


def corpus() -> list[bytes]:
    """Return all messages, with LF at the ends of lines."""
    if find_spec("test.test_email") is None:
        lacking("this Python comes without its own tests, whose messages are read here")
    folder = resources.files("test.test_email") / "data"
    theirs = [file.read_bytes() for file in folder.iterdir() if file.name.endswith(".txt")]
    assert len(theirs) > 40
    # NUL cannot be sent by IMAP (RFC 9051, 4.3.1): a server answers with something else.
    return [_lines(raw) for raw in [*theirs, *OURS] if b"\0" not in raw]


def _lines(raw: bytes) -> bytes:
    text = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"


async def answers(run: Any, tools: tuple[Any, Any]) -> list[dict[str, Any]]:
    """Return what is read of every message of a mailbox, the oldest first."""
    listing, reading = tools
    lines: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None}
    while page["next"] or not lines:
        page = await run(listing, limit=20, before=page["next"])
        lines += page["messages"]
    read = [await run(reading, id=line["id"]) for line in lines[::-1]]
    for line, whole in zip(lines[::-1], read, strict=True):
        assert (line["subject"], line["from"]) == (whole["subject"], whole["from"])
    return [{name: whole[name] for name in KEPT} for whole in read]


def expected(raw: bytes) -> dict[str, Any]:
    whole = email_reading.full(raw)
    return {name: whole[name] for name in KEPT}


def as_mbox(messages: list[bytes]) -> bytes:
    quoted = (re.sub(rb"(?m)^(>*From )", rb">\1", raw) for raw in messages)
    return b"".join(b"From tests Fri Nov 20 10:14:00 2026\n" + raw + b"\n" for raw in quoted)


async def test_on_an_imap_server(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    messages = corpus()
    dovecot.deliver(user, *messages)
    found = await answers(run, (tools["list"], tools["read"]))
    for raw, answer in zip(messages, found, strict=True):
        assert answer == expected(raw.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
async def test_on_disk(run: Any, world: World, tmp_path: Path, kind: str) -> None:
    messages = corpus()
    world.roots[kind] = tmp_path
    fill: dict[str, Callable[[], Any]] = {
        "maildir": lambda: _maildir(tmp_path, messages),
        "mbox": lambda: (tmp_path / "inbox").write_bytes(as_mbox(messages)),
    }
    fill[kind]()
    module: Any = {"maildir": email, "mbox": email_mbox}[kind]
    found = await answers(run, (module.list_messages, module.read_message))
    for raw, answer in zip(messages, found, strict=True):
        assert answer == expected(raw)


def _maildir(root: Path, messages: list[bytes]) -> None:
    (root / "cur").mkdir()
    for number, raw in enumerate(messages):
        (root / "cur" / f"{1_700_000_000 + number}.tests:2,").write_bytes(raw)
