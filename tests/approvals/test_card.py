"""A person sees exactly what will run: every argument whole, and nothing hidden in it."""

from typing import Any

import pytest

from pratique.approvals.card import Card, _by_argument
from pratique.model import ArgumentClass, Status
from pratique.origin import Origin, OriginKind
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


class Looked(dict[str, Any]):
    """Arguments that count how often one is looked for."""

    def __init__(self, *names: str) -> None:
        super().__init__(dict.fromkeys(names))
        self.times = 0

    def __contains__(self, name: object) -> bool:
        self.times += 1
        return super().__contains__(name)


def origin(path: str) -> Origin:
    return Origin(argument=path, argument_class=ArgumentClass.DEST, kind=OriginKind.MODEL)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("to", {"to"}),
        ("to[3].name", {"to"}),
        ("to.cc", {"to", "to.cc"}),
        ("to.cc.x", {"to", "to.cc"}),
        ("to.cc#key", {"to", "to.cc"}),
        ("together", set()),
        ("t", set()),
    ],
)
def test_an_origin_is_of_each_argument_that_its_path_can_mean(path: str, found: set[str]) -> None:
    shown = _by_argument([origin(path)], Looked("to", "to.cc"))
    assert set(shown) == found
    assert all(len(origins) == 1 for origins in shown.values())


def test_a_name_of_many_dots_is_looked_at_no_more_often_than_there_are_arguments() -> None:
    arguments = Looked("to", "text")
    assert list(_by_argument([origin("to" + ".a" * 1000)], arguments)) == ["to"]
    assert arguments.times <= len(arguments)
