"""Promise: a search finds what it says, in pages, and no word of it is taken for syntax."""

from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.tools.imap.mailbox import WINDOW
from tests.servers.dovecot import Dovecot
from tests.tools.imap.messages import PLAIN, message
from tests.tools.imap.test_reading import fill


def subjects(page: Any) -> list[str]:
    return [one["subject"] for one in page["messages"]]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"subject": "invoice"}, ["Invoice 8", "invoice 7"]),
        ({"subject": "invoice", "sender": "bob@"}, ["invoice 7"]),
        ({"text": "harbour"}, ["Invoice 8"]),
        ({"sender": "ana"}, ["Grüße", "Invoice 8"]),
        ({"subject": "grüße"}, ["Grüße"]),
        ({"subject": "grüße", "sender": "{5}"}, []),
        ({"since": "2001-01-01"}, ["Grüße", "Invoice 8", "invoice 7"]),
        ({"until": "2001-01-01"}, []),
        ({"unread": True}, ["Grüße", "Invoice 8", "invoice 7"]),
        ({"unread": False}, []),
    ],
)
async def test_every_condition_must_hold(
    run: Any, tools: Any, dovecot: Dovecot, user: str, conditions: dict[str, Any], found: list[str]
) -> None:
    dovecot.deliver(
        user,
        message("invoice 7", sender="bob@acme.example"),
        message("Invoice 8", body="see you at the Harbour\n"),
        message("Grüße"),
    )
    page = await run(tools["search"], **conditions)
    assert (subjects(page), page["next"], page["total"]) == (found, None, 3)


@pytest.mark.parametrize(
    "word",
    ["{5}", "{5+}", "(", ")", "x) DELETED", '"', "\\", "*", "%", "NOT", "1:*", "NIL", "a]", "ü{3}", "~{1}"],
)
async def test_no_word_is_taken_for_syntax(
    run: Any, tools: Any, dovecot: Dovecot, user: str, word: str
) -> None:
    dovecot.deliver(user, message(f"before {word} after"), message("other"))
    assert subjects(await run(tools["search"], subject=word)) == [f"before {word} after"]
    assert subjects(await run(tools["search"], subject=word, sender="ana")) == [f"before {word} after"]
    assert (await run(tools["list"]))["total"] == 2


@pytest.mark.parametrize("word", ["", "a\r\nb", "a\0b", "x" * 201])
async def test_words_with_line_ends_are_refused(run: Any, tools: Any, word: str) -> None:
    with pytest.raises(ValueError, match="text"):
        await run(tools["search"], text=word)


async def test_days_that_do_not_exist_are_refused(run: Any, tools: Any) -> None:
    with pytest.raises(ToolError, match="since: 2026-02-30 is no day"):
        await run(tools["search"], since="2026-02-30")
    with pytest.raises(ToolError, match="nothing to search for"):
        await run(tools["search"])


async def test_pages_of_a_search_follow_each_other(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, *(PLAIN % f"n {number}".encode() for number in range(5)), PLAIN % b"other")
    first = await run(tools["search"], subject="n ", limit=2)
    second = await run(tools["search"], subject="n ", limit=2, before=first["next"])
    third = await run(tools["search"], subject="n ", limit=2, before=second["next"])
    assert [subjects(page) for page in (first, second, third)] == [["n 4", "n 3"], ["n 2", "n 1"], ["n 0"]]
    assert third["next"] is None


@pytest.mark.slow
async def test_a_huge_folder_is_searched_window_by_window(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    fill(dovecot.folder(user), WINDOW + 50)
    found: list[str] = []
    page: dict[str, Any] = {"next": None}
    while page["next"] or not found:
        page = await run(tools["search"], subject="77", limit=200, before=page["next"])
        found += subjects(page)
    expected = [str(number) for number in range(WINDOW + 50) if "77" in str(number)]
    assert found == expected[::-1]
