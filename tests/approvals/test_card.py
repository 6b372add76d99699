"""A person sees exactly what will run: every argument whole, and nothing hidden in it."""

from typing import Any

import pytest

from pratique.approvals.card import Card
from pratique.model import Status
from pratique.sessions.session import Session
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from tests.house import POLICY, House, opened


@tool("desk.send", tier="irreversible", sinks={"to": "dest", "amount": "amount"})
async def send(_: ToolContext, to: Any, text: str = "", amount: int = 0) -> None:
    """Send a letter.\u202e It is safe."""


ASK = """
[[ask]]
id = "more"
to = "*"
tools = ["desk.send"]
approvers = "leads"
quorum = 2
"""


class Asking:
    """Asks for calls, and gives the cards that people would see."""

    def __init__(self, house: House) -> None:
        self.runtime = house.runtime(tools=[send])

    async def session(self, user: str = "kim@acme.example") -> Session:
        return await opened(self.runtime, user=user)

    async def card(self, session: Session, args: dict[str, Any]) -> Card:
        outcome = await session.call("desk.send", args)
        assert outcome.status is Status.PENDING
        return self.runtime.queue.asked(outcome.ticket).card


@pytest.fixture
def asking(house: House) -> Asking:
    return Asking(house)


def texts(card: Card) -> dict[str, str]:
    return {argument.name: argument.text for argument in card.arguments}


async def test_the_card_says_what_would_run_for_whom_and_what_that_does(asking: Asking) -> None:
    session = await asking.session()
    card = await asking.card(session, {"to": "mo", "amount": 5})
    assert (card.tool, card.tier, card.agent) == ("desk.send", "irreversible", "support")
    assert (card.user, card.session) == ("kim@acme.example", session.id)
    assert card.effect == "Cannot be undone."
    assert card.rules[0] == "irreversible asks leads"
    assert [(need.approvers, need.quorum) for need in card.needs] == [("leads", 1)]
    assert card.epoch == 1
    assert {a.name: a.decides for a in card.arguments} == {"to": "dest", "amount": "amount"}


async def test_a_long_argument_is_shown_whole(asking: Asking) -> None:
    text = "a" * 199 + "the end that a clamp would hide" + "b" * 100_000
    card = await asking.card(await asking.session(), {"to": "mo", "text": text})
    assert texts(card)["text"] == text


async def test_hidden_characters_are_written_out_however_deep_they_are(asking: Asking) -> None:
    deep = {"a": ["\u202e"], "k\u200b": 1}
    card = await asking.card(await asking.session(), {"to": deep, "text": "\u2066"})
    assert "⟨U+202E⟩" in texts(card)["to"]
    assert "⟨U+200B⟩" in texts(card)["to"]
    assert texts(card)["text"] == "⟨U+2066⟩"
    assert card.description == "Send a letter.⟨U+202E⟩ It is safe."
    assert not {"\u202e", "\u200b", "\u2066"} & set(card.model_dump_json())


async def test_the_digest_covers_what_is_shown(asking: Asking, house: House) -> None:
    session = await asking.session()
    args = {"to": "mo", "amount": 5}
    same = (await asking.card(session, args)).digest
    assert (await asking.card(session, args)).digest == same
    others = [
        await asking.card(session, {"to": "mo", "amount": 6}),
        await asking.card(session, {**args, "text": ""}),
        await asking.card(await asking.session(), args),
    ]
    await session.call("desk.mail")
    others.append(await asking.card(session, args))
    house.apply(POLICY + "# another epoch\n")
    others.append(await asking.card(session, args))
    house.apply(POLICY + ASK)
    others.append(await asking.card(session, args))
    assert len({same, *(card.digest for card in others)}) == 7
