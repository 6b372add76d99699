"""Promise: a server that cannot be trusted or reached fails the call, in time and in words, and the next call
starts afresh. The server is Dovecot; what breaks is the way to it."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from pratique.errors import ToolDeclarationError, ToolError
from pratique.model import Status
from pratique.tools.context import World
from pratique.tools.execution import Interrupted
from pratique.tools.imap import ImapAccount, imap_tools
from tests.servers.authority import Authority
from tests.servers.dovecot import Dovecot
from tests.servers.gate import Gate
from tests.servers.machine import free_port, until
from tests.tools.imap.conftest import named
from tests.tools.imap.messages import PLAIN, large

Account = Callable[..., ImapAccount]


@pytest.fixture
def gate(dovecot: Dovecot) -> Iterator[Gate]:
    with Gate(dovecot.imaps) as made:
        yield made


async def test_another_authority_is_not_believed(run: Any, account: Account, tmp_path: Any) -> None:
    other = Authority(tmp_path / "other", "Others")
    for ca_file in (other.file, None):
        tools = named(imap_tools(account(ca_file=ca_file)))
        with pytest.raises(ToolError, match="shows a certificate that is not accepted"):
            await run(tools["list"])


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_a_certificate_for_another_host_is_not_believed(
    run: Any, account: Account, dovecot: Dovecot, tls: str
) -> None:
    port = dovecot.imaps if tls == "implicit" else dovecot.imap
    tools = named(imap_tools(account(host="127.0.0.1", port=port, tls=tls)))
    with pytest.raises(ToolError, match="certificate that is not accepted: IP address mismatch"):
        await run(tools["list"])


@pytest.mark.parametrize("tls", ["starttls", "none"])
async def test_other_ways_in_work_too(
    run: Any, account: Account, dovecot: Dovecot, user: str, tls: str
) -> None:
    dovecot.deliver(user, PLAIN % b"one")
    tools = named(imap_tools(account(port=dovecot.imap, tls=tls)))
    assert (await run(tools["list"]))["total"] == 1


def test_without_tls_only_this_machine_is_reached(account: Account) -> None:
    with pytest.raises(ValidationError, match="without TLS only localhost"):
        account(host="mail.acme.example", tls="none")


def test_a_ca_file_that_cannot_be_used_stops_the_start(account: Account, tmp_path: Any) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for ca_file in (tmp_path / "missing.pem", empty):
        with pytest.raises(ToolDeclarationError, match="ca_file"):
            imap_tools(account(ca_file=ca_file))


@pytest.mark.parametrize("password", ["wrong-and-seeded", "wröng-änd-seeded", 'wr"ong\\and{5}'])
@pytest.mark.parametrize("tls", ["implicit", "none"])
async def test_a_wrong_password_is_in_no_error_and_no_log(
    run: Any,
    world: World,
    account: Account,
    dovecot: Dovecot,
    caplog: pytest.LogCaptureFixture,
    password: str,
    tls: str,
) -> None:
    world.secrets["password"] = SecretStr(password)
    port = dovecot.imaps if tls == "implicit" else dovecot.imap
    with caplog.at_level(logging.DEBUG), pytest.raises(ToolError) as told:
        await run(named(imap_tools(account(port=port, tls=tls)))["list"])
    assert str(told.value).endswith("refused the login (AUTHENTICATIONFAILED)")
    assert password not in caplog.text


async def test_a_server_that_is_not_there_is_said_to_be_unreachable(run: Any, account: Account) -> None:
    tools = named(imap_tools(account(port=free_port())))
    with pytest.raises(ToolError, match="cannot be reached: Connection refused"):
        await run(tools["list"])
    tools = named(imap_tools(account(host="no-such-host.invalid")))
    with pytest.raises(ToolError, match="has a name that does not resolve"):
        await run(tools["list"])


async def test_plain_text_where_tls_is_agreed_is_no_conversation(
    run: Any, account: Account, dovecot: Dovecot
) -> None:
    tools = named(imap_tools(account(port=dovecot.imap)))
    with pytest.raises(ToolError, match="does not speak TLS as agreed"):
        await run(tools["list"])


@pytest.mark.parametrize("after", [0, 100, 3000, 5000, 100_000])
@pytest.mark.parametrize("then", ["close", "hang"])
async def test_a_server_that_ends_or_hangs_at_any_step_fails_the_call(
    run: Any, account: Account, dovecot: Dovecot, user: str, gate: Gate, after: int, then: str
) -> None:
    dovecot.deliver(user, large(b"large", 300_000), large(b"large", 300_000))
    tools = named(imap_tools(account(port=gate.port, step_seconds=1)))
    [first, _] = (await run(tools["list"]))["messages"]
    gate.cut()
    gate.after, gate.then = after, then
    with pytest.raises(ToolError, match="mail server localhost:"):
        await run(tools["read"], id=first["id"])
    gate.after = None
    assert (await run(tools["read"], id=first["id"]))["body"] == "see file"


async def test_a_connection_that_dropped_between_calls_is_replaced_once(
    run: Any, account: Account, dovecot: Dovecot, user: str, gate: Gate
) -> None:
    dovecot.deliver(user, PLAIN % b"one")
    tools = named(imap_tools(account(port=gate.port)))
    for _ in range(3):
        assert (await run(tools["list"]))["total"] == 1
    assert gate.connections == 1
    gate.cut()
    assert (await run(tools["draft"], to=["a@b.example"], subject="s", body="b"))["status"] == "draft"
    assert gate.connections == 2
    assert (await run(tools["list"], folder="Drafts"))["total"] == 1


async def test_a_connection_nobody_used_for_long_is_not_used_again(
    run: Any, account: Account, gate: Gate
) -> None:
    tools = named(imap_tools(account(port=gate.port, idle_seconds=0)))
    await run(tools["list"])
    await run(tools["list"])
    assert gate.connections == 2


async def test_what_the_tools_kept_open_is_closed_with_them(run: Any, account: Account, gate: Gate) -> None:
    tools = named(imap_tools(account(port=gate.port)))
    await run(tools["list"])
    assert gate.alive == 1
    del tools
    gc.collect()
    until(lambda: gate.alive == 0, "closing")


async def test_a_server_that_is_killed_in_mid_transfer_and_comes_back_is_used_again(
    run: Any, account: Account, authority: Authority, user: str
) -> None:
    own = Dovecot(authority)
    try:
        own.deliver(user, large(b"large", 10_000_000))
        with Gate(own.imaps) as gate:
            tools = named(imap_tools(account(port=gate.port)))
            [first] = (await run(tools["list"]))["messages"]
            gate.cut()
            gate.after, gate.then = 2_000_000, own.kill
            with pytest.raises(ToolError, match=r"ended the conversation|cannot be reached|speak TLS"):
                await run(tools["read"], id=first["id"])
            with pytest.raises(ToolError):
                await run(tools["list"])
            own.start()
            for left in range(20, -1, -1):  # it greets, and may still hang up on the next who comes
                try:
                    read = await run(tools["read"], id=first["id"])
                    break
                except ToolError:
                    if not left:
                        raise
            assert read["body"] == "see file"
    finally:
        own.stop()


@pytest.mark.parametrize("then", ["close", "hang"])
async def test_a_draft_whose_answer_never_came_is_neither_done_nor_failed(
    run: Any, perform: Any, account: Account, gate: Gate, then: str
) -> None:
    """And the repeated call finds out: it writes the draft, or finds it there, once."""
    tools = named(imap_tools(account(port=gate.port, step_seconds=1, drafts="Entwürfe")))
    await run(tools["draft"], to=["a@b.example"], subject="first", body="b")
    arguments = {"to": ["a@b.example"], "subject": "s", "body": "b" * 200_000}
    gate.after_sent, gate.then = 100_000, then
    result = await perform(tools["draft"], **arguments)
    assert result.status is Status.UNKNOWN
    assert result.error.endswith("look first")
    gate.after_sent = None
    again = await run(tools["draft"], **arguments)
    listed = await run(tools["list"], folder="Entwürfe")
    assert [one["subject"] for one in listed["messages"]] == ["s", "first"]
    assert again["id"] == listed["messages"][0]["id"]


async def test_many_calls_at_once_share_few_connections(
    run: Any, account: Account, dovecot: Dovecot, user: str, gate: Gate
) -> None:
    dovecot.deliver(user, *(PLAIN % str(number).encode() for number in range(20)))
    tools = named(imap_tools(account(port=gate.port, connections=3)))
    ids = [one["id"] for one in (await run(tools["list"]))["messages"]]
    read = await asyncio.gather(*(run(tools["read"], id=identity) for identity in ids))
    assert [one["subject"] for one in read] == [str(number) for number in range(19, -1, -1)]
    assert gate.connections <= 3


async def test_a_call_that_is_cancelled_gives_its_place_back(run: Any, account: Account, gate: Gate) -> None:
    tools = named(imap_tools(account(port=gate.port, connections=1, step_seconds=60)))
    gate.after, gate.then = 100, "hang"
    with pytest.raises(Interrupted):
        async with asyncio.timeout(0.5):
            await run(tools["list"])
    gate.after = None
    async with asyncio.timeout(5):
        assert (await run(tools["list"]))["total"] == 0
