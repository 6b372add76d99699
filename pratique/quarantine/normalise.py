"""Two forms of a text: a strict one, for giving trust, and a loose one, for finding taint.

Rules:
- Strict keeps everything but the case of A to Z and the width of white space: no two addresses that differ
  for
  a machine become one.
- Loose undoes what hides a text from a reader or a matcher: %xx, HTML entities, escapes, compatibility forms
  (Unicode NFKD, of each character the first four at most), accents, look-alikes (Unicode TR39), invisible
  characters, case.
- Both are linear, whatever the text.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from pratique.lookalikes import ascii_twins

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&#?\w{2,24};")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_ISO_T = re.compile(r"(\d{4}-\d\d-\d\d)t(?=\d\d:\d\d)")
_SPACES = re.compile(r"[ \t\r\n]+")
_PIECE = re.compile(r"\S{16384}|[\s\S]{1,16384}(?!\S)|[\s\S]{1,16384}")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_ROUNDS = 3
_MOST_CACHED = 20_000
_MOST_UNFOLDED = 4
_COMPATIBLE = ((0x2000, 0x3400), (0xFB00, 0xFF00), (0x1F100, 0x1F300))
"""Blocks that hold every character that unfolds to more than that; a test looks at all of Unicode."""


def strict(text: str) -> str:
    """Return the form in which trust is matched: A to Z lowered, white space collapsed, nothing else."""
    lowered = text.lower() if text.isascii() else text.translate(_LOWER)
    if "  " in lowered or "\n" in lowered or "\t" in lowered or "\r" in lowered:
        lowered = _SPACES.sub(" ", lowered)
    return lowered.strip(" ")


def loose(text: str) -> str:
    """Return the form in which taint is matched.

    The steps are those of Unicode's identifier security (UTS #39, `skeleton`) after undoing the encodings
    that
    a browser or a model undoes as a matter of course.
    """
    for _ in range(_ROUNDS):
        decoded = _undo(text)
        if decoded == text:
            break
        text = decoded
    if not text.isascii():
        text = "".join(_skeleton(piece) for piece in _pieces(text))
    text = text.lower()
    return _ISO_T.sub(r"\1 ", text) if ":" in text else text


def squeeze(text: str) -> str:
    """Return the letters and digits of a text, nothing between them."""
    return "".join(filter(str.isalnum, text))


def _undo(text: str) -> str:
    """Undo one layer of percent, entity and backslash escapes."""
    if "%" in text and _PERCENT.search(text):
        text = unquote(text)
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if "\\" in text:
        text = _ESCAPE.sub(lambda match: chr(int(match.group(1) or match.group(2), 16)), text)
    return text


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text at white space: some characters unfold to eighteen, so memory is spent by pieces."""
    return (match.group() for match in _PIECE.finditer(text))


def _skeleton(text: str) -> str:
    """Fold compatibility forms, accents, look-alikes and case; drop what is invisible."""
    if _LONG.search(text):
        text = text.translate(_SHORT)
    return unicodedata.normalize("NFKD", text).translate(_FOLDS).casefold().translate(_FOLDS)


class _Folds(dict[int, str | None]):
    """Character → what it is read as, worked out when first met; bounded."""

    def __missing__(self, code: int) -> str | None:
        """Work out one character."""
        folded = _fold(chr(code))
        if len(self) < _MOST_CACHED:
            self[code] = folded
        return folded


def _fold(character: str) -> str | None:
    """Return what one character is read as; None for nothing."""
    if character.isascii():
        return character
    if character in _LOOK_ALIKES:
        return _LOOK_ALIKES[character]
    category = unicodedata.category(character)
    if category in {"Cf", "Mn", "Me", "Cc"} or character in "\u115f\u1160\u3164\uffa0":
        return None
    return character if category[0] in "LN" else " "


def _unfolding() -> dict[int, str]:
    """Return each character that unfolds to more than a few, and the first of them.

    One of them is a whole sentence: a text of nothing else would be eighteen times as long to a matcher.
    """
    found = {}
    for first, last in _COMPATIBLE:
        for code in range(first, last):
            form = unicodedata.normalize("NFKD", chr(code))
            if len(form) > _MOST_UNFOLDED:
                found[code] = form[:_MOST_UNFOLDED].strip() + " "
    return found


_LOOK_ALIKES = ascii_twins()
_SHORT = _unfolding()
_LONG = re.compile(f"[{''.join(map(chr, _SHORT))}]")
_FOLDS = _Folds()
