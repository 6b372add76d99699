"""Numbers, dates and addresses compare by what they mean, not by how they are written.

Rules:
- 98.7 is 98.70; 1200 is 1,200.00; 2024-05-30 is May 30th, 2024. Nothing is rounded.
- A number is a whole number in the text: 12 does not stand in 2012, 12.50, 1,200 or 12:30.
- A value is a date, a number or a text, by its form alone.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[t ](\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_IN_TEXT = re.compile(r"(?<![\w.:/])(?<!\d[,-])\d{1,3}(?:[,']\d{3})+(?:\.\d+)?(?!\w|[.,:/-]\d)"
                      r"|(?<![\w.:/])(?<!\d[,-])\d+(?:[.,]\d+)?(?!\w|[.,:/-]\d)")  # fmt: skip
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december",
)  # fmt: skip
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
_MOST_DIGITS = 40
_NOON = 12


class Date(NamedTuple):
    """A calendar date, with a time of day if it has one (`hour` is -1 if not)."""

    year: int
    month: int
    day: int
    hour: int = -1
    minute: int = 0

    @property
    def timed(self) -> bool:
        """Whether the time says more than the date: the ends of a day do not."""
        return self.hour >= 0 and (self.hour, self.minute) not in {(0, 0), (23, 59)}

    def written(self) -> Iterator[list[bytes]]:
        """Yield the token runs in which digits write this date: ISO, European and American order."""
        year, month, day = f"{self.year}", f"{self.month:02d}", f"{self.day:02d}"
        bare_month, bare_day = f"{self.month}", f"{self.day}"
        for parts in (
            (year, month, day), (day, month, year), (month, day, year),
            (bare_month, bare_day, year), (bare_day, bare_month, year),
        ):  # fmt: skip
            yield [part.encode() for part in parts]

    def month_words(self) -> list[bytes]:
        """Return the words for its month."""
        name = _MONTHS[self.month - 1]
        return [name.encode(), name[:3].encode()]

    def day_words(self) -> list[bytes]:
        """Return the words for its day of the month."""
        ordinal = f"{self.day}{_ORDINALS.get(self.day, 'th')}"
        return [word.encode() for word in (f"{self.day}", f"{self.day:02d}", ordinal)]

    def times(self) -> Iterator[list[bytes]]:
        """Yield the token runs in which its time of day is written, 24 and 12 hours."""
        hour12, half = (self.hour - 1) % _NOON + 1, "am" if self.hour < _NOON else "pm"
        forms = [f"{self.hour:02d} {self.minute:02d}", f"{self.hour} {self.minute:02d}"]
        forms += [f"{hour12} {self.minute:02d} {half}", f"{hour12} {self.minute:02d}{half}"]
        if not self.minute:
            forms += [f"{hour12} {half}", f"{hour12}{half}"]
        for form in forms:
            yield [part.encode() for part in form.split()]


def read_date(text: str) -> Date | None:
    """Return the ISO 8601 date that a text is, or None."""
    match = _DATE.fullmatch(text)
    if not match:
        return None
    parts = [int(part) for part in match.groups() if part is not None]
    try:
        datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  # asks only whether such a day and time exist
    except ValueError:
        return None
    return Date(*parts)


def read_number(text: str) -> Decimal | None:
    """Return the number that a text is (commas group thousands), or None."""
    if len(text) > _MOST_DIGITS or not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text.replace(",", "")).normalize()
    except InvalidOperation:  # pragma: no cover  # the pattern admits only what Decimal reads
        return None


def numbers_in(text: str) -> Iterator[Decimal]:
    """Yield each whole number that stands in a text, in either way of writing decimals."""
    for match in _IN_TEXT.finditer(text):
        written = match.group()
        for form in {written.replace(",", ""), written.replace(",", "."), re.sub(r"[,']", "", written)}:
            try:
                yield Decimal(form).normalize()
            except InvalidOperation:
                continue


def number_tokens(number: Decimal) -> Iterator[list[bytes]]:
    """Yield the token runs in which a number may be written, plainest first."""
    plain = f"{abs(number):f}"
    whole, _, fraction = plain.partition(".")
    grouped = f"{int(whole):,}".split(",")
    for fractional in dict.fromkeys((fraction, fraction.ljust(2, "0"), fraction or "00")):
        for parts in ([whole], grouped):
            tokens = [*parts, fractional] if fractional else parts
            yield [token.encode() for token in tokens]
