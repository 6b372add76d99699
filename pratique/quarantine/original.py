"""Where in a text, as it came in, the words of its normal form stand: a person is shown what was written.

Rules:
- A plain piece has its words where its normal form has them.
- In a piece with escapes, or with letters that are not ASCII, a word stands in what white space separates, or
  is one letter of a script without spaces, with its marks.
- Where several stand together there, each is looked for by halves.
- A span may be a character off inside an escape, never elsewhere: it is for people, nothing is decided by it.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from string import ascii_lowercase, digits
from typing import NamedTuple

import regex

from pratique.quarantine.tokens import UNSPACED, tokenise

Normal = Callable[[str], str]

_VISIBLE = regex.compile(rf"{UNSPACED}\p{{M}}*+|[\S--{UNSPACED}]++", regex.V1)
_ESCAPED = re.compile(rb"[%&\\]")
_WORDS_ONLY = bytes.maketrans(
    bytes(range(0x80)), bytes(code if chr(code) in digits + ascii_lowercase else 0x20 for code in range(0x80))
)
_ESCAPE_BEFORE = re.compile(r"(?:%[0-9A-Fa-f]?|&#?\w{0,24}|\\[ux]?[0-9A-Fa-f]{0,3})\Z")
_KEPT, _KEPT_COUNTS = 256, 4096
_SHORT = 4


class _Place(NamedTuple):
    """Where a word stands: a run without white space, and which of how many words in it."""

    start: int
    end: int
    number: int = 0
    of: int = 1


def span_of(piece: bytes | bytearray, normal: Normal | None, first: int, last: int) -> tuple[int, int]:
    """Return where words of a piece's normal form start and end in the piece, in bytes.

    Args:
        piece: the text as it came in, UTF-8.
        normal: gives its normal form; None if it is in it.
        first: the number of the first word, from 0.
        last: the number of the last word; it is in the span.
    """
    if normal is None or (piece.isascii() and not _ESCAPED.search(piece)):
        form = bytes(piece) if normal is None else normal(piece.decode()).encode()
        return _plain(form.translate(_WORDS_ONLY), first, last)
    text = piece.decode()
    places = _places(text, normal)
    if not places:
        return 0, len(piece)
    start, end = places[min(first, len(places) - 1)], places[min(last, len(places) - 1)]
    low, high = start.start, end.end
    if start.number:
        low += _begin(text[start.start : start.end], normal, start.number)
    if end.number + 1 < end.of:
        high = end.start + _begin(text[end.start : end.end], normal, end.number + 1)
    return len(text[:low].encode()), len(text[:high].encode())


def _plain(words: bytes, first: int, last: int) -> tuple[int, int]:
    """Return the span of words in a text that has spaces for everything between them."""
    start, end = _start(words, first), _start(words, last)
    stop = words.find(b" ", end)
    return start, stop if stop >= 0 else len(words)


def _start(words: bytes, number: int) -> int:
    """Return where the word of that number starts."""
    rest = words.split(None, number)
    return len(words) - len(rest[number]) if len(rest) > number else 0


@lru_cache(maxsize=_KEPT)
def _places(piece: str, normal: Normal) -> list[_Place]:
    """Return where each word stands."""
    found = []
    for match in _VISIBLE.finditer(piece):
        text = match.group()
        count = _count_short(text, normal) if len(text) <= _SHORT else _count(text, normal)
        found += [_Place(*match.span(), number, count) for number in range(count)]
    return found


def _count(text: str, normal: Normal) -> int:
    """Return how many words the normal form of a text has."""
    return len(tokenise(normal(text)))


@lru_cache(maxsize=_KEPT_COUNTS)
def _count_short(text: str, normal: Normal) -> int:
    """Return the same of a single letter, which stands there again and again."""
    return _count(text, normal)


def _begin(text: str, normal: Normal, number: int) -> int:
    """Return where word `number` of a run begins: after the longest part that does not have it yet."""
    ends = bisect_left(range(len(text) + 1), number + 1, key=lambda end: _count(text[:end], normal))
    escape = _ESCAPE_BEFORE.search(text[: ends - 1]) if ends else None
    return escape.start() if escape else max(0, ends - 1)
