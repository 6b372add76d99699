"""What templates are made with: everything escaped, nothing cut, nothing inline, nothing from elsewhere."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from pratique.appearance import visible
from pratique.server.web import forms
from pratique.server.web.assets import ASSETS, HTMX
from pratique.server.web.plots import Bar, plot
from pratique.server.web.render import ENVIRONMENT, FOLD_AT, folded, shown, span

HTMX_SHA256 = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
"""Of `package/dist/htmx.min.js` in npm's htmx.org-4.0.1.tgz."""

TEMPLATES = Path(str(files("pratique.server").joinpath("templates")))


@given(st.text())
def test_a_folded_text_is_the_whole_text(text: str) -> None:
    parts = folded(text)
    assert parts.head + parts.rest == text


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 400))
def test_a_fold_shows_a_bounded_beginning_and_divides_no_written_out_character(each: int, many: int) -> None:
    text = visible(("x" * each + "\u202e") * many)
    parts = folded(text)
    assert len(parts.head) <= FOLD_AT * 1.1 + 10
    assert parts.head.count("⟨") == parts.head.count("⟩")


@given(st.text())
def test_what_is_shown_is_escaped_and_says_the_same(text: str) -> None:
    markup = str(shown(visible(text)))
    without_marks = re.sub(r'<span class="unseen">(⟨U\+[0-9A-F]+⟩)</span>', r"\1", markup)
    assert "<" not in without_marks
    unescaped = without_marks.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"')
    assert unescaped.replace("&#39;", "'").replace("&amp;", "&") == visible(text)


def test_a_written_out_character_cannot_be_forged() -> None:
    assert "unseen" not in str(shown(visible("U+202E")))
    assert visible("⟨U+202E⟩") == "⟨U+27E8⟩U+202E⟨U+27E9⟩"


def test_a_name_that_a_template_does_not_know_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        ENVIRONMENT.from_string("{{ nobody }}").render()


def test_every_template_escapes_and_marks_nothing_as_safe() -> None:
    for path in TEMPLATES.glob("*.html"):
        source = path.read_text()
        assert "| safe" not in source, path
        assert "|safe" not in source, path
        assert "autoescape" not in source, path


def test_no_template_has_an_inline_script_style_or_handler_or_asks_elsewhere() -> None:
    for path in TEMPLATES.glob("*.html"):
        source = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", source), path
        assert "<style" not in source, path
        assert not re.search(r"\s(style|on[a-z]+)=", source), path
        assert "http://" not in source, path
        assert "https://" not in source, path


def test_htmx_is_what_its_authors_published() -> None:
    assert hashlib.sha256(ASSETS[HTMX].body).hexdigest() == HTMX_SHA256
    assert b"Zero-Clause BSD" in files("pratique.server").joinpath("static", "htmx-LICENSE.txt").read_bytes()


SCHEMA = {
    "properties": {
        "to": {"type": "array", "items": {"type": "string"}},
        "body": {"type": "string"},
        "cc": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "amount": {"type": "number"},
        "urgent": {"type": "boolean"},
        "kind": {"$ref": "#/$defs/Kind"},
        "nested": {"type": "object"},
    },
    "$defs": {"Kind": {"enum": ["a", "b"]}},
}
ARGUMENTS = {
    "to": ["li@acme.example"],
    "body": "one\r\ntwo\n",
    "amount": 2.50,
    "urgent": False,
    "kind": "a",
    "nested": {"x": [1]},
}


def test_a_form_that_nobody_touched_gives_the_arguments_back_to_the_byte() -> None:
    fields = forms.fields(SCHEMA, ARGUMENTS)
    as_a_browser_posts = {one.name: one.text.replace("\r\n", "\n").replace("\n", "\r\n") for one in fields}
    assert forms.read(fields, as_a_browser_posts, ARGUMENTS) == (ARGUMENTS, {})
    kinds = [one.kind for one in fields]
    assert kinds == ["lines", "long", "lines", "number", "choice", "choice", "json"]


def test_what_was_changed_has_the_type_that_the_schema_says() -> None:
    fields = forms.fields(SCHEMA, ARGUMENTS)
    posted = {
        "to": "li@acme.example\r\nbo@acme.example",
        "amount": "3",
        "urgent": "true",
        "nested": '{"x": 2}',
    }
    edited, problems = forms.read(fields, posted, ARGUMENTS)
    assert problems == {}
    assert edited["to"] == ["li@acme.example", "bo@acme.example"]
    assert (edited["amount"], edited["urgent"], edited["nested"]) == (3, True, {"x": 2})
    assert "cc" not in edited


def test_what_is_no_number_or_json_is_said_by_field() -> None:
    fields = forms.fields(SCHEMA, ARGUMENTS)
    _, problems = forms.read(fields, {"amount": "three", "nested": "{"}, ARGUMENTS)
    assert problems == {"amount": "This is not a number.", "nested": "This is not JSON."}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_a_plot_stays_within_its_frame(values: list[tuple[int, int]]) -> None:
    bars = [Bar(f"day {number}", value) for number, value in enumerate(values)]
    made = plot("t", "s", "day", (("yes", "good"), ("no", "bad")), bars)
    for piece in made.pieces:
        assert piece.x >= made.left
        assert piece.x + piece.width <= made.width + 0.2
        assert 0 <= piece.y <= piece.y + piece.height <= made.floor + 0.2
    assert len(made.marks) <= 10


def test_a_length_of_time_is_said_in_two_units() -> None:
    said = [span(seconds * 1_000_000) for seconds in (5, 65, 600, 14_220, 90_000, -3)]
    assert said == ["5 s", "1 min 5 s", "10 min", "3 h 57 min", "1 d 1 h", "0 s"]


@pytest.mark.parametrize(
    "stated",
    [
        True,
        False,
        {},
        {"type": ["string", "null"]},
        {"type": ["null"]},
        {"anyOf": [True]},
        {"anyOf": [{"type": "null"}, True]},
        {"$ref": "#/definitions/x"},
        {"$ref": "#/$defs/loop"},
        {"enum": [1, None]},
        {"enum": []},
        {"type": "array", "items": True},
        {"type": "array", "items": [{"type": "string"}]},
        {"description": ["not", "text"]},
    ],
)
@pytest.mark.parametrize("defs", [[], {"loop": {"$ref": "#/$defs/loop"}}, {"loop": True}])
def test_a_form_can_be_made_of_any_schema_of_another_program(stated: Any, defs: Any) -> None:
    schema = {"properties": {"a": stated}, "$defs": defs}
    calls: list[dict[str, Any]] = [{}, {"a": "x"}, {"a": None}, {"a": 1}, {"a": ["x"]}, {"a": {"b": []}}]
    for arguments in calls:
        shown = forms.fields(schema, arguments)
        assert forms.read(shown, {}, arguments) == (arguments, {})
