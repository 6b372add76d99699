"""Loose undoes disguises; strict undoes none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.quarantine.normalise import loose, strict
from pratique.quarantine.provenance import Tracker

DISGUISED = {
    "upper case": "PAYPAL.COM",
    "full-width": "ｐａｙｐａｌ.com",  # noqa: RUF001  # the disguise
    "Cyrillic": "раураl.com",  # noqa: RUF001
    "zero-width": "pay\u200bpal.com",
    "soft hyphen": "pay\u00adpal.com",
    "variation selector": "pay\ufe0fpal.com",
    "bidi control": "pay\u202epal.com",
    "accents": "p\u0323ayp\u0323al.com",
    "percent": "p%61ypal%2Ecom",
    "percent twice": "p%2561ypal.com",
    "entities": "&#112;aypal&period;com",
    "mathematical": "\U0001d429\U0001d41a\U0001d432\U0001d429\U0001d41a\U0001d425.com",
    "backslash": r"\u0070aypal.com",
}


@pytest.mark.parametrize("text", DISGUISED.values(), ids=DISGUISED)
def test_loose_sees_through(text: str) -> None:
    assert loose(text) == "paypal.com"


@pytest.mark.parametrize("text", [text for name, text in DISGUISED.items() if name != "upper case"])
def test_strict_sees_another_value(text: str) -> None:
    assert strict(text) != "paypal.com"


def test_strict_lowers_ascii_alone() -> None:
    assert strict(" Pay  BOB\n\u212a\u0130 É") == "pay bob \u212a\u0130 É"


@given(st.text(max_size=200))
def test_both_forms_are_stable_and_have_no_capitals(text: str) -> None:
    assert strict(strict(text)) == strict(text)
    assert not any("A" <= letter <= "Z" for letter in strict(text) + loose(text))


def test_a_long_text_is_folded_piece_by_piece_without_losing_any() -> None:
    text = "Ünï " * 20_000 + "ＥＮＤ"  # noqa: RUF001
    assert loose(text) == "uni " * 20_000 + "end"


def test_no_character_unfolds_to_more_than_a_few() -> None:
    """One character is a sentence of eighteen: a text of nothing else cost seconds to match."""
    assert max(len(loose(chr(code))) for code in range(0x110000) if not 0xD800 <= code < 0xE000) <= 5


def test_a_text_of_characters_that_unfold_is_still_found() -> None:
    tracker = Tracker()
    tracker.saw_request("hi")
    tracker.saw_result("c1", "mail.read", {"body": "\ufdfa \u3316 " * 2000}, {})
    [origin, *_] = tracker.trace("x.y", {"a": "\ufdfa \u3316 " * 1000}, {"a": "dest"})
    assert origin.kind == "untrusted"
