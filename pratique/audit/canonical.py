"""Canonical JSON (RFC 8785), checked on the way: what is hashed is what was validated.

Rules:
- Only JSON's own types, with text keys. No NaN, no infinity, no integer beyond 2^53 - 1 (RFC 8785, 3.1).
- Depth and size are bounded before anything else looks at the value.
- orjson with sorted keys gives RFC 8785's bytes for values without floats and with ASCII keys; whatever is
  outside of that goes through the rfc8785 library, which is forty times slower.
"""

import math
import sys
from typing import Any, Final

import orjson
import rfc8785

from pratique.errors import CanonicalError

LARGEST_INTEGER: Final = 2**53 - 1
DEEPEST: Final = 64

_STRICT = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)

_CONTAINERS: Final = frozenset({dict, list, tuple})
_SCALARS: Final = frozenset({str, bool, type(None)})


def canonical(
    value: Any, *, most_bytes: int, deepest: int = DEEPEST, most_values: int = sys.maxsize
) -> bytes:
    """Return the RFC 8785 form of `value`.

    Args:
        value: JSON types only: dict with text keys, list, str, int, float, bool, None.
        most_bytes: how long the result may be.
        deepest: how many containers may be inside each other.
        most_values: how many items and members it may have, those of what is inside it as well.

    Raises:
        CanonicalError: the value has no such form, or is too large or too deep, or has too much in it.
    """
    try:
        body = orjson.dumps(value, option=_STRICT)
    except (TypeError, RecursionError) as problem:
        raise CanonicalError(f"not plain JSON: {problem}") from None
    if len(body) > most_bytes:
        raise CanonicalError(f"{len(body):,} bytes of JSON, at most {most_bytes:,} are taken")
    if _is_plain(value, deepest, most_values):
        return body
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as problem:
        raise CanonicalError(f"no canonical form: {problem}") from None


def _is_plain(root: Any, deepest: int, most_values: int) -> bool:
    """Check the value, and return whether orjson's bytes are already canonical."""
    plain = True
    level: list[Any] = [root]
    counted = 0
    for _ in range(deepest):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str or kind is bool or value is None:
                continue
            if kind is dict:
                plain = plain and all(map(str.isascii, value))
                below.extend(value.values())
            elif kind is list or kind is tuple:
                below.extend(value)
            else:
                plain = _is_plain_number(value) and plain
        if not below:
            return plain
        counted += len(below)
        if counted > most_values:
            raise CanonicalError(f"{counted:,} values or more, at most {most_values:,} are taken: split it")
        level = below
    if any(type(value) in _CONTAINERS for value in level):
        raise CanonicalError(f"nested more than {deepest} deep")
    return all([_is_plain_number(value) for value in level if type(value) not in _SCALARS]) and plain


def _is_plain_number(value: Any) -> bool:
    if type(value) is not int and type(value) is not float:
        raise CanonicalError(f"not plain JSON: {type(value).__name__}")  # orjson takes enums and UUIDs
    if type(value) is int:
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise CanonicalError(f"{value} is beyond 2^53 - 1: pass it as text")
        return True
    if not math.isfinite(value):
        raise CanonicalError(f"{value} is not JSON")
    return False
