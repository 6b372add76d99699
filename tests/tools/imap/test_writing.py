"""Promise: flags are set as asked, and a draft is written once."""

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.tools.imap import ImapAccount, imap_tools
from tests.servers.dovecot import Dovecot
from tests.tools.imap.conftest import named
from tests.tools.imap.messages import PLAIN

LETTER = {"to": ["ana@acme.example"], "subject": "Grüße", "body": "Hi,\n.\nFrom me\n"}


async def test_flags_are_set_and_taken_away(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"one", PLAIN % b"two")
    [two, one] = (await run(tools["list"]))["messages"]
    assert await run(tools["flag"], id=two["id"], add=["seen", "flagged"]) == {
        "id": two["id"],
        "flags": ["flagged", "seen"],
    }
    assert (await run(tools["flag"], id=two["id"], add=["answered"], remove=["flagged"]))["flags"] == [
        "answered",
        "seen",
    ]
    [again, other] = (await run(tools["list"]))["messages"]
    assert (again["flags"], again["unread"], again["id"]) == (["answered", "seen"], False, two["id"])
    assert other == one


async def test_flags_that_delete_cannot_be_named(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"one")
    [one] = (await run(tools["list"]))["messages"]
    with pytest.raises(ValueError, match="add"):
        await run(tools["flag"], id=one["id"], add=["deleted"])
    for arguments in ({}, {"add": ["seen"], "remove": ["seen"]}):
        with pytest.raises(ToolError, match="name a flag"):
            await run(tools["flag"], id=one["id"], **arguments)
    gone = one["id"] + "0"
    with pytest.raises(ToolError, match="no message has the id"):
        await run(tools["flag"], id=gone, add=["seen"])


def drafts(dovecot: Dovecot, user: str, folder: str = "Drafts") -> list[EmailMessage]:
    files = [file for part in ("cur", "new") for file in dovecot.folder(user, folder).glob(f"{part}/*")]
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


async def test_a_draft_is_kept_once_however_often_the_call_is_repeated(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    kept = await run(tools["draft"], **LETTER)
    again = await run(tools["draft"], **LETTER)
    assert again == kept
    assert (kept["status"], kept["recipients"]) == ("draft", 1)
    [draft] = drafts(dovecot, user)
    assert (draft["from"], draft["to"], draft["subject"], draft["message-id"]) == (
        "kim@acme.example",
        "ana@acme.example",
        "Grüße",
        kept["message_id"],
    )
    assert draft.get_content() == LETTER["body"]
    read = await run(tools["read"], id=kept["id"])
    assert (read["subject"], read["unread"]) == ("Grüße", False)
    await run(tools["draft"], **LETTER, call_id="c2")
    assert len(drafts(dovecot, user)) == 2


async def test_a_folder_for_drafts_may_have_any_name(
    run: Any, account: Callable[..., ImapAccount], dovecot: Dovecot, user: str
) -> None:
    tools = named(imap_tools(account(drafts="Entwürfe")))
    kept = await run(tools["draft"], **LETTER)
    assert kept["id"].startswith("Entwürfe/")
    assert len(drafts(dovecot, user, "Entw&APw-rfe")) == 1


async def test_nobody_writes_in_the_name_of_somebody_without_an_address(run: Any, tools: Any) -> None:
    with pytest.raises(ToolError, match="has no mail address"):
        await run(tools["draft"], user="kim", **LETTER)
