"""Promise: labels form a lattice and only rise, and a field that is not declared is not trusted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.capabilities.fields import Shape
from pratique.capabilities.labels import MOST_SOURCES, covers, foreign_leaves, join
from pratique.errors import ToolDeclarationError
from pratique.model import CLEAN, Confidentiality, Integrity, Label

few_sources = st.frozensets(st.sampled_from([f"email:{n}#body" for n in range(5)]), max_size=5)
many_sources = st.frozensets(st.integers(0, 200).map("email:{}#body".format), max_size=100)
labels = st.builds(
    Label,
    integrity=st.sampled_from(list(Integrity)),
    confidentiality=st.sampled_from(list(Confidentiality)),
    sources=few_sources | many_sources,
)


@given(labels, labels)
def test_join_is_commutative(a: Label, b: Label) -> None:
    assert join(a, b) == join(b, a)


@given(labels, labels, labels)
def test_join_is_associative(a: Label, b: Label, c: Label) -> None:
    assert join(join(a, b), c) == join(a, join(b, c)) == join(a, b, c)


@given(labels)
def test_join_is_idempotent_and_clean_is_its_least_element(a: Label) -> None:
    cut = join(a)
    assert join(cut, cut) == cut == join(cut, CLEAN)


@given(labels, labels)
def test_labels_only_rise(a: Label, b: Label) -> None:
    joined = join(a, b)
    assert covers(joined, a)
    assert covers(joined, b)
    assert joined.sources >= a.sources | b.sources or "…" in joined.sources


@given(labels, labels)
def test_a_join_is_the_least_label_that_covers_both(a: Label, b: Label) -> None:
    joined = join(a, b)
    for integrity in Integrity:
        for confidentiality in Confidentiality:
            other = Label(integrity=integrity, confidentiality=confidentiality)
            if covers(other, a) and covers(other, b):
                assert covers(other, joined)


def test_a_long_list_of_sources_is_cut_and_says_so() -> None:
    many = Label(sources=frozenset(map(str, range(1000))))
    joined = join(many, CLEAN)
    assert len(joined.sources) == MOST_SOURCES
    assert "…" in joined.sources
    assert covers(joined, many)


def test_neither_half_of_a_label_makes_up_for_the_other() -> None:
    secret = Label(confidentiality=Confidentiality.RESTRICTED)
    hostile = Label(integrity=Integrity.UNTRUSTED)
    assert not covers(secret, hostile)
    assert not covers(hostile, secret)


def foreign_fields(value: Any, shape: Shape) -> set[str]:
    return {leaf.path for leaf in foreign_leaves(value, shape)}


# --- which fields come from outside -----------------------------------------------------------------------

MESSAGE = {
    "messages": [
        {"id": "1", "from": "x@evil", "body": "text", "tags": ["a"], "empty": "", "none": None},
        {"id": "2", "from": "y@evil", "body": "", "meta": {"size": 3}},
    ],
    "count": 2,
}


@pytest.mark.parametrize(
    ("sources", "foreign"),
    [
        ({"*": "meta"}, set()),
        ({"*": "authority"}, set()),
        (
            {},
            {
                "messages[].id",
                "messages[].from",
                "messages[].body",
                "messages[].tags[]",
                "messages[].meta.size",
                "count",
            },
        ),
        ({"messages[].body": "untrusted", "*": "meta"}, {"messages[].body"}),
        ({"messages[].from": "identity", "*": "meta"}, {"messages[].from"}),
        ({"messages[].tags": "internal", "*": "meta"}, {"messages[].tags[]"}),
        ({"messages": "untrusted", "messages[].id": "meta:message", "count": "meta"}, None),
        ({"messages[].meta": "untrusted", "messages": "meta", "*": "meta"}, {"messages[].meta.size"}),
        ({"count": "meta", "messages": "meta"}, set()),
    ],
)
def test_the_longest_declaration_speaks_for_a_field(
    sources: dict[str, str], foreign: set[str] | None
) -> None:
    everything = {"messages[].from", "messages[].body", "messages[].tags[]", "messages[].meta.size"}
    found = {path for path in foreign_fields(MESSAGE, Shape(sources)) if not path.endswith("#key")}
    assert found == (everything if foreign is None else foreign)


def test_a_key_that_is_not_declared_is_foreign_text_too() -> None:
    assert "hostile#key" in foreign_fields({"hostile": 1}, Shape({"id": "meta"}))
    assert foreign_fields({"hostile": 1}, Shape({"*": "meta"})) == set()


@pytest.mark.parametrize(
    ("value", "found"), [("text", {""}), ("", set()), (None, set()), (0, {""}), (False, {""})]
)
def test_a_bare_value_is_foreign_unless_it_is_empty(value: Any, found: set[str]) -> None:
    assert foreign_fields(value, Shape({})) == found
    assert foreign_fields(value, Shape({"*": "meta"})) == set()


def test_a_very_deep_result_is_looked_through_to_its_end() -> None:
    deep: Any = "text"
    for _ in range(5000):
        deep = [deep]
    assert foreign_fields(deep, Shape({})) == {"[]" * 5000}


def test_an_unknown_label_names_the_field() -> None:
    with pytest.raises(ToolDeclarationError, match=r"'body' has the label 'trusted'; known are untrusted"):
        Shape({"body": "trusted"})
