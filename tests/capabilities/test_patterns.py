"""What a pattern says fits, and nothing else does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.capabilities.patterns import exactly, in_words, matches, read_pattern, too_wide

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, width=16)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("form", "fitting", "others"),
    [
        ({"equals": 1}, [1], [True, "1", 2, None, [1]]),
        ({"one_of": ["a", "b"]}, ["a", ["a", "b"], ["b"]], ["c", [], ["a", "c"], {"a": "a"}, None]),
        ({"least": 1, "most": 5}, [1, 5, 2.5, [1, 2]], [0, 6, "3", True, None, [1, 9], []]),
        ({"glob": "*@acme.example"}, ["ana@acme.example", ["x@acme.example"]], [
            "eve@evil@acme.example",
            "ana@acme.example.evil",
            "ana@acme.example\n",
            "x y@acme.example",
            "ana@ACME.example",
            "ana@acmeXexample",
        ]),
        ({"glob": "reports/*.txt"}, ["reports/a.txt"], ["reports/a/b.txt", "reports/\u200b.txt"]),
        ({"glob": "a+b"}, ["a+b"], ["aab", "ab"]),
        ({"any": True}, [1, None, {}, []], []),
    ],
)  # fmt: skip
def test_a_form_fits_what_it_says(form: dict[str, Any], fitting: list[Any], others: list[Any]) -> None:
    for value in fitting:
        assert matches({"x": form}, {"x": value}, {}), value
    for value in others:
        assert not matches({"x": form}, {"x": value}, {}), value


@pytest.mark.parametrize(
    "form",
    [
        *[{}, {"equals": 1, "any": True}, {"any": False}, {"least": 1}, {"least": 5, "most": 1}],
        *[{"glob": ""}, {"glob": "x" * 201}, {"one_of": []}, {"regex": ".*"}, "x", None, {"glob": 1}],
    ],
)
def test_what_is_no_form_fits_nothing(form: Any) -> None:
    with pytest.raises(ValueError, match="x: say"):
        read_pattern({"x": form})
    assert not matches({"x": form}, {"x": 1}, {})


def test_every_argument_must_be_named_and_what_is_left_out_must_be_any() -> None:
    assert not matches({"x": {"equals": 1}}, {"x": 1, "y": 2}, {})
    assert not matches({"x": {"equals": 1}, "y": {"equals": 2}}, {"x": 1}, {})
    assert matches({"x": {"equals": 1}, "y": {"any": True}}, {"x": 1}, {})
    assert not matches({}, {"x": 1}, {})


@pytest.mark.parametrize("sink", ["to", "to[]", "to[].address"])
@pytest.mark.parametrize("word", ["dest", "amount", "secret"])
def test_what_decides_where_it_goes_is_never_any(sink: str, word: str) -> None:
    assert not matches({"to": {"any": True}}, {"to": "x"}, {sink: word})
    assert matches({"to": {"equals": "x"}}, {"to": "x"}, {sink: word})
    assert matches({"to": {"any": True}}, {"to": "x"}, {sink: "selector:ticket"})


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.dictionaries(st.text(max_size=3), JSON))
def test_exactly_these_arguments_fit_their_own_pattern_and_no_others_do(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    pattern = exactly(one)
    assert matches(pattern, one, {})
    assert in_words(pattern) is not None
    if matches(pattern, other, {}):
        assert one == other


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_glob_never_raises_and_matches_itself(glob: str, text: str) -> None:
    matches({"x": {"glob": glob}}, {"x": text}, {})
    if glob and "*" not in glob:
        assert matches({"x": {"glob": glob}}, {"x": glob}, {})


def test_an_argument_that_a_declaration_covers_by_any_is_not_left_open() -> None:
    sinks = {"to": "dest", "*": "dest"}
    assert too_wide({"to": {"equals": "mo"}, "note": {"any": True}}, sinks) == ["note"]
    assert too_wide({"note": {"any": True}}, {"to": "dest"}) == []
