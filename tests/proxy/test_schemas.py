"""A hostile schema fetches nothing, takes a bounded time, and lets nothing through that it does not name."""

import contextlib
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from pratique.errors import SchemaRefusedError
from pratique.proxy.schemas import MOST_PARTS, Check, arguments_of


def problems(schema: dict[str, Any], arguments: Any) -> list[str]:
    try:
        arguments_of("files.read", schema).model_validate_json(orjson.dumps(arguments), strict=True)
    except ValidationError as problem:
        found = problem.errors(include_input=False, include_url=False, include_context=False)
        return [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in found]
    return []


PATH: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "integer", "maximum": 5}},
    "required": ["path"],
}


def test_arguments_that_fit_are_taken_as_they_are() -> None:
    taken = arguments_of("files.read", PATH).model_validate_json(b'{"path":"a","lines":2}', strict=True)
    assert taken.root == {"path": "a", "lines": 2}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, 'path" is a required'),
        ({"path": 7}, "path: is not of type"),
        ({"path": "a", "lines": "2"}, "lines: is not of type"),
        ({"path": "a", "lines": 9}, "lines: is greater than"),
        ({"path": "a", "hidden": 1}, "hidden: the tool has no such argument"),
        ([], "should be an object"),
        ("text", "should be an object"),
        (None, "should be an object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_place(arguments: Any, problem: str) -> None:
    assert any(problem in line for line in problems(PATH, arguments))


def test_a_problem_never_repeats_a_value() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x"]}, "b": {"type": "integer"}, "c": {"pattern": "^z"}},
    }
    said = problems(schema, {"a": "hunter2", "b": "hunter2", "c": "hunter2"})
    assert len(said) == 3
    assert not any("hunter2" in line for line in said)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"additionalProperties": True}, {"any": 1}),
        ({"additionalProperties": {"type": "integer"}}, {"any": 1}),
        ({"patternProperties": {"^a": {}}}, {"any": 1}),
        ({"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, {"b": 1}),
        (
            {"properties": {"definitions": {}, "$ref": {}, "const": {}, "id": {}}},
            {"definitions": 1, "$ref": 2, "id": 3},
        ),
    ],
)
def test_names_that_a_schema_speaks_of_may_be_given(schema: dict[str, Any], arguments: Any) -> None:
    assert problems({"type": "object", **schema}, arguments) == []


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object"}, {"type": "object", "additionalProperties": False}]
)
def test_a_schema_that_names_nothing_takes_nothing(schema: dict[str, Any]) -> None:
    assert problems(schema, {}) == []
    assert problems(schema, {"a": 1})


def test_references_inside_the_schema_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Name"}, "b": {"$ref": "#/definitions/N~1m", "maxLength": 3}},
        "$defs": {"Name": {"type": "string"}},
        "definitions": {"N/m": {"type": "string"}},
    }
    assert problems(schema, {"a": "x", "b": "xyz"}) == []
    assert problems(schema, {"a": 1})
    assert problems(schema, {"b": "long"})
    assert problems(schema, {"b": 1})


@pytest.mark.parametrize(
    "dialect", ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]
)
def test_the_dialects_that_servers_use_are_known(dialect: str) -> None:
    assert problems({**PATH, "$schema": dialect}, {"path": "a"}) == []
    assert problems({**PATH, "$schema": dialect}, {"path": 1})


def doubling(levels: int) -> dict[str, Any]:
    parts = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}, {"$ref": f"#/$defs/d{level + 1}"}]}
        for level in range(levels)
    }
    return {"type": "object", "$defs": {**parts, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "array"}, "not an object"),
        ({"type": "nonsense"}, "not an object"),
        ({"properties": {"a": {"type": "nonsense"}}}, "not a JSON Schema, at properties/a/type"),
        ({"properties": {"a": {"pattern": "("}}}, "not a JSON Schema"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}, "which is not in it"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "which is not in it"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "which is not in it"),
        ({"properties": {"a": {"$ref": 7}}}, "which is not in it"),
        ({"$ref": "#"}, "which is not in it"),
        ({"allOf": [{"$ref": "#/allOf/0"}]}, "which is not in it"),
        (
            {"$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}}, "$ref": "#/$defs/a"},
            "refers to itself",
        ),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "refers to itself"),
        ({"$dynamicRef": "#x"}, "$dynamicRef"),
        ({"$schema": "http://evil.example/schema"}, "dialect"),
        (doubling(40), f"more than {MOST_PARTS} parts"),
    ],
)
def test_a_schema_that_cannot_be_held_against_is_refused(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaRefusedError) as refused:
        arguments_of("files.read", schema)
    assert problem in str(refused.value)


def test_a_pattern_that_backtracks_does_not_match_and_does_not_hang() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": r"^(a|a)*\1$"}}}
    assert problems(schema, {"a": "a" * 60 + "!"})
    assert problems(schema, {"a": "aaaa"}) == []


def test_a_result_is_held_against_its_schema() -> None:
    check = Check({"type": "object", "properties": {"n": {"type": "integer"}}})
    assert list(check.problems({"n": 1, "more": 2})) == []
    assert list(check.problems({"n": "1"}))


@pytest.mark.parametrize(
    "word", ["properties", "allOf", "if", "required", "patternProperties", "enum", "$ref"]
)
@pytest.mark.parametrize("value", [7, "x", None, [7]])
def test_what_is_no_schema_is_refused_and_not_stumbled_over(word: str, value: Any) -> None:
    with contextlib.suppress(SchemaRefusedError):
        arguments_of("files.read", {"type": "object", word: value})
    if value == 7:
        with pytest.raises(SchemaRefusedError):
            arguments_of("files.read", {"type": "object", word: value})
