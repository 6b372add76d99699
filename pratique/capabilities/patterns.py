r"""What a standing approval says of each argument: a small, closed language. Pure.

    {"id": {"equals": "t7"}, "state": {"one_of": ["open", "closed"]}, "amount": {"least": 1, "most": 50},
     "to": {"glob": "*@acme.example"}, "note": {"any": true}}

Rules:
- Every argument of a call must be named, and fit. An argument that the call leaves out must be `any`, or have
  been left out when the pattern was made.
- Of a list, every item must fit; an empty list fits nothing but `any` and `equals`.
- `*` in a glob stands for letters, digits and signs, but not for `/`, `@`, `\` or white space: it does not
  reach into another folder or another domain. There are no other signs in a glob.
- What decides where things go (a destination, a secret, an amount) must not be `any`.
- An unknown word, or a value of another kind, fits nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import re2
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pratique.model import ArgumentClass
from pratique.words import ANY

LONGEST_GLOB = 200
MOST_CHOICES = 100
MOST_FIELDS = 64

_ANY = r"[^\s\pZ\pC/@\\]*"
_NEVER_ANY = {ArgumentClass.DEST, ArgumentClass.SECRET, ArgumentClass.AMOUNT}

Plain = str | int | float | bool | None


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Equals(_Form):
    """This very value, of this very kind: `1` is not `true`."""

    equals: Any

    def fits(self, value: Any) -> bool:
        """Return whether the value is the same JSON value."""
        return _same(value, self.equals)


class OneOf(_Form):
    """One of these values; of a list, each of its items."""

    one_of: Annotated[list[Plain], Field(min_length=1, max_length=MOST_CHOICES)]

    def fits(self, value: Any) -> bool:
        """Return whether it is one of them."""
        return _each(value, lambda item: any(_same(item, choice) for choice in self.one_of))


class Bounded(_Form):
    """A number from `least` to `most`, both included and both stated."""

    least: int | float
    most: int | float

    @model_validator(mode="after")
    def _ordered(self) -> "Bounded":
        if self.least > self.most:
            raise ValueError("least is more than most")
        return self

    def fits(self, value: Any) -> bool:
        """Return whether it is a number within the bounds."""
        return _each(value, self._holds)

    def _holds(self, item: Any) -> bool:
        return (
            isinstance(item, int | float) and not isinstance(item, bool) and self.least <= item <= self.most
        )


class Glob(_Form):
    """A text with `*` in it; see the module's rules for what that stands for."""

    glob: Annotated[str, Field(min_length=1, max_length=LONGEST_GLOB)]

    def fits(self, value: Any) -> bool:
        """Return whether the whole text fits."""
        form = re2.compile(_ANY.join(re2.escape(part) for part in self.glob.split("*")))
        return _each(value, lambda item: isinstance(item, str) and form.fullmatch(item) is not None)


class AnyValue(_Form):
    """Whatever it is. Not for what decides where things go."""

    any: Literal[True]

    def fits(self, value: Any) -> bool:
        """Return True."""
        del value
        return True


Form = Equals | OneOf | Bounded | Glob | AnyValue
_PATTERN = TypeAdapter(Annotated[dict[str, Form], Field(max_length=MOST_FIELDS)])


def read_pattern(stated: Mapping[str, Any]) -> dict[str, Form]:
    """Return the pattern that a mapping states.

    Raises:
        ValueError: it is none; one line per field says why.
    """
    found: dict[str, Form] = {}
    problems = []
    for name, form in stated.items():
        try:
            found.update(_PATTERN.validate_python({name: form}))
        except ValidationError:
            problems.append(f"{name}: say equals, one_of, least and most, glob, or any")
    if len(stated) > MOST_FIELDS:
        problems.append(f"more than {MOST_FIELDS} fields")
    if problems:
        raise ValueError("; ".join(problems))
    return found


def too_wide(stated: Mapping[str, Any], sinks: Mapping[str, str]) -> list[str]:
    """Return the arguments that decide where things go and that the pattern leaves open."""
    return [
        name
        for name, form in read_pattern(stated).items()
        if (isinstance(form, AnyValue) or (isinstance(form, Glob) and not form.glob.strip("*")))
        and _NEVER_ANY & set(_classes(name, sinks))
    ]


def matches(stated: Mapping[str, Any], arguments: Mapping[str, Any], sinks: Mapping[str, str]) -> bool:
    """Return whether a call's arguments fit the pattern.

    Args:
        stated: the pattern.
        arguments: the call's, as JSON values.
        sinks: argument → what it decides.
    """
    try:
        pattern = read_pattern(stated)
    except ValueError:
        return False
    if too_wide(stated, sinks) or not arguments.keys() <= pattern.keys():
        return False
    left_out = pattern.keys() - arguments.keys()
    return all(isinstance(pattern[name], AnyValue) for name in left_out) and all(
        pattern[name].fits(value) for name, value in arguments.items()
    )


def exactly(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pattern that only these arguments fit: what a form to make one begins with."""
    return {name: {"equals": value} for name, value in arguments.items()}


def in_words(stated: Mapping[str, Any]) -> str:
    """Return the pattern as people read it, one field after the other."""
    return ", ".join(f"{name} {_words(form)}" for name, form in read_pattern(stated).items())


def _words(form: Form) -> str:
    if isinstance(form, Equals):
        return f"= {form.equals!r}"
    if isinstance(form, OneOf):
        return "in " + " | ".join(repr(choice) for choice in form.one_of)
    if isinstance(form, Bounded):
        return f"from {form.least:g} to {form.most:g}"
    return f"like {form.glob!r}" if isinstance(form, Glob) else "is anything"


def _classes(name: str, sinks: Mapping[str, str]) -> list[ArgumentClass]:
    """Return what an argument decides, itself or any part of it (`recipients[].address`)."""
    words = [word for argument, word in sinks.items() if argument.replace("[", ".").split(".")[0] == name]
    if not words and ANY in sinks:
        words = [sinks[ANY]]
    return [ArgumentClass(word.partition(":")[0]) for word in words]


def _each(value: Any, holds: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(not isinstance(item, list | dict) and holds(item) for item in value)
    return not isinstance(value, dict) and bool(holds(value))


def _same(one: Any, other: Any) -> bool:
    """Compare JSON values; a boolean is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
