"""How text from outside is shown to a person: nothing in it is invisible, and nothing in it moves.

Rules:
- What a character does is asked of the Unicode Character Database, by property, not of a list kept here: its
  general category, Default_Ignorable_Code_Point, Canonical_Combining_Class and Bidi_Class, as the installed
  `regex` package has them (17.0 or newer). Python's own tables differ by version; a character without a name
  in them is written out as well.
- A character that a person would not see, or that alters its neighbour, is written as `⟨U+202E⟩`: what is not
  assigned or private, controls, format characters, all white space but the plain one, default ignorables,
  enclosing marks and overlays (combining class 1), marks that stand on no letter or pile up on one, and what
  is named a filler, a blank or a null. So are ⟨ and ⟩ themselves.
- Letters written from right to left would take digits and punctuation beside them along (UAX #9, rules W2 to
  N1). Each run of them, and each run of Arabic digits, stands between two U+200E, as UAX #9 section 2.6
  recommends: the run reads as it does in its script, and everything around it stays where it stands in the
  text. Any U+200E of the text itself is written out.
- Two different texts are shown differently.
"""

import unicodedata
from functools import lru_cache

import regex

LEFT_TO_RIGHT = "\u200e"
"""The mark that we put around what is written from right to left: the one invisible character we make."""

MOST_MARKS = 4
"""Combining marks on one letter that are still shown: more would be drawn over the lines above and below."""

_WRITTEN_OUT = regex.compile(
    r"[^\n\t\x20\P{C}] | [[\p{Z}\s]--[\n\t\x20]] | \p{Default_Ignorable_Code_Point} | \p{Me}"
    r"| \p{Canonical_Combining_Class=1} | [⟨⟩]",
    regex.VERBOSE | regex.VERSION1,
)
_STRAY_MARK = regex.compile(rf"(?<!\p{{L}}\p{{M}}{{0,{MOST_MARKS - 1}}})\p{{M}}")
_RIGHT_TO_LEFT = regex.compile(
    r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}]\p{M}*(?:\x20*[\p{Bidi_Class=R}\p{Bidi_Class=AL}]\p{M}*)*"
    r"|\p{Bidi_Class=AN}+"
)
_NO_ASCII = regex.compile(r"[^\x00-\x7f]")
_LOOKS_EMPTY = regex.compile(r"\b(?:FILLER|BLANK|NULL|INVISIBLE|SPACE)\b")


def visible(text: str) -> str:
    """Return the text with every character that a person would not see, or misread, written as ⟨U+202E⟩."""
    if text.isascii() and text.isprintable():
        return text
    text = _WRITTEN_OUT.sub(_number, text)
    if text.isascii():
        return text
    text = _NO_ASCII.sub(_named, text)
    text = _STRAY_MARK.sub(_number, text)
    return _RIGHT_TO_LEFT.sub(rf"{LEFT_TO_RIGHT}\g<0>{LEFT_TO_RIGHT}", text)


def _number(match: "regex.Match[str]") -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


def _named(match: "regex.Match[str]") -> str:
    return match[0] if _shows_something(match[0]) else _number(match)


@lru_cache(maxsize=4096)
def _shows_something(character: str) -> bool:
    """Whether a character has a name, and one that does not say that nothing is drawn."""
    name = unicodedata.name(character, "")
    return bool(name) and not _LOOKS_EMPTY.search(name)
