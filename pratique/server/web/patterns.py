"""The form for what arguments may be: exactly this, one of these, from and to, like this, or anything."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pratique.capabilities.patterns import exactly
from pratique.words import ANY

_NEVER_ANY = ("dest", "selector", "secret", "amount")


class PatternField(NamedTuple):
    """One argument: which form was chosen, the text in it, and which forms it may have."""

    name: str
    kind: str
    text: str
    kinds: tuple[tuple[str, str], ...]


def pattern_fields(arguments: Mapping[str, Any], sinks: Mapping[str, str]) -> list[PatternField]:
    """Return the fields to begin with: exactly what one call had."""
    return [
        PatternField(
            name, "equals", _text(form["equals"]), _kinds(form["equals"], sinks.get(name, sinks.get(ANY, "")))
        )
        for name, form in exactly(arguments).items()
    ]


def read_pattern_form(
    fields: list[PatternField], form: Mapping[str, str]
) -> tuple[list[PatternField], dict[str, Any], list[str]]:
    """Return the fields as posted, the pattern that they state, and the names that cannot be read."""
    again, pattern, problems = [], dict[str, Any](), []
    for field in fields:
        text = form.get(f"text.{field.name}", field.text).replace("\r\n", "\n")
        posted = field._replace(kind=form.get(f"kind.{field.name}", field.kind), text=text)
        again.append(posted)
        try:
            pattern[field.name] = _stated(field, posted)
        except ValueError:
            problems.append(field.name)
    return again, pattern, problems


def _kinds(value: Any, decides: str) -> tuple[tuple[str, str], ...]:
    kinds = [("equals", "exactly this"), ("one_of", "one of these, one a line")]
    if isinstance(value, int | float) and not isinstance(value, bool):
        kinds.append(("between", "from this to that, two numbers"))
    elif isinstance(value, str):
        kinds.append(("glob", "like this, * for anything"))
    if decides.partition(":")[0] not in _NEVER_ANY:
        kinds.append(("any", "anything"))
    return tuple(kinds)


def _stated(before: PatternField, posted: PatternField) -> dict[str, Any]:
    """Return the form that was chosen, as a pattern states it."""
    if posted.kind == "any":
        return {"any": True}
    if posted.kind == "glob":
        return {"glob": posted.text.strip()}
    if posted.kind == "between":
        least, most = (float(word) for word in posted.text.replace(",", " ").split())
        return {"least": least, "most": most}
    is_text = ("glob", "like this, * for anything") in before.kinds
    if posted.kind == "one_of":
        lines = [line.strip() for line in posted.text.split("\n") if line.strip()]
        return {"one_of": lines if is_text else [orjson.loads(line) for line in lines]}
    if posted.kind != "equals":
        raise ValueError(posted.kind)
    return {"equals": posted.text if is_text else orjson.loads(posted.text)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
