"""A value that is looked for, in every form that the searches need, worked out once.

Rules:
- The form decides the type: a date, a number, else text.
- A needle with fewer than `shortest` letters and digits neither gives nor takes trust by its text.
"""

from decimal import Decimal
from typing import Any

from pratique.quarantine.decode import decoded
from pratique.quarantine.normalise import loose, strict
from pratique.quarantine.tokens import tokenise
from pratique.quarantine.typed import Date, read_date, read_number

_DATE_SIZES = range(len("2026-05-30"), 41)
_EXACT_FLOATS = 1e15
_DEPTH = 3
_ENCODED = 16


class Needle:
    """A value in all its forms, worked out at once: a call looks at nearly all of them.

    Args:
        value: a JSON scalar. Floats that are whole are written without their fraction.

    Attributes:
        raw: as text.
        strict: the form in which trust is matched.
        loose: the form in which taint is matched.
        tokens: the words of the loose form.
        size: its letters and digits (as bytes, so one that is not Latin counts for more).
        number: the number it is, or None.
        date: the date it is, or None.
    """

    __slots__ = ("_encoded", "date", "loose", "number", "raw", "size", "strict", "tokens")

    def __init__(self, value: Any) -> None:
        self.raw = written(value)
        self.strict = strict(self.raw)
        self.loose = loose(self.raw).strip()
        self.tokens = tokenise(self.loose)
        self.size = sum(map(len, self.tokens))
        self.number: Decimal | None = read_number(self.strict)
        self.date: Date | None = read_date(self.strict) if len(self.strict) in _DATE_SIZES else None
        self._encoded: list[tuple[str, str]] | None = None

    @property
    def encoded(self) -> list[tuple[str, str]]:
        """How and what, for each readable text that is encoded in it."""
        if self._encoded is None:
            self._encoded = list(decoded(self.raw, _DEPTH)) if len(self.raw) >= _ENCODED else []
        return self._encoded

    @property
    def key(self) -> str | Decimal:
        """What two equal whole values have in common."""
        return self.strict if self.number is None else self.number


def whole(text: str) -> str | Decimal:
    """Return what two equal whole values have in common: a number's value, else the strict text."""
    form = strict(text)
    number = read_number(form)
    return form if number is None else number


def written(value: Any) -> str:
    """Return a JSON scalar as text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        return str(int(value))
    return value if isinstance(value, str) else str(value)
