"""Takes secrets and personal data out of text before it is logged, shown or recorded in clear.

Rules:
- What is found is replaced by what it is: `[redacted key]`. Nothing of it stays.
- Text that was redacted stays as it is when it is redacted again.
- Nothing raises, whatever the text is: a log line that cannot be redacted would be lost, or leak.
- What is not found: values of no known form, values in an encoding (base64, percent signs), values that are
  spread over two fields.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pratique.redaction.credentials import find_credentials
from pratique.redaction.personal import find_cards, find_emails, find_ibans, find_phones
from pratique.redaction.span import KINDS, Kind, Span, merged

__all__ = ["CREDENTIALS", "KINDS", "SECRET_NAMES", "Kind", "Redaction", "Span", "find", "redact"]

CREDENTIALS: Final[tuple[Kind, ...]] = ("keys",)

SECRET_NAMES: Final = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api[-_]?key|authorization|cookie|credential|private[-_]?key)"
)

SHORTEST_KNOWN: Final = 4
_MARK: Final = re.compile(
    r"\[redacted (?:secret|private key|key|token|password|credentials|card|IBAN|e-mail|phone)\]"
)
_PASSES: Final = 4
_LONG_NUMBER: Final = 10**11
_IN_BYTES: Final[dict[Kind, Callable[[bytes], Iterator[Span]]]] = {
    "keys": find_credentials,
    "cards": find_cards,
    "iban": find_ibans,
    "emails": find_emails,
}


class Redaction:
    """What is taken out, as it was configured.

    Args:
        kinds: what to look for.
        known: secrets to take out wherever they stand; shorter ones than four characters are not.
        region: the country whose telephone numbers are known without their prefix.
    """

    def __init__(
        self, kinds: Iterable[Kind] = KINDS, known: Iterable[str] = (), region: str | None = None
    ) -> None:
        self._kinds = tuple(kinds)
        self._known = tuple(known)
        self._region = region

    def without(self, *kinds: Kind) -> "Redaction":
        """Return the same, but for some kinds."""
        left = [kind for kind in self._kinds if kind not in kinds]
        return Redaction(left, self._known, self._region)

    def text(self, text: str) -> str:
        """Return a text without what was found."""
        return redact(text, self._known, kinds=self._kinds, region=self._region)

    def value(self, value: Any) -> Any:
        """Return a JSON value without it, keys and long numbers included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return _apart((self.text(str(key)), self.value(item)) for key, item in value.items())
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, int | float) and abs(value) >= _LONG_NUMBER:
            shown = self.text(str(value))
            return value if shown == str(value) else shown
        return value


def _apart(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping in which keys that became equal are numbered."""
    result: dict[str, Any] = {}
    for key, item in items:
        free, number = key, 1
        while free in result:
            number += 1
            free = f"{key} ({number})"
        result[free] = item
    return result


def redact(
    text: str,
    known: Iterable[str] = (),
    *,
    kinds: Iterable[Kind] = CREDENTIALS,
    region: str | None = None,
) -> str:
    """Return `text` without what looks like a credential, and without the `known` secrets.

    Args:
        text: any text.
        known: secrets to take out wherever they stand.
        kinds: what else to look for, or less.
        region: the country whose telephone numbers are known without their prefix.
    """
    known, kinds = tuple(known), tuple(kinds)
    for _ in range(_PASSES):  # what is left may only now stand free: then it is found in the next pass
        spans = merged(_spans(text, known, kinds, region))
        if not spans:
            break
        text = _replaced(text, spans)
    return text


def find(text: str, kinds: Iterable[Kind] = KINDS, region: str | None = None) -> list[Span]:
    """Return where something of these kinds stands in a text, in order and without overlaps.

    Args:
        text: any text.
        kinds: what to look for.
        region: the country whose telephone numbers are known without their prefix.
    """
    return merged(_spans(text, (), tuple(kinds), region))


def _spans(text: str, known: tuple[str, ...], kinds: tuple[Kind, ...], region: str | None) -> list[Span]:
    """Look between the marks of an earlier redaction: they are no text."""
    found: list[Span] = []
    place = 0
    for mark in [*_MARK.finditer(text), None]:
        end = mark.start() if mark else len(text)
        piece = text[place:end]
        found += [
            span._replace(start=span.start + place, end=span.end + place)
            for span in _in_piece(piece, known, kinds, region)
        ]
        place = mark.end() if mark else end
    return found


def _in_piece(
    text: str, known: tuple[str, ...], kinds: tuple[Kind, ...], region: str | None
) -> Iterator[Span]:
    for secret in known:
        yield from _occurrences(text, secret)
    data = text.encode("utf-8", "surrogatepass")
    spans = sorted(span for kind in kinds if kind in _IN_BYTES for span in _IN_BYTES[kind](data))
    yield from spans if len(data) == len(text) else _in_characters(data, spans)
    if "phones" in kinds:
        yield from find_phones(text, region)


def _occurrences(text: str, secret: str) -> Iterator[Span]:
    if len(secret) < SHORTEST_KNOWN:
        return
    place = text.find(secret)
    while place >= 0:
        yield Span(place, place + len(secret), "keys", "secret")
        place = text.find(secret, place + 1)


def _in_characters(data: bytes, spans: list[Span]) -> Iterator[Span]:
    """Count characters instead of bytes, in one pass over text and places."""
    places = sorted({place for span in spans for place in (span.start, span.end)})
    characters, last, count = {0: 0}, 0, 0
    for place in places:
        count += len(data[last:place].decode("utf-8", "surrogatepass"))
        characters[place], last = count, place
    for span in spans:
        yield span._replace(start=characters[span.start], end=characters[span.end])


def _replaced(text: str, spans: list[Span]) -> str:
    pieces, place = [], 0
    for span in spans:
        pieces += [text[place : span.start], f"[redacted {span.name}]"]
        place = span.end
    return "".join([*pieces, text[place:]])
