"""What a person is shown of a definition: what changed, and what is odd about its words. Pure.

Rules:
- Every text is shown with its hidden and bidirectional characters written out (`pratique.appearance`).
- A warning is for the person who decides, and decides nothing: words that look like orders to a model are
  found by patterns, and a server can word its orders so that none fits.
- A server writes what is compared: so many lines are compared with each other, and no more.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Final

import orjson
import re2

from pratique.appearance import visible
from pratique.model import Value
from pratique.proxy.definition import Definition

LONG: Final = 2000
"""Characters of a description from which on it is said that it is long."""

MOST_COMPARED = 2000
"""Lines of a part, old and new together, that are compared. Of more, all old ones are shown, then all new."""

_AROUND = 24
_MARK = "⟨U+"

_ORDERS: Final = {
    "tells a model to ignore what it was told": (
        r"(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|rule|prompt|guideline|previous|above|told)"
    ),
    "tells a model to keep something from people": (
        r"(?:do not|don't|never|without)\b.{0,16}"
        r"\b(?:tell|mention|inform|notify|reveal|show|ask|telling|asking)\b.{0,24}\b(?:user|person|human|anyone|anybody|them)"
    ),
    "speaks to a model, not to people": (
        r"<\s*/?\s*(?:important|system|secret|instructions?|assistant|admin)\b|\bsystem prompt\b"
        r"|\byou (?:must|shall|have to|are required)\b"
    ),
    "says what to do with other tools": (
        r"\b(?:before|after|instead of|whenever|prior to)\b.{0,24}\b(?:using|calling|use|call|invoking|any)\b"
        r".{0,24}\btools?\b|\balways (?:call|use)\b"
    ),
    "speaks of secrets": (
        r"\.ssh\b|\bid_rsa\b|\.env\b|\bpasswords?\b|\bcredentials?\b|\bapi[ _-]?keys?\b"
        r"|\bprivate keys?\b|\btokens?\b"
    ),
}
_PATTERNS = {what: re2.compile("(?is)" + pattern) for what, pattern in _ORDERS.items()}


class Line(Value):
    """One line of a part of a definition: `sign` is `+` for what is new, `-` for what is gone, or a space.

    Of a part that is too long to be compared, it is all lines of one sign.
    """

    sign: str
    text: str


class Part(Value):
    """One part of a definition, line by line. `changed` says whether any of them is.

    Attributes:
        count: how many lines of text it has.
    """

    name: str
    lines: tuple[Line, ...]
    changed: bool
    count: int


def parts(before: Definition | None, after: Definition | None) -> list[Part]:
    """Return what a definition was and is, part by part; parts that neither has are left out.

    Args:
        before: the one that was approved; None if none was.
        after: the one that was seen last; None if there is none.
    """
    old = before.parts() if before is not None else None
    new = after.parts() if after is not None else None
    names = list((new or old or {}).keys())
    found = (
        _part(name, _at(old, name), _at(new, name), both=old is not None and new is not None)
        for name in names
    )
    return [part for part in found if part.lines]


def warnings(definition: Definition) -> list[str]:
    """Return what is odd about the words of a definition, each in one line."""
    return [*_hidden(definition), *_like_orders(definition), *_long(definition)]


def _at(parts: dict[str, Any] | None, name: str) -> list[str]:
    value = None if parts is None else parts[name]
    if value is None:
        return []
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return [visible(line) for line in text.split("\n")]


def _part(name: str, old: list[str], new: list[str], *, both: bool) -> Part:
    changed = both and old != new
    if not changed:
        lines, count = _same(new or old), len(new or old)
    elif len(old) + len(new) > MOST_COMPARED:
        sides = (("-", old), ("+", new))
        lines = tuple(Line(sign=sign, text="\n".join(texts)) for sign, texts in sides if texts)
        count = len(old) + len(new)
    else:
        lines = tuple(_compared(old, new))
        count = len(lines)
    return Part(name=name, lines=lines, changed=changed, count=count)


def _same(texts: list[str]) -> tuple[Line, ...]:
    if len(texts) > MOST_COMPARED:
        return (Line(sign=" ", text="\n".join(texts)),)
    return tuple(Line(sign=" ", text=text) for text in texts)


def _compared(old: list[str], new: list[str]) -> Iterator[Line]:
    matcher = difflib.SequenceMatcher(None, old, new)  # autojunk: else many equal lines take for ever
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            yield from (Line(sign=" ", text=text) for text in old[a:b])
            continue
        yield from (Line(sign="-", text=text) for text in old[a:b])
        yield from (Line(sign="+", text=text) for text in new[c:d])


def _hidden(definition: Definition) -> Iterator[str]:
    for name, texts in _texts(definition):
        count = sum(visible(text.replace("\n", " ").replace("\t", " ")).count(_MARK) for text in texts)
        if count:
            yield f"{name} has {count} hidden character{'s' if count > 1 else ''}, written out as ⟨U+…⟩"


def _like_orders(definition: Definition) -> Iterator[str]:
    for name, texts in _texts(definition):
        plain = [_plain(text) for text in texts]
        for what, pattern in _PATTERNS.items():
            found = next((hit for text in plain if (hit := _first(pattern, text))), "")
            if found:
                yield f"{name} {what}: “{found}”"


def _plain(text: str) -> str:
    """Return a text without what hides in it: letters with something invisible between them are a word."""
    if not text.isascii():
        hidden = {c for c in set(text) if visible(c) != c and not c.isspace()}
        text = "".join(c for c in text if c not in hidden)
    return " ".join(text.split())


def _first(pattern: Any, plain: str) -> str:
    """Return the first place in a text that fits, with a little around it; empty if none does."""
    match = pattern.search(plain)
    if match is None:
        return ""
    start, end = max(0, match.start() - _AROUND), min(len(plain), match.end() + _AROUND)
    return visible(f"{'…' if start else ''}{plain[start:end]}{'…' if end < len(plain) else ''}")


def _long(definition: Definition) -> Iterator[str]:
    length = len(definition.description or "")
    if length > LONG:
        yield f"description is long: {length:,} characters, all of which a model reads"


def _texts(definition: Definition) -> Iterator[tuple[str, list[str]]]:
    for name, value in definition.parts().items():
        yield name, list(_strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
