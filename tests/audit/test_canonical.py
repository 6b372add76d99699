"""Promise: what is hashed is RFC 8785, byte for byte, or it is refused with a reason."""

import enum
import math
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from pratique.audit.canonical import LARGEST_INTEGER, canonical
from pratique.errors import CanonicalError

MEGABYTE = 1024 * 1024

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=30,
)


def _has_no_large_whole_float(value: Any) -> bool:
    """1e17 is written as an integer (RFC 8785), which is beyond 2^53 when it is read."""
    if isinstance(value, list | dict):
        return all(map(_has_no_large_whole_float, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or abs(value) <= LARGEST_INTEGER or abs(value) >= 1e21


@given(json_values)
@example({"\U0001f600": 1, "\uffff": 2})  # sorted by UTF-16 code units, not by code points
@example([100.0, 1e16, -0.0, 1e-7, 5e-324])
@example({"a\u2028b": "\u2028", "\x7f": "\x7f\x1f"})
def test_the_bytes_are_those_of_the_reference_library(value: Any) -> None:
    assert canonical(value, most_bytes=MEGABYTE) == rfc8785.dumps(value)


@given(json_values.filter(_has_no_large_whole_float))
def test_reading_the_bytes_and_writing_them_again_changes_nothing(value: Any) -> None:
    body = canonical(value, most_bytes=MEGABYTE)
    assert canonical(orjson.loads(body), most_bytes=MEGABYTE) == body


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: [n], lambda n: {"a": {"b": (n,)}}])
def test_a_number_that_is_none_is_refused(number: float, wrap: Any) -> None:
    with pytest.raises(CanonicalError, match="not JSON"):
        canonical(wrap(number), most_bytes=100)


@pytest.mark.parametrize("number", [LARGEST_INTEGER + 1, -LARGEST_INTEGER - 1, 2**63, 2**64, 10**400])
def test_an_integer_beyond_2_to_the_53_is_refused(number: int) -> None:
    with pytest.raises(CanonicalError):
        canonical({"n": number}, most_bytes=10_000)
    with pytest.raises(CanonicalError):
        canonical({"n": number, "ä": 1.5}, most_bytes=10_000)


def test_the_largest_integers_are_taken() -> None:
    assert canonical([LARGEST_INTEGER, -LARGEST_INTEGER], most_bytes=100) == (
        b"[9007199254740991,-9007199254740991]"
    )


class Word(enum.Enum):
    NAN = math.nan
    BIG = 2**60
    TEXT = "text"


class Text(enum.StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [
        Word.NAN,
        [Word.BIG],
        {"a": Word.TEXT},
        Text.A,
        uuid.UUID(int=1),
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal(1),
        b"bytes",
        {1, 2},
        ...,
        {1: "a number as a key"},
        {None: 1},
        {Text.A: 1},
        type("Words", (dict,), {})(a=1),
    ],
    ids=repr,
)
def test_what_is_not_plain_json_is_refused(value: Any) -> None:
    with pytest.raises(CanonicalError):
        canonical(value, most_bytes=10_000)


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\ud83d": 1}, {"ä": "\ud800"}])
def test_half_of_a_surrogate_pair_is_refused(value: Any) -> None:
    with pytest.raises(CanonicalError):
        canonical(value, most_bytes=10_000)


def nested(depth: int, inner: Any) -> Any:
    for turn in range(depth):
        inner = [inner] if turn % 2 else {"a": inner}
    return inner


@pytest.mark.parametrize("inner", [[], 1, "text", None], ids=repr)
def test_containers_may_be_as_deep_as_the_limit_and_no_deeper(inner: Any) -> None:
    containers = 1 if inner == [] else 0
    assert canonical(nested(8 - containers, inner), most_bytes=1000, deepest=8)
    with pytest.raises(CanonicalError, match="deep"):
        canonical(nested(9 - containers, inner), most_bytes=1000, deepest=8)


@pytest.mark.parametrize("depth", [65, 300, 5_000, 200_000])
def test_deep_nesting_is_refused_however_deep(depth: int) -> None:
    with pytest.raises(CanonicalError):
        canonical(nested(depth, 1), most_bytes=10 * MEGABYTE)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CanonicalError):
        canonical(value, most_bytes=1000)


def test_the_size_is_counted_in_bytes_and_the_message_says_both() -> None:
    assert canonical("é" * 10, most_bytes=22)
    with pytest.raises(CanonicalError, match="22 bytes of JSON, at most 21"):
        canonical("é" * 10, most_bytes=21)
