"""A server's JSON Schemas, made into checks that end: of arguments before a call, of results after it. Pure.

Rules:
- References inside the schema are written out first. One that leads elsewhere, or back to itself, is refused:
  nothing is fetched, and no schema can make a check run for ever.
- The library that checks is `jsonschema-rs`, in the dialect that the schema names (2020-12 if it names none).
  Patterns may backtrack so far and no further; what passes that bound does not match.
- Arguments that the schema does not name are refused, unless it says that others may be given: whoever
  approved it did not see them.
- What is wrong is said by place and keyword, never by repeating a value.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, NoReturn

import jsonschema_rs
from pydantic import ConfigDict, RootModel, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pratique.errors import SchemaRefusedError

MOST_PARTS: Final = 4000
"""Parts of a schema once its references are written out."""

MASK: Final = "the value"
"""What stands for a value in the library's words."""

BACKTRACK: Final = 100_000
MOST_FOUND: Final = 20
"""Problems of one call's arguments that are looked for."""

DIALECTS: Final = {
    "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
}

_MOVES_REFERENCES = ("$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")
_BRANCHES = ("allOf", "anyOf", "oneOf")
_BRANCH = ("if", "then", "else")
_OPENS = ("additionalProperties", "unevaluatedProperties")
_VALUES = ("const", "enum", "default", "examples", "required")
_NOT_KEPT = ("$id", "id", "$ref", "$defs", "definitions")
_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "dependencies")


class Check:
    """A compiled schema.

    Args:
        schema: JSON Schema, from anybody.
        closed: whether names are refused that it does not mention.

    Raises:
        SchemaRefusedError: it cannot be checked against, and why.
    """

    def __init__(self, schema: Mapping[str, Any], *, closed: bool = False) -> None:
        whole = _written_out(dict(schema))
        dialect = str(whole.get("$schema") or "https://json-schema.org/draft/2020-12/schema").rstrip("#")
        if dialect not in DIALECTS:
            raise SchemaRefusedError(f"its dialect {dialect[:80]!r} is not known here")
        try:
            self._validator = DIALECTS[dialect](
                whole,
                retriever=_fetches_nothing,
                mask=MASK,
                pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as problem:
            where = "/".join(str(part) for part in getattr(problem, "instance_path", ()))
            raise SchemaRefusedError(
                f"it is not a JSON Schema{f', at {where[:200]}' if where else ''}"
            ) from None
        # Only now it is known to be a schema: before, `properties` may be anything.
        self._names = _named(whole) if closed else None

    def problems(self, value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield place and problem of everything in a value that the schema does not allow."""
        if self._names is not None and isinstance(value, dict):
            for name in value:
                if name not in self._names:
                    yield (name,), "the tool has no such argument"
        for error in self._validator.iter_errors(value):
            yield tuple(error.instance_path), error.message.removeprefix(MASK).strip()


class ForeignArguments(RootModel[dict[str, Any]]):
    """Base of the arguments of another program's tool: an object, checked against its schema."""

    model_config = ConfigDict(strict=True, frozen=True)

    check: ClassVar[Check]

    @model_validator(mode="after")
    def _fit(self) -> "ForeignArguments":
        found = []
        for place, problem in self.check.problems(self.root):
            said = PydanticCustomError("json_schema", "{problem}", {"problem": problem})
            found.append(InitErrorDetails(type=said, loc=place, input=None))
            if len(found) == MOST_FOUND:
                break
        if found:
            raise ValidationError.from_exception_data("arguments", found)
        return self


def arguments_of(name: str, schema: Mapping[str, Any]) -> type[ForeignArguments]:
    """Return the model that a tool's arguments are validated with.

    Args:
        name: the tool's name here.
        schema: its input schema.

    Raises:
        SchemaRefusedError: arguments cannot be checked against it.
    """
    if schema.get("type", "object") != "object":
        raise SchemaRefusedError("its arguments are not an object")
    return type(f"{name}.arguments", (ForeignArguments,), {"check": Check(schema, closed=True)})


def _written_out(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references.

    Raises:
        SchemaRefusedError: a reference cannot be written out, or the whole grows too large.
    """
    written = _Writing(schema).part(schema, ())
    if not isinstance(written, dict):
        raise SchemaRefusedError("it is not an object")
    return written


class _Writing:
    """Writes out the references of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema, self._left = schema, MOST_PARTS

    def part(self, value: Any, within: tuple[str, ...]) -> Any:
        """Return a schema, or a list of them, without references; `within` are those that led here."""
        self._spend()
        if isinstance(value, list):
            return [self.part(item, within) for item in value]
        if not isinstance(value, dict):
            return value
        for word in _MOVES_REFERENCES:
            if word in value:
                raise SchemaRefusedError(f"it uses {word}, which is not taken")
        whole = {key: self._below(key, item, within) for key, item in value.items() if key not in _NOT_KEPT}
        if "$ref" not in value:
            return whole
        found = self._followed(value["$ref"], within)
        return {**whole, "allOf": [*whole.get("allOf", ()), found]} if whole else found

    def _below(self, key: str, item: Any, within: tuple[str, ...]) -> Any:
        if key in _VALUES:
            return item
        if key in _BY_NAME and isinstance(item, dict):
            self._spend()
            return {name: self.part(one, within) for name, one in item.items()}
        return self.part(item, within)

    def _followed(self, reference: Any, within: tuple[str, ...]) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise SchemaRefusedError(f"it refers to {str(reference)[:80]!r}, which is not in it")
        if reference in within:
            raise SchemaRefusedError(f"{reference[:80]!r} refers to itself")
        return self.part(_pointed(self._schema, reference), (*within, reference))

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise SchemaRefusedError(f"it has more than {MOST_PARTS} parts with its references written out")


def _pointed(schema: Mapping[str, Any], reference: str) -> Any:
    """Return what a JSON Pointer (RFC 6901) in a reference names."""
    found: Any = schema
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            raise SchemaRefusedError(f"it refers to {reference[:80]!r}, which is not in it")
        found = found[key]
    return found


def _named(schema: Any) -> frozenset[str] | None:
    """Return the names that a schema gives to properties, in any branch; None if there may be others."""
    if not isinstance(schema, dict):
        return frozenset()
    if schema.get("patternProperties") or any(schema.get(word, False) is not False for word in _OPENS):
        return None
    names: set[str] = set(schema.get("properties") or {})
    branches = [one for word in _BRANCHES for one in schema.get(word) or ()]
    branches += [schema[word] for word in _BRANCH if word in schema]
    for branch in branches:
        more = _named(branch)
        if more is None:
            return None
        names |= more
    return frozenset(names)


def _fetches_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri[:80]!r} is not fetched")
