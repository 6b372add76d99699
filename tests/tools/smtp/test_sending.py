"""Promise: `mail.send` hands in exactly the message that was asked for, and says who did not get it."""

from collections.abc import Callable
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.tools.smtp import SmtpAccount, smtp_tools
from tests.servers.exim import Exim
from tests.servers.machine import until

Account = Callable[..., SmtpAccount]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_the_message_arrives_as_it_was_asked_for(
    run: Any, account: Account, exim: Exim, person: str, tls: str
) -> None:
    port = exim.smtps if tls == "implicit" else exim.smtp
    [send] = smtp_tools(account(port=port, tls=tls))
    body = "Hi,\n.\n..\nFrom me\n" + "ü" * 3000 + "\n"
    said = await run(
        send,
        to=[f"{person}@acme.example"],
        cc=[f"{person}cc@acme.example"],
        subject="Grüße: 日本",
        body=body,
        in_reply_to="<question@acme.example>",
    )
    assert said == {"status": "sent", "message_id": said["message_id"], "recipients": 2, "refused": []}
    for name in (person, f"{person}cc"):
        [got] = exim.arrived(name)
        assert got.get_content().replace("\r\n", "\n") == body
        assert {field: str(got[field]) for field in ("from", "to", "cc", "subject", "in-reply-to")} == {
            "from": "kim@acme.example",
            "to": f"{person}@acme.example",
            "cc": f"{person}cc@acme.example",
            "subject": "Grüße: 日本",
            "in-reply-to": "<question@acme.example>",
        }
        assert (got["message-id"], got["return-path"]) == (said["message_id"], "<kim@acme.example>")
        assert got["auto-submitted"] == "auto-replied"


async def test_a_person_named_twice_gets_it_once(run: Any, account: Account, exim: Exim, person: str) -> None:
    [send] = smtp_tools(account())
    address = f"{person}@acme.example"
    said = await run(send, to=[address, address], cc=[address], subject="s", body="b")
    assert said["recipients"] == 1
    until(lambda: exim.is_done, "delivery")
    assert len(exim.arrived(person)) == 1


async def test_a_repeated_call_is_recognised_by_its_message_id(
    run: Any, account: Account, exim: Exim, person: str
) -> None:
    [send] = smtp_tools(account())
    letter = {"to": [f"{person}@acme.example"], "subject": "s", "body": "b"}
    first = await run(send, **letter)
    again = await run(send, **letter)
    other = await run(send, **letter, call_id="c2")
    assert first["message_id"] == again["message_id"] != other["message_id"]
    ids = {got["message-id"] for got in exim.arrived(person, 3)}
    assert ids == {first["message_id"], other["message_id"]}


def test_it_is_run_again_by_itself_only_where_the_host_vouches_for_the_server(account: Account) -> None:
    for vouched in (False, True):
        [send] = smtp_tools(account(drops_repeats=vouched))
        assert send.capability.takes_idempotency_key is vouched
        assert (send.capability.tier, send.capability.secrets) == ("irreversible", ("password",))
        assert send.capability.hosts == (account().address,)


async def test_who_is_refused_is_reported_and_the_others_get_it(
    run: Any, account: Account, exim: Exim, person: str
) -> None:
    [send] = smtp_tools(account())
    to = [f"{person}@acme.example", "nobody@acme.example", "later@acme.example"]
    said = await run(send, to=to, subject="s", body="b")
    assert (said["status"], said["recipients"]) == ("sent in part", 1)
    assert [(one["address"], one["code"]) for one in said["refused"]] == [(to[1], 550), (to[2], 451)]
    assert "no such person here" in said["refused"][0]["reason"]
    assert send.capability.sources["refused[].reason"] == "untrusted"
    assert len(exim.arrived(person)) == 1


async def test_nothing_is_sent_when_everybody_is_refused(perform: Any, account: Account) -> None:
    [send] = smtp_tools(account())
    result = await perform(send, to=["nobody@acme.example", "later@acme.example"], subject="s", body="b")
    assert result.status == "failed"
    assert result.error.endswith("refused every recipient: [redacted e-mail] (550), [redacted e-mail] (451)")
    assert "money" not in result.error


async def test_a_message_the_server_refuses_was_not_sent(
    perform: Any, account: Account, exim: Exim, person: str
) -> None:
    [send] = smtp_tools(account())
    to = [f"{person}@acme.example"]
    for changes in ({"subject": "refused"}, {"body": "ü" * 900_000}):
        result = await perform(send, **{"to": to, "subject": "s", "body": "b", **changes})
        assert result.status == "failed"
        assert "refused (55" in result.error
    assert not exim.has_mail(person)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "s\r\nBcc: eve@evil.example"},
        {"subject": "s\nBcc: eve@evil.example"},
        {"subject": "s\u2028Bcc: eve@evil.example"},
        {"to": ["ana@acme.example\r\nRCPT TO:<eve@evil.example>"]},
        {"to": ["ana@acme.example>,<eve@evil.example"]},
        {"to": ["ana@acme.example, eve@evil.example"]},
        {"to": ["Ana <ana@acme.example>"]},
        {"to": ["ana@[127.0.0.1]"]},
        {"to": ["@evil.example:ana@acme.example"]},
        {"cc": ["x@y.example\nBcc: eve@evil.example"]},
        {"in_reply_to": "<a@b>\r\nBcc: eve@evil.example"},
        {"to": []},
    ],
)
async def test_no_argument_adds_a_header_or_a_command(
    run: Any, account: Account, changes: dict[str, Any]
) -> None:
    [send] = smtp_tools(account())
    with pytest.raises(ValueError, match=r"subject|to|cc|in_reply_to"):
        await run(send, **{"to": ["ana@acme.example"], "subject": "s", "body": "b", **changes})


async def test_a_body_ends_neither_the_message_nor_the_conversation(
    run: Any, account: Account, exim: Exim, person: str
) -> None:
    [send] = smtp_tools(account())
    body = (
        f"a\r\n.\r\nMAIL FROM:<kim@acme.example>\r\nRCPT TO:<{person}b@acme.example>\r\nDATA\n\r.\r\nQUIT\n"
    )
    await run(send, to=[f"{person}@acme.example"], subject="s", body=body)
    [got] = exim.arrived(person)
    assert "RCPT TO" in got.get_content()
    until(lambda: exim.is_done, "delivery")
    assert not exim.has_mail(f"{person}b")


async def test_nobody_sends_in_the_name_of_somebody_without_an_address(run: Any, account: Account) -> None:
    [send] = smtp_tools(account())
    for user in ("kim", "", "kim@acme.example\r\nX: y", "<kim@acme.example>"):
        with pytest.raises(ToolError, match="has no mail address"):
            await run(send, user=user, to=["ana@acme.example"], subject="s", body="b")
