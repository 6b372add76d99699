"""A text as a list of tokens: words where a script sets them apart by spaces, else single letters.

Rules:
- Thai, Lao, Khmer, Burmese, Chinese and Japanese write no spaces between words. Where a word ends, only a
  dictionary can tell (Unicode's line breaking, UAX #14: classes SA, ID and their like), so each letter is a
  token, with the marks on it: a part of a sentence is a run of tokens wherever it was cut. A number or an
  address beside them is a token of its own.
- Evidence is counted in words. An ideograph counts for half of one, a letter of an alphabet for a quarter:
  a Chinese word has two characters in the mean, a Thai one four letters, signs above and below aside.
- Everybody who cuts a text cuts it here.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import regex

_CLASSES = "".join(rf"\p{{LB={name}}}" for name in ("SA", "ID", "CJ", "NS", "AK", "AP", "AS"))
UNSPACED = rf"[[{_CLASSES}]&&\p{{L}}--\p{{Latin}}--\p{{Hangul}}]"
"""A letter of a script without spaces, as a class of the `regex` library's version 1."""

WORD_QUARTERS = 4
_IDEOGRAPH_QUARTERS = 2
_ASCII_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")
_WORD = regex.compile(
    rf"{UNSPACED}\p{{M}}*+|[[0-9a-z\x80-\U0010ffff]--[\ud800-\udfff]--{UNSPACED}]++", regex.V1
)
_UNSPACED = regex.compile(UNSPACED, regex.V1)
_IDEOGRAPH = regex.compile(r"[\p{Ideographic}\p{Yi}]", regex.V1)
_FEWEST_BYTES = 3
_FIRST_LEAD = 0xE0


def tokenise(text: str) -> list[bytes]:
    """Return the words, numbers and unspaced letters of a normalised text, punctuation dropped."""
    if text.isascii() or not _UNSPACED.search(text):
        return _ASCII_WORD.findall(text.encode("utf-8", "replace"))
    return " ".join(_WORD.findall(text)).encode().split(b" ")


def holds_unspaced(form: bytes) -> bool:
    """Return whether tokens, joined, hold a letter of a script without spaces."""
    return not form.isascii() and _UNSPACED.search(form.decode()) is not None


def apart(text: str) -> str:
    """Return a text in which lines end where unspaced letters stand: what is between them is whole."""
    return text if text.isascii() else _UNSPACED.sub("\n", text)


def is_unspaced(token: bytes) -> bool:
    """Return whether a token is a single letter of a script without spaces."""
    return len(token) >= _FEWEST_BYTES and token[0] >= _FIRST_LEAD and quarters(token) < WORD_QUARTERS


def quarters(token: bytes) -> int:
    """Return for how many quarters of a word a token counts."""
    return WORD_QUARTERS if token[0] < _FIRST_LEAD else _quarters(token[:4])


@lru_cache(maxsize=1 << 14)
def _quarters(start: bytes) -> int:
    """Return for how many quarters of a word a token counts that starts with these bytes."""
    letter = start.decode(errors="ignore")
    if not _UNSPACED.match(letter):
        return WORD_QUARTERS
    return _IDEOGRAPH_QUARTERS if _IDEOGRAPH.match(letter) else 1


def words_in(tokens: Sequence[bytes]) -> float:
    """Return for how many words tokens count."""
    return sum(map(quarters, tokens)) / WORD_QUARTERS


def reaches(weights: Sequence[int], words: int) -> list[int]:
    """Return for each token where the shortest run from it that counts for so many words ends.

    Where the tokens do not suffice, that is past their end.

    Args:
        weights: for how many quarters of a word each token counts.
        words: how many.
    """
    sums = [*accumulate(weights, initial=0)]
    return [bisect_left(sums, least + WORD_QUARTERS * words) for least in sums[:-1]]
