"""Laws of redaction: it never raises, it changes nothing twice, and nothing that was seeded is left."""

import string
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum import luhn

from pratique.redaction import KINDS, Redaction, find, redact

PIECES = st.sampled_from(
    [
        "password: ", "token=", "secret is ", "Bearer ", "sk_live_4eC39HqLyjWDarjt", "eyJhbGciOiJI",
        "://", "kim:pw@", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
        "bob@mail.example", "@", "+49 30 901820", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00",
        "AA00", "[redacted key]", "[redacted ", "]", ".", "\n", " ", "ü", "\ud800", "\x00", "1", '"', "\\",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join))


@settings(max_examples=500, deadline=None)
@given(TEXTS)
@example("password: +49 30 901820")
@example('password: "+49 30 901820')
@example("token: [redacted key]")
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    once = redact(text, kinds=KINDS)
    assert redact(once, kinds=KINDS) == once
    assert find(once) == []


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_spans_lie_in_the_text_in_order(text: str) -> None:
    place = 0
    for span in find(text):
        assert place <= span.start < span.end <= len(text)
        place = span.end


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.text(string.ascii_letters + string.digits + '"\\ü ', min_size=8, max_size=40), TEXTS)
def test_a_known_secret_is_never_left(before: str, secret: str, after: str) -> None:
    assert secret not in redact(before + secret + after, [secret], kinds=KINDS)


@settings(max_examples=200, deadline=None)
@given(st.integers(10**14, 10**15 - 1), st.sampled_from(["{}", "a {} b", "card:{}", "{}.", "({})"]))
def test_every_card_number_is_found(digits: int, around: str) -> None:
    payload = f"4{digits % 10**14:014d}"
    number = payload + luhn.calc_check_digit(payload)
    assert number not in redact(around.format(number), kinds=["cards"])


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_a_value_stays_json_and_is_redacted_once(value: Any) -> None:
    redaction = Redaction()
    once = redaction.value(value)
    assert redaction.value(once) == once


def test_keys_and_numbers_of_a_value_are_looked_at() -> None:
    value = {
        "bob@mail.example": [4111111111111111, 8821, True, None, 1.5],
        "n": {"x": "DE89370400440532013000"},
    }
    assert orjson.dumps(Redaction().value(value)) == orjson.dumps(
        {
            "[redacted e-mail]": ["[redacted card]", 8821, True, None, 1.5],
            "n": {"x": "[redacted IBAN]"},
        }
    )


def test_two_keys_that_look_alike_afterwards_are_both_kept() -> None:
    value = {"bob@mail.example": 1, "kim@mail.example": 2}
    assert sorted(Redaction().value(value).values()) == [1, 2]
