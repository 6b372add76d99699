"""A person sees exactly what will run: every argument whole, and nothing hidden in it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.approvals.card import Card, visible
from pratique.model import Status
from pratique.sessions.session import Session
from pratique.tools.context import ToolContext
from pratique.tools.registry import tool
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


@pytest.mark.parametrize(
    "character",
    [
        "\u202e", "\u202d", "\u2066", "\u2069", "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u061c",
        "\x00", "\x07", "\x1b", "\r", "\x85", "\u2028", "\u2029", "\u00a0", "\u3000", "\u2003", "\u3164",
        "\u115f", "\u2800", "\u034f", "\ufe0f", "\U000e0100", "\U000e0041", "\ue000", "\uffa0", "\u17b4",
        "⟨", "⟩",
    ],
    ids=lambda c: f"U+{ord(c):04X}",
)  # fmt: skip
def test_a_character_that_nobody_would_see_is_written_out(character: str) -> None:
    assert visible(f"mo{character}x") == f"mo⟨U+{ord(character):04X}⟩x"


async def test_hidden_characters_are_written_out_however_deep_they_are(asking: Asking) -> None:
    deep = {"a": ["\u202e"], "k\u200b": 1}
    card = await asking.card(await asking.session("kim\u202e@acme.example"), {"to": deep, "text": "\u2066"})
    assert "⟨U+202E⟩" in texts(card)["to"]
    assert "⟨U+200B⟩" in texts(card)["to"]
    assert texts(card)["text"] == "⟨U+2066⟩"
    assert card.user == "kim⟨U+202E⟩@acme.example"
    assert card.description == "Send a letter.⟨U+202E⟩ It is safe."
    assert not {"\u202e", "\u200b", "\u2066"} & set(card.model_dump_json())


@given(st.text())
def test_two_texts_never_look_alike_because_of_hidden_characters(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t " for c in shown)
    assert (shown == text) == (not any(visible(c) != c for c in text))


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_are_shown_differently(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


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
