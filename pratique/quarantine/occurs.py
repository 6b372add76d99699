"""Whether a value stands in a trusted text as a whole: the only way in which text grants trust.

Rules:
- Both sides are in the strict form; punctuation counts.
- A value does not stand in a longer word, address, host name, path, number or date.
- A value that begins or ends in ASCII may stand right beside a letter of a script without spaces. One in such
  a script may not: where a name of it ends, nobody can tell.
- A very short value stands there only where the text points at it: quoted, after `id`, `no`, `#` and such,
  or as a proper name inside a sentence.
"""

import re

from pratique.quarantine.tokens import apart

_POINTS = re.compile(
    r"(?:\b(?:id|ids|no|nr|number|num|ref|ticket|issue|key|item|file|record|row|page|room)\b[\s:.=#]*|#|['\"`(\[])$"
)
_NAME = re.compile(r"[A-Z][a-z]{1,2}")
_INSIDE = re.compile(r"[a-z,] $")
_CLOSES = "'\"`)],.;:!? "


def occurs(value: str, text: str, shortest: int = 0) -> bool:
    """Return whether a whole `value` stands in `text`; both are `strict` forms.

    Args:
        value: what to look for.
        text: the trusted text.
        shortest: a value of fewer letters and digits must be pointed at (quoted, or named as an id).
    """
    if not value or len(value) > len(text):
        return False
    short = shortest > 0 and sum(map(str.isalnum, value)) < shortest
    place = text.find(value)
    while place >= 0:
        if _whole(text, place, place + len(value)) and not (short and not _pointed(text, place, len(value))):
            return True
        place = text.find(value, place + 1)
    return False


def occurs_verbatim(value: str, text: str) -> bool:
    """Return whether `value` stands in `text` exactly, case and all, not inside a longer word."""
    place = text.find(value) if value else -1
    while place >= 0:
        before, after = text[place - 1 : place], text[place + len(value) :][:1]
        if not _word(before) and not _word(after):
            return True
        place = text.find(value, place + 1)
    return False


def is_named(value: str, text: str) -> bool:
    """Return whether a short proper name (`Eve`) stands in `text`: capital, and not to begin a sentence.

    Args:
        value: what to look for, as it is.
        text: the trusted text, as it is.
    """
    if not _NAME.fullmatch(value):
        return False
    place = text.find(value)
    while place >= 0:
        after = text[place + len(value) : place + len(value) + 1]
        if _INSIDE.search(text[max(0, place - 2) : place]) and (after in _CLOSES or after.isspace()):
            return True
        place = text.find(value, place + 1)
    return False


def _whole(text: str, start: int, end: int) -> bool:
    """Whether what stands between `start` and `end` is not part of something longer."""
    before, before2 = text[max(0, start - 1) : start], text[max(0, start - 2) : max(0, start - 1)]
    after, after2 = text[end : end + 1], text[end + 1 : end + 2]
    if (
        _continues(before, text[start : start + 1])
        or before in {"@", "-", "+", "%", "="}
        or (before in {".", "_", "\\"} and _word(before2))
    ):
        return False
    if before in {"/", ":", ",", "."} and text[start : start + 1].isdigit() and before2.isdigit():
        return False
    if before == "/" and before2 not in {"/", "", " "}:
        return False
    return not (
        _continues(after, text[end - 1 : end])
        or after in {"@", "%"}
        or (after in set(".-/:+=_\\,?&#") and _joins(after, after2))
    )


def _joins(mark: str, following: str) -> bool:
    """Whether a mark and what follows it continue the value: `.com` does, a full stop and a space do not."""
    if mark in ":,":
        return following.isdigit()
    return _word(following) or (mark in "/?&#=" and following != "" and not following.isspace())


def _pointed(text: str, start: int, length: int) -> bool:
    """Whether the text points at a short value."""
    after = text[start + length : start + length + 1]
    return bool(_POINTS.search(text[max(0, start - 16) : start])) and (not after or after in _CLOSES)


def _continues(beside: str, edge: str) -> bool:
    """Whether the character beside a value belongs to the word that the value's edge is of."""
    return _word(beside) and not (edge.isascii() and apart(beside) != beside)


def _word(character: str) -> bool:
    """Whether a character belongs to a word."""
    return character != "" and (character.isalnum() or character == "_")
