"""What the SQL tools need of a database, and what every statement must be before a database sees it.

Rules:
- One statement, in the words of `READS` or `WRITES`; its first word says which. The databases check again, by
  their own parsers: this check is there for the error's words, and so that what acts at once (`COPY`, `LOAD`)
  never arrives.
- Values are parameters, `$1` and so on. Nothing is ever put into a statement's text.
"""

import re
from typing import Any, Protocol

from pratique.errors import ToolError
from pratique.tools.sql_rows import Limits, Plain, Rows

READS = frozenset({"SELECT", "WITH", "VALUES"})
WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH"})

Parameters = tuple[str | int | float | bool | None, ...]

_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)\b")


class Backend(Protocol):
    """One database of one kind. Every call connects anew: no statement leaves anything to the next."""

    async def read(
        self, statement: str, parameters: Parameters, limits: Limits, declared: Plain | None
    ) -> tuple[Rows, bool]:
        """Run a query in a transaction that cannot write, and end it without a commit.

        Returns:
            The rows, and whether every column of `declared` is what that says.

        Raises:
            ToolError: it was refused, failed, or took too long.
        """

    async def write(self, statement: str, parameters: Parameters, seconds: float) -> int:
        """Run a change in a transaction of its own, and commit it; return the number of rows that it changed.

        Raises:
            ToolError: it was refused, failed, or took too long; nothing was changed.
            OutcomeUnknownError: the commit was sent and not answered.
        """


def demand(statement: str, words: frozenset[str]) -> None:
    """Raise unless a statement begins with one of the words.

    Raises:
        ToolError: it does not; the message says which words there are.
    """
    match = _FIRST_WORD.match(statement)
    if match is None or match.group(1).upper() not in words:
        raise ToolError(f"one statement that begins with {', '.join(sorted(words))} is taken, and no other")
    if "\0" in statement:
        raise ToolError("the statement holds a zero character")


def numbered(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters by name: `$1` is the first."""
    return {str(number): value for number, value in enumerate(parameters, 1)}
