"""Finds personal data: payment cards, bank accounts, e-mail addresses and telephone numbers.

Rules:
- RE2 finds what has the form; a maintained library says whether it is one: Luhn (ISO/IEC 7812-1) and IBAN
  (ISO 13616) by python-stdnum, telephone numbers by phonenumbers, the port of Google's libphonenumber.
- A number without its country's prefix is a telephone number only where a region is given: without one, every
  order number would be.
- Every start of a candidate is looked at once, and at a bounded length: time is linear in the text.
"""

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import phonenumbers
from stdnum import iban, luhn, numdb

from pratique.redaction.pattern import compiled
from pratique.redaction.span import Span

# As issuers print them: unbroken, in fours, or like American Express (4-6-5) and Diners Club (4-6-4).
_CARD: Final = compiled(
    r"\b(?:[2-6]\d{12,18}|[2-6]\d{3}(?:[ .-]\d{4}){3}(?:[ .-]\d{1,3})?|3\d{3}[ .-]\d{6}[ .-]\d{4,5})\b"
)
_IBAN: Final = compiled(r"(?i)\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}")
_EMAIL: Final = compiled(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\x80-\xff-]+@(?:[A-Za-z0-9\x80-\xff][A-Za-z0-9\x80-\xff-]*\.)+"
    r"[A-Za-z\x80-\xff][A-Za-z0-9\x80-\xff-]*[A-Za-z0-9\x80-\xff]"
)
_QUOTES: Final = b"'`"
"""They may begin a name, but where one does, it is mostly the text's quotation mark, and no secret."""
_AT: Final = ord("@")
_WORD: Final = compiled(r"[A-Za-z0-9]+")
_PLUS: Final = re.compile("[+\N{FULLWIDTH PLUS SIGN}]")
_LENGTHS: Final = re.compile(r"(\d+)!")
_LONGEST_IBAN: Final = 34 + 8


def find_cards(data: bytes) -> Iterator[Span]:
    """Yield where payment card numbers are, in bytes."""
    place = 0
    while match := _CARD.search(data, place):
        start, end = match.span()
        digits = bytes(byte for byte in match.group() if byte in b"0123456789").decode()
        if luhn.is_valid(digits):
            yield Span(start, end, "cards", "card")
            place = end
        else:
            place = _WORD.match(data, start).end()


def find_ibans(data: bytes) -> Iterator[Span]:
    """Yield where international bank account numbers are, in bytes. What follows one is not part of it."""
    place = 0
    while match := _IBAN.search(data, place):
        start = match.start()
        length = _length_at(data[start : start + _LONGEST_IBAN])
        if length:
            yield Span(start, start + length, "iban", "IBAN")
        place = start + length if length else _WORD.match(data, start).end()


def find_emails(data: bytes) -> Iterator[Span]:
    """Yield where e-mail addresses are, in bytes."""
    for match in _EMAIL.finditer(data):
        start, end = match.span()
        quotes = len(match.group()) - len(match.group().lstrip(_QUOTES))
        inside = data[start + quotes] != _AT  # a name of quotes alone is one (RFC 5322, 3.2.3)
        yield Span(start + quotes if inside else start, end, "emails", "e-mail")


def find_phones(text: str, region: str | None) -> Iterator[Span]:
    """Yield where telephone numbers are, in characters.

    Args:
        text: the text.
        region: the country (ISO 3166-1, two letters) whose national form counts as well, or None.
    """
    if region is None and not _PLUS.search(text):
        return
    for match in phonenumbers.PhoneNumberMatcher(text, region, max_tries=sys.maxsize):
        yield Span(match.start, match.end, "phones", "phone")


def _length_at(data: bytes) -> int:
    """Return how many bytes of `data` are an IBAN, or 0."""
    wanted = _iban_length(data[:2].decode().upper())
    taken = 0
    for place, byte in enumerate(data, 1):
        taken += byte not in b" -"
        if taken == wanted:
            continues = data[place : place + 1].isalnum()
            return place if not continues and iban.is_valid(data[:place].decode("ascii", "replace")) else 0
    return 0


@lru_cache(maxsize=1024)
def _iban_length(country: str) -> int:
    """Return how long a country's IBAN is, by the registry that stdnum ships; -1 if it has none."""
    (_, facts), *_ = numdb.get("iban").info(country)
    parts = _LENGTHS.findall(facts.get("bban", ""))
    return 4 + sum(map(int, parts)) if parts else -1
