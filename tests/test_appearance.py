"""What a person is shown hides nothing and moves nothing."""

import unicodedata

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from pratique.appearance import LEFT_TO_RIGHT, MOST_MARKS, visible

HIDDEN = [
    "\u202e", "\u202d", "\u2066", "\u2069", "\u200b", "\u200d", "\u200e", "\u2060", "\ufeff", "\u00ad",
    "\u061c",
    "\x00", "\x07", "\x1b", "\r", "\x85", "\u2028", "\u2029", "\u00a0", "\u3000", "\u2003", "\u3164",
    "\u115f", "\u2800", "\u034f", "\ufe0f", "\U000e0100", "\U000e0041", "\ue000", "\uffa0", "\u17b4",
    "\u180b", "\u180c", "\u180d", "\u180e", "\u180f", "\U00016fe4", "\U0001d159", "\u0600", "\ud800",
    "\u0378",
    "⟨", "⟩",
]  # fmt: skip

ALTERING = [
    "\u0334",
    "\u0336",
    "\u0337",
    "\u0338",
    "\u20d2",
    "\u20e5",
    "\u20eb",
    "\u20dd",
    "\u20e0",
    "\u0489",
]


def number(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"


@pytest.mark.parametrize("character", HIDDEN + ALTERING, ids=lambda c: f"U+{ord(c):04X}")
def test_a_character_that_nobody_would_see_or_that_alters_its_neighbour_is_written_out(
    character: str,
) -> None:
    assert visible(f"mo{character}x") == f"mo{number(character)}x"


@pytest.mark.parametrize(
    "text",
    ["plain", "a\tb\nc", "Grüße, ça va?", "e\u0301", "日本語のメール", "한국어", "हिन्दी मैं",
     "ภาษาไทยที่", "€ 5, “so”", "😀"],
)  # fmt: skip
def test_what_people_write_stays_readable(text: str) -> None:
    assert visible(text) == text


def test_a_mark_on_a_digit_is_written_out() -> None:
    assert visible("1\u0301 000") == "1⟨U+0301⟩ 000"


def test_marks_that_pile_up_are_written_out() -> None:
    assert visible("e" + "\u0301" * (MOST_MARKS + 1)) == "e" + "\u0301" * MOST_MARKS + "⟨U+0301⟩"


def displayed(text: str) -> str:
    """Return a text in the order of its display in a paragraph from left to right (UAX #9)."""
    return str(get_display(text, base_dir="L"))


def others(text: str) -> list[str]:
    """Return, in order, the characters that are neither written from right to left nor Arabic digits."""
    return [
        c for c in text if unicodedata.bidirectional(c) not in {"R", "AL", "AN", "WS"} and c != LEFT_TO_RIGHT
    ]


def test_right_to_left_letters_would_move_what_is_beside_them() -> None:
    assert displayed("pay 10 to א 20 / 30") == "pay 10 to 30 / 20 א"
    assert displayed(visible("pay 10 to א 20 / 30")).replace(LEFT_TO_RIGHT, "") == "pay 10 to א 20 / 30"


PIECES = ["אב", "שלום עולם", "مرحبا", "٣٤", "12", "-", ".", ",", "+", "€", "%", " ", "IBAN", "/"]


@given(st.lists(st.sampled_from(PIECES)))
def test_right_to_left_letters_move_nothing_beside_them(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert others(displayed(visible(text))) == others(text)


@given(st.text())
def test_nothing_is_left_that_cannot_be_printed_but_our_own_marks(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t " for c in shown.replace(LEFT_TO_RIGHT, ""))


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_are_shown_differently(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_plain_text_is_left_alone(text: str) -> None:
    assert visible(text) == text
