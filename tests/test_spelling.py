"""Promise: a word that is nearly one that is known brings that one along, and other words bring nothing."""

import pytest
from pydantic import BaseModel

from pratique.capabilities.manifest import PolicyFile
from pratique.settings import Settings
from pratique.spelling import meant, meant_key


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("teir", "; did you mean 'tier'?"),
        ("tiers", "; did you mean 'tier'?"),
        ("tier", "; did you mean 'tier'?"),
        ("colour", ""),
        ("", ""),
    ],
)
def test_the_nearest_word_is_named(word: str, said: str) -> None:
    assert meant(word, ["taint", "tier", "tools"]) == said


@pytest.mark.parametrize(
    ("model", "place", "said"),
    [
        (PolicyFile, ("alow",), "allow"),
        (PolicyFile, ("allow", 0, "tiant"), "taint"),
        (PolicyFile, ("agents", "support", "ower"), "owner"),
        (PolicyFile, ("agents", "owner", "ower"), "owner"),  # an agent of that name is no key
        (PolicyFile, ("preset", "aprovers"), "approvers"),
        (PolicyFile, ("test", 3, "expct"), "expect"),
        (Settings, ("server", "prot"), "port"),
        (Settings, ("servers", "time", "comand"), "command"),
    ],
)
def test_a_key_is_looked_for_among_those_of_its_table(
    model: type[BaseModel], place: tuple[str | int, ...], said: str
) -> None:
    assert meant_key(model, place) == f"; did you mean {said!r}?"


@pytest.mark.parametrize(
    "place", [("allow", 0, "colour"), ("nowhere", "tier"), ("groups", "desk"), ("plans", 0, 0)]
)
def test_a_key_that_is_like_none_there_brings_nothing(place: tuple[str | int, ...]) -> None:
    assert meant_key(PolicyFile, place) == ""
