"""A value that is looked for, in every form that the searches need, worked out once.

Rules:
- The form decides the type: a date, a number, else text.
- A needle with fewer than `shortest` letters and digits neither gives nor takes trust by its text.
"""

from decimal import Decimal
from functools import cached_property
from typing import Any

from pratique.quarantine.decode import decoded
from pratique.quarantine.index import tokenise
from pratique.quarantine.normalise import loose, strict
from pratique.quarantine.typed import Date, read_date, read_number

_DATE_SIZES = range(len("2026-05-30"), 41)
_EXACT_FLOATS = 1e15
_DEPTH = 3
_ENCODED = 16


class Needle:
    """A value in its raw, strict and loose forms.

    Args:
        value: a JSON scalar. Floats that are whole are written without their fraction.
    """

    def __init__(self, value: Any) -> None:
        self.raw = written(value)

    @cached_property
    def strict(self) -> str:
        """The form in which trust is matched."""
        return strict(self.raw)

    @cached_property
    def loose(self) -> str:
        """The form in which taint is matched."""
        return loose(self.raw).strip()

    @cached_property
    def tokens(self) -> list[bytes]:
        """The words of the loose form."""
        return tokenise(self.loose)

    @cached_property
    def size(self) -> int:
        """Letters and digits in the loose form (as bytes, so one that is not Latin counts for more)."""
        return sum(map(len, self.tokens))

    @cached_property
    def encoded(self) -> list[tuple[str, str]]:
        """How and what, for each readable text that is encoded in it."""
        return list(decoded(self.raw, _DEPTH)) if len(self.raw) >= _ENCODED else []

    @cached_property
    def date(self) -> Date | None:
        """The date it is, if it is one."""
        return read_date(self.strict) if len(self.strict) in _DATE_SIZES else None

    @cached_property
    def number(self) -> Decimal | None:
        """The number it is, if it is one."""
        return read_number(self.strict)

    @property
    def key(self) -> str | Decimal:
        """What two equal whole values have in common: a number's value, else the strict text."""
        return self.strict if self.number is None else self.number


def written(value: Any) -> str:
    """Return a JSON scalar as text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        return str(int(value))
    return value if isinstance(value, str) else str(value)
