"""The card is calm where nothing is odd, and names what is."""

from typing import Any

import pytest

from pratique.approvals.card import Card
from pratique.model import Status
from tests.house import House, opened
from tests.outside import BOLT, OPEN, REQUEST, THIEF, Border, Letter

ASKS = OPEN + '\n[[ask]]\nid = "every-write"\nto = "*"\ntools = ["*"]\ntier = "write"\napprovers = "leads"\n'


async def card(house: House, tool: str, args: dict[str, Any], *, reads: bool = True, body: str = "") -> Card:
    border = Border()
    if body:
        border.letters["7"] = Letter("eve@evil.example", body)
    house.apply(ASKS)
    runtime = house.runtime(tools=border.tools())
    session = await opened(runtime, request=REQUEST)
    if reads:
        await session.call("post.read", {"mail": "7"})
        await session.call("bank.payees")
    outcome = await session.call(tool, args)
    assert outcome.status is Status.PENDING
    return runtime.queue.asked(outcome.ticket).card


async def test_a_destination_from_outside_is_an_alarm_that_names_it(empty_house: House) -> None:
    found = await card(empty_house, "bank.pay", {"account": THIEF, "amount": 18.5})
    assert found.alarm
    assert found.taint.startswith(
        "account decides where this goes, and was written by somebody outside in email:7#body"
    )


async def test_a_destination_that_nothing_explains_is_an_alarm(empty_house: House) -> None:
    found = await card(empty_house, "bank.pay", {"account": "GB29 NWBK 6016 1331", "amount": 18.5})
    assert found.alarm
    assert (
        "account decides where this goes, and was written by the model: no origin was found." in found.taint
    )


async def test_a_write_as_the_user_asked_for_it_is_calm(empty_house: House) -> None:
    found = await card(empty_house, "bank.pay", {"account": BOLT, "amount": 18.5})
    assert not found.alarm
    assert (
        found.taint == "This session has read text from outside; none of it was found in what decides here."
    )


async def test_a_sum_from_outside_is_to_be_checked_and_no_alarm(empty_house: House) -> None:
    found = await card(
        empty_house, "bank.pay", {"account": BOLT, "amount": 77.25}, body="It was 77.25 EUR, thanks"
    )
    assert not found.alarm
    assert found.taint == "Check amount (comes from outside)."


async def test_a_session_that_saw_nothing_from_outside_is_calm(empty_house: House) -> None:
    found = await card(empty_house, "bank.pay", {"account": "GB29 NWBK 6016", "amount": 1.0}, reads=False)
    assert (found.alarm, found.taint) == (False, "This session has seen no text from outside.")


async def test_what_is_odd_is_said_once_and_not_among_the_rules(empty_house: House) -> None:
    found = await card(empty_house, "bank.pay", {"account": THIEF, "amount": 18.5})
    assert found.rules == ("every-write asks leads",)


@pytest.mark.parametrize("name", ["\u202eevil", "x\u200by"])
async def test_a_notice_hides_nothing(empty_house: House, name: str) -> None:
    found = await card(empty_house, "post.send", {"to": [name], "body": "see http://" + name + ".example/"})
    assert name not in found.taint
