"""Forms out of a tool's schema: what its arguments are now, as fields, and what was posted, as arguments.

Rules:
- A form is a way to write JSON. Whether the arguments are valid is decided where every call's are.
- What nobody touched stays what it was, to the byte: a browser rewrites the ends of lines.
- A field that a form cannot offer (a nested value) is offered as JSON.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pratique.appearance import visible

LONG = 60
"""Characters from which a text gets a box of its own."""

MOST_ROWS = 24


class Field(NamedTuple):
    """One argument as a field of a form.

    `kind` is `text`, `long`, `lines` (one text a line), `number`, `choice` or `json`.
    """

    name: str
    kind: str
    text: str
    hint: str = ""
    problem: str = ""
    choices: tuple[str, ...] = ()
    rows: int = 3


def fields(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Field]:
    """Return the fields for a tool's arguments, as they are now.

    Args:
        schema: JSON Schema of the arguments.
        arguments: their values.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    return [_field(name, _resolved(schema, stated), arguments) for name, stated in properties.items()]


def with_posted(shown: list[Field], posted: Mapping[str, str], problems: Mapping[str, str]) -> list[Field]:
    """Return the fields with what was posted, and what is wrong with each."""
    return [
        field._replace(text=posted.get(field.name, field.text), problem=problems.get(field.name, ""))
        for field in shown
    ]


def read(
    shown: list[Field], posted: Mapping[str, str], arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arguments that were posted, and what is wrong, by field.

    Args:
        shown: the fields, with the values before the edit.
        posted: what came back.
        arguments: the arguments before the edit.
    """
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in shown:
        text = posted.get(field.name, field.text).replace("\r\n", "\n")
        if text == field.text.replace("\r\n", "\n"):
            if field.name in arguments:
                found[field.name] = arguments[field.name]
            continue
        try:
            found[field.name] = _value(field, text)
        except ValueError as problem:
            problems[field.name] = str(problem)
    return found, problems


def _field(name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Field:
    value = arguments.get(name)
    hint = visible(str(schema.get("description", "")))
    hidden = isinstance(value, str) and visible(value) != value
    if hidden:
        hint = (
            f"{hint} It holds hidden characters, as the card shows; they stay unless you remove them.".strip()
        )
    if name not in arguments:
        hint = f"{hint} Not given; leave it empty to leave it out.".strip()
    kind, choices = _kind(schema, value)
    text = _text(kind, value) if name in arguments else ""
    if choices and name not in arguments:
        choices = ("", *choices)
    rows = min(MOST_ROWS, max(3, text.count("\n") + 2 + len(text) // 90))
    return Field(name, kind, text, hint, choices=choices, rows=rows)


def _kind(schema: Mapping[str, Any], value: Any) -> tuple[str, tuple[str, ...]]:
    stated = schema.get("type")
    if isinstance(stated, list):  # `["string", "null"]`
        stated = next((one for one in stated if one != "null"), None)
    if "enum" in schema and all(isinstance(item, str) for item in schema["enum"]):
        return "choice", tuple(schema["enum"])
    if stated == "boolean":
        return "choice", ("true", "false")
    if stated in {"integer", "number"} and not isinstance(value, str | list | dict):
        return "number", ()
    if stated == "string" and (value is None or isinstance(value, str)):
        long = isinstance(value, str) and (len(value) > LONG or "\n" in value)
        return ("long" if long else "text"), ()
    if stated == "array" and _resolved(schema, schema.get("items", {})).get("type") == "string":
        plain = isinstance(value, list) and all(isinstance(item, str) and "\n" not in item for item in value)
        return ("lines" if plain or value is None else "json"), ()
    return "json", ()


def _resolved(whole: Mapping[str, Any], part: Any) -> Mapping[str, Any]:
    """Return what a part of a schema says: references followed, `or nothing` left out.

    Another program's schema may say `true` in place of a part: anything.
    """
    for _ in range(8):
        if not isinstance(part, Mapping):
            return {}
        if "$ref" in part:
            known = whole.get("$defs")
            part = known.get(str(part["$ref"]).rsplit("/", 1)[-1]) if isinstance(known, Mapping) else None
        elif isinstance(only := _only(part.get("anyOf") or ()), Mapping):
            part = {**{key: item for key, item in part.items() if key != "anyOf"}, **only}
        else:
            return part
    return {}


def _only(parts: Any) -> Any:
    """Return the one part of several that is not `null`; None if there are more."""
    some = [one for one in parts if not (isinstance(one, Mapping) and one.get("type") == "null")]
    return some[0] if len(some) == 1 else None


def _text(kind: str, value: Any) -> str:
    if kind == "lines":
        return "\n".join(value or ())
    if isinstance(value, str) and kind in {"text", "long", "choice"}:
        return value
    if value is None and kind in {"text", "long", "number"}:
        return ""
    indent = orjson.OPT_INDENT_2 if kind == "json" else 0
    return orjson.dumps(value, option=indent).decode()


def _value(field: Field, text: str) -> Any:
    if field.kind == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind == "choice":
        return {"true": True, "false": False}.get(text, text) if "true" in field.choices else text
    if field.kind in {"text", "long"}:
        return text
    if not text.strip():
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        what = "a number" if field.kind == "number" else "JSON"
        raise ValueError(f"This is not {what}.") from None
