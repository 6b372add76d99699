"""What a request quotes: how a person says that a title or a subject is meant, and not the words in it.

Rules:
- Quotation marks of any usual kind, and back quotes. What opens and closes must be a pair, and stand at the
  edge of a word: the apostrophe in `don't` quotes nothing.
- What stands before the closing mark as a sentence ends (`"Broken grinder."`) is not part of it.
- Linear: a quotation is at most `LONGEST` characters.
"""

import re

from pratique.quarantine.normalise import strict

LONGEST = 200
ENDS = " .,;:!?\u2026"
_PAIRS = (
    '""',
    "''",
    "``",
    "`'",
    "\u201c\u201d",
    "\u201e\u201c",
    "\u201e\u201d",
    "\u201d\u201d",
    "\u2018\u2019",
    "\u201a\u2018",
    "\u201a\u2019",
    "\u2019\u2019",
    "\u00ab\u00bb",
    "\u00bb\u00ab",
    "\u2039\u203a",
    "\u203a\u2039",
    "\u300c\u300d",
    "\u300e\u300f",
    "\u300a\u300b",
    "\u3008\u3009",
    "\uff02\uff02",
    "\uff07\uff07",
)


def _quotation(opens: str, closes: str) -> re.Pattern[str]:
    """Return what finds a text between two marks; looked ahead for: one may hold another."""
    first, last = re.escape(opens), re.escape(closes)
    plain = rf"[^{first}{last}\n]"
    inside = rf"{plain}(?:{plain}|(?<=\w){last}(?=\w)){{0,{LONGEST - 1}}}"
    return re.compile(rf"(?<!\w){first}(?=({inside}){last}(?!\w))")


_QUOTES = tuple(_quotation(*pair) for pair in _PAIRS)


def quoted(text: str) -> list[str]:
    """Return what a text quotes, in the strict form, without the punctuation that ends it."""
    found = (match.group(1) for pattern in _QUOTES for match in pattern.finditer(text))
    return [form for form in dict.fromkeys(strict(said).strip(ENDS) for said in found) if form]
