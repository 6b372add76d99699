"""Promise: a record's hash covers every byte of it, and values cannot be guessed from it."""

import hashlib
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pratique.audit.record import GENESIS, LARGEST_RECORD, Sealed, commitment, leaf_hash, seal
from pratique.errors import CanonicalError


def sealed(draft: dict[str, Any], **changed: Any) -> Sealed:
    place: dict[str, Any] = {"log": "log_1", "seq": 7, "prev": b"\x01" * 32, "ts_us": 5, **changed}
    return seal(draft, **place)


ascii_text = st.text(st.characters(codec="ascii"))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(ascii_text, plain, max_size=5))
def test_a_record_is_canonical_and_hashed_as_rfc_6962_says(draft: dict[str, Any]) -> None:
    record = sealed(draft)
    stated = {**draft, "v": 1, "log": "log_1", "seq": 7, "prev": "01" * 32, "ts_us": 5}
    assert record.body == rfc8785.dumps(stated)
    assert record.leaf == hashlib.sha256(b"\x00" + record.body).digest() == leaf_hash(record.body)
    assert (record.seq, record.ts_us) == (7, 5)


def test_a_draft_cannot_choose_its_place() -> None:
    lying = {"v": 9, "log": "other", "seq": 1, "prev": GENESIS.hex(), "ts_us": 0, "type": "x"}
    assert sealed(lying).body == sealed({"type": "x"}).body


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        b"bytes",
        {1: 2},
        {"ä": 1},
        2**53,
        -(2**53),
        2**70,
        {1, 2},
        ...,
        "\ud800",
        ["\udfff"],
    ],
    ids=repr,
)
def test_what_the_format_has_no_place_for_is_refused(value: Any) -> None:
    with pytest.raises(CanonicalError):
        sealed({"field": value})
    with pytest.raises(CanonicalError):
        sealed({"field": [{"deeper": value}]})


def test_a_draft_that_is_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(CanonicalError):
        sealed({"field": deep})


def test_a_record_has_at_most_64_kib() -> None:
    room = LARGEST_RECORD - len(sealed({"field": ""}).body)
    assert len(sealed({"field": "x" * room}).body) == LARGEST_RECORD
    with pytest.raises(CanonicalError, match="at most 65536"):
        sealed({"field": "x" * (room + 1)})


@pytest.mark.parametrize("change", [{"log": "log_2"}, {"seq": 8}, {"prev": GENESIS}, {"ts_us": 6}])
def test_the_hash_covers_the_place(change: dict[str, Any]) -> None:
    assert sealed({"type": "x"}, **change).leaf != sealed({"type": "x"}).leaf


def test_a_commitment_depends_on_salt_field_and_value_and_on_nothing_else() -> None:
    stated = commitment(b"s" * 32, "args", b"{}")
    assert stated == hashlib.sha256(b"\x10" + b"s" * 32 + b"args\x00{}").hexdigest()
    others = [
        commitment(b"t" * 32, "args", b"{}"),
        commitment(b"s" * 32, "result", b"{}"),
        commitment(b"s" * 32, "args", b"{ }"),
        commitment(b"s" * 32, "arg", b"s\x00{}"),
    ]
    assert stated not in others


def test_text_in_any_script_is_kept_as_it_is() -> None:
    text = "Grüße \u202e \U0001f600 \u2028"
    assert orjson.loads(sealed({"field": text}).body)["field"] == text
