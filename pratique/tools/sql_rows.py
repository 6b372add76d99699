"""What a database gives back, within limits, and which of its columns the declaration can speak for. Pure.

Rules:
- A value is a JSON scalar: what is none (a date, a number of any size, an array, bytes) is given as text.
- The declaration of a column speaks for what plainly comes from that column, and for nothing else. An agent
  that a stranger steers writes the statement: `SELECT note AS id` must not make a note look like an id. So
  only `SELECT column, … FROM table` with `WHERE`, `GROUP`, `ORDER` or `LIMIT` after it has declared columns.
- Rows of such a statement are `{"table": {"column": …}}`; all others are `{"name": …}`, and undeclared.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from pratique.errors import ToolError

LARGEST_RESULT = 512 * 1024
LARGEST_ROW = 256 * 1024
TOO_LARGE = f"a row is larger than {LARGEST_ROW:,} bytes: select fewer columns, or parts of them"
_LARGEST_INTEGER = 2**53 - 1  # what RFC 8785 can write
_LONGEST_ERROR = 300

_PLAIN = re.compile(
    r"(?is)\s*SELECT\s+(\w+(?:\s*,\s*\w+)*)\s+FROM\s+(\w+)\s*((?<=\s)(?:WHERE|GROUP|ORDER|LIMIT)\b.*)?"
)
_JOINED = re.compile(r"(?i)\b(?:UNION|INTERSECT|EXCEPT)\b")


class Limits(NamedTuple):
    """How much a query may give, and how long it may take."""

    rows: int
    seconds: float


class Rows(NamedTuple):
    """A result as a driver gives it: names of columns, values, and whether there was more."""

    columns: Sequence[str]
    values: Sequence[Sequence[Any]]
    truncated: bool


class Plain(NamedTuple):
    """A statement of which each result column is a column of one table."""

    table: str
    columns: tuple[str, ...]


def plain(statement: str) -> Plain | None:
    """Return table and columns of a statement in the plain form, in lower case, or None."""
    match = _PLAIN.fullmatch(statement)
    if match is None or _JOINED.search(match.group(3) or ""):
        return None
    columns = tuple(name.strip().lower() for name in match.group(1).split(","))
    return Plain(match.group(2).lower(), columns)


class Gathering:
    """Takes rows for as long as they fit.

    Args:
        limits: how many.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = LARGEST_RESULT
        self._taken: list[list[Any]] = []
        self._truncated = False

    def take(self, row: Sequence[Any]) -> bool:
        """Take a row if it fits; return whether it did. If not, there is no use in offering another.

        Raises:
            ToolError: it alone is too large.
        """
        values = [_scalar(value) for value in row]
        size = len(orjson.dumps(values))
        if size > LARGEST_ROW:
            raise ToolError(TOO_LARGE)
        self._room -= size
        self._truncated = len(self._taken) == self._limits.rows or self._room < 0
        if not self._truncated:
            self._taken.append(values)
        return not self._truncated

    def rows(self, columns: Sequence[str]) -> Rows:
        """Return what was taken, under the names of the columns."""
        return Rows(columns, self._taken, self._truncated)


def result(rows: Rows, declared: Plain | None) -> dict[str, Any]:
    """Return a query's result, with the columns of `declared` where the declaration looks for them."""
    if declared is not None:
        shaped = [{declared.table: dict(zip(declared.columns, row, strict=True))} for row in rows.values]
    else:
        names = _distinct(rows.columns)
        shaped = [dict(zip(names, row, strict=True)) for row in rows.values]
    return {
        "columns": list(rows.columns),
        "rows": shaped,
        "row_count": len(shaped),
        "truncated": rows.truncated,
    }


def refused(what: str, why: object) -> ToolError:
    """Return the error for what a database said no to."""
    return ToolError(f"{what}: {' '.join(str(why).split())[:_LONGEST_ERROR]}")


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    return str(value)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names that differ: a second `id` is `id_2`."""
    given: set[str] = set()
    distinct = []
    for name in names:
        free, number = name, 1
        while free in given:
            number += 1
            free = f"{name}_{number}"
        given.add(free)
        distinct.append(free)
    return distinct
