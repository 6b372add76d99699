"""What a statement may do on SQLite: what its authorizer answers while a statement is compiled. Pure.

Rules:
- Actions and functions are listed; what is not listed is denied, new ones of a later SQLite included.
- Left out on purpose: `load_extension`, `fts3_tokenizer` and `readfile`, which reach out of the database;
  `printf` and `format`, of which one call can take minutes; `json_set`, `json_insert` and `json_patch`, which
  recurse as deeply as their arguments say, and end the process (seen with 3.40).
- Lengths are limited, because one call of a function cannot be interrupted.
"""

import sqlite3
from collections.abc import Callable

from pratique.tools.sql_rows import LARGEST_ROW

READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
CHANGING = READING | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}

LONGEST_VALUE = 2 * LARGEST_ROW

LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 256,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_FUNCTIONS = frozenset(
    """
    abs char coalesce concat concat_ws glob hex ifnull iif if instr length like likely unlikely lower ltrim
    max min nullif octet_length quote random randomblob replace round rtrim sign substr substring trim typeof
    unhex unicode upper zeroblob
    changes last_insert_rowid total_changes sqlite_version
    date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
    avg count group_concat string_agg sum total median
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi
    pow power radians sin sinh sqrt tan tanh trunc
    json json_array json_array_length json_extract json_group_array json_group_object json_object json_quote
    json_type json_valid -> ->>
    match bm25 highlight snippet
    """.split()  # noqa: SIM905  # ninety quoted words would hide which they are
)


def authorizer(allowed: frozenset[int]) -> Callable[..., int]:
    """Return what SQLite asks about each thing that a statement does (sqlite.org/c3ref/set_authorizer.html).

    Args:
        allowed: `READING` or `CHANGING`.
    """

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            known = (second or "").lower() in _FUNCTIONS
        elif action in CHANGING - READING:  # SQLite's own tables are its own to change
            known = not (first or "").lower().startswith("sqlite_")
        else:
            known = True
        return sqlite3.SQLITE_OK if known and action in allowed else sqlite3.SQLITE_DENY

    return authorize
