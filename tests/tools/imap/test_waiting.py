"""Promise: new mail is given when it comes, and none is missed between two calls."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.tools.imap import ImapAccount, imap_tools
from tests.servers.dovecot import Dovecot
from tests.servers.gate import Gate
from tests.servers.liar import Liar
from tests.servers.machine import until
from tests.tools.imap.conftest import named
from tests.tools.imap.messages import PLAIN
from tests.tools.imap.test_liars import BODY, GREETING, HONEST, OPENED, READ_ANSWER, tools_of


async def test_a_message_that_comes_while_waiting_is_given(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, PLAIN % b"known")
    await run(tools["list"])
    began = time.monotonic()
    waiting = asyncio.create_task(run(tools["wait"], seconds=30))
    await asyncio.to_thread(until, lambda: dovecot.idles(user), "idling")
    dovecot.append(user, PLAIN % b"new")
    page = await waiting
    assert [one["subject"] for one in page["messages"]] == ["new"]
    assert time.monotonic() - began < 15


async def test_nothing_is_given_when_nothing_comes(run: Any, tools: Any, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, PLAIN % b"known")
    page = await run(tools["wait"], seconds=1)
    assert (page["messages"], page["total"]) == ([], 1)


async def test_what_came_between_two_calls_is_given_at_once(
    run: Any, tools: Any, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, PLAIN % b"first", PLAIN % b"second")
    [second, first] = (await run(tools["list"]))["messages"]
    dovecot.append(user, PLAIN % b"third")
    began = time.monotonic()
    page = await run(tools["wait"], seconds=30, after=first["id"])
    assert [one["subject"] for one in page["messages"]] == ["third", "second"]
    dovecot.remove(user, "second")
    page = await run(tools["wait"], seconds=30, after=second["id"])
    assert [one["subject"] for one in page["messages"]] == ["third"]
    assert time.monotonic() - began < 15
    with pytest.raises(ToolError, match="no message of this folder"):
        await run(tools["wait"], seconds=1, after="other/1.1")


async def test_a_server_that_goes_away_while_waiting_fails_the_call(
    run: Any, account: Callable[..., ImapAccount], dovecot: Dovecot, user: str
) -> None:
    with Gate(dovecot.imaps) as gate:
        tools = named(imap_tools(account(port=gate.port)))
        waiting = asyncio.create_task(run(tools["wait"], seconds=60))
        await asyncio.to_thread(until, lambda: dovecot.idles(user), "idling")
        gate.cut()
        async with asyncio.timeout(15):
            with pytest.raises(ToolError, match="mail server localhost"):
                await waiting


async def test_a_server_without_idle_is_asked_now_and_then(run: Any) -> None:
    more = b"* 4 EXISTS\r\n{tag} OK done\r\n"
    opened = iter([OPENED, OPENED.replace(b"* 3", b"* 4")])
    fetched = READ_ANSWER.replace(b"* 1 FETCH (UID 1", b"* 4 FETCH (UID 9") + BODY
    answers = {**HONEST, "EXAMINE": lambda _: next(opened), "NOOP": more, "FETCH": fetched}
    with Liar(GREETING, answers) as liar:
        page = await run(tools_of(liar)["wait"], seconds=30)
    assert [one["id"] for one in page["messages"]] == ["inbox/7.9"]
