"""What may come out of a sandbox as a value: JSON, bounded in size, depth and number.

Rules:
- Parsed here, once, by a parser that makes plain values only; then written again: what goes on is ours.
- No NaN or Infinity, no whole number beyond 64 bits (other languages would read another number), no lone
  surrogates.
"""

import json
from typing import Any

from pratique.errors import CanonicalError

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_DIGITS = 20  # of 2**64


def bounded_json(data: bytes, *, size: int, depth: int) -> bytes:
    """Return the value as compact JSON bytes.

    Raises:
        CanonicalError: it is no JSON, or too large, too deep, or holds a number that is not portable.
    """
    if len(data) > size:
        raise CanonicalError(f"the result is {len(data)} bytes of JSON, {size} are allowed")
    try:
        value = json.loads(data.decode(), parse_constant=_no_constant, parse_int=_portable_int)
        if _deeper_than(value, depth):
            raise CanonicalError(f"the result nests deeper than {depth}")
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise CanonicalError(f"the result nests deeper than {depth}") from None
    except ValueError as error:
        raise CanonicalError(f"the result is not JSON: {error}") from None


def _no_constant(word: str) -> Any:
    raise CanonicalError(f"the result holds {word}, which is not JSON")


def _portable_int(digits: str) -> int:
    if len(digits) <= _DIGITS and _INT_MIN <= (number := int(digits)) <= _INT_MAX:
        return number
    raise CanonicalError("the result holds a whole number beyond 64 bits: return it as text")


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [
            item
            for box in level
            if isinstance(box, (dict, list))
            for item in (box.values() if isinstance(box, dict) else box)
        ]
        if not level:
            return False
    return True
