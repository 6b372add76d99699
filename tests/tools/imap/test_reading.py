"""Promise: mail on an IMAP server is listed, searched and read like mail on disk, and nothing is moved."""

from typing import Any

import pytest

from pratique.errors import ToolError
from tests.servers.dovecot import Dovecot

PLAIN = b"From: Ana <ana@acme.example>\r\nTo: kim@acme.example\r\nSubject: %b\r\nDate: Fri, 20 Nov 2026 10:14:00 +0000\r\n\r\nHello\r\n"


async def test_lists_newest_first_with_pages(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"first", PLAIN % b"second", PLAIN % b"third")
    page = await run(tools["list"], limit=2)
    assert [(one["subject"], one["unread"]) for one in page["messages"]] == [
        ("third", True),
        ("second", True),
    ]
    assert (page["folder"], page["total"]) == ("inbox", 3)
    line = page["messages"][0]
    assert {name: line[name] for name in ("from", "from_name", "bytes", "sent", "flags", "problems")} == {
        "from": "ana@acme.example",
        "from_name": "Ana",
        "bytes": len(PLAIN % b"third"),
        "sent": "2026-11-20T10:14:00Z",
        "flags": [],
        "problems": [],
    }
    rest = await run(tools["list"], limit=2, before=page["next"])
    assert [one["subject"] for one in rest["messages"]] == ["first"]
    assert rest["next"] is None
    message = await run(tools["read"], id=line["id"])
    assert (message["subject"], message["body"], message["unread"]) == ("third", "Hello", True)
    assert (await run(tools["list"]))["messages"][0]["unread"]
    with pytest.raises(ToolError, match="there are: inbox"):
        await run(tools["list"], folder="Spam")
