"""One record of the chain: how it is sealed, and how it commits to values without holding them.

Rules (format version 1):
- A record is a JSON object in the integer-only subset of RFC 8785: ASCII keys, no floats, at most 64 KiB.
- leaf = SHA-256(0x00 ‖ stored bytes), the leaf hash of RFC 6962. `prev` is the leaf of the record before it,
  in hex; the first record's is 64 zeros.
- commitment = SHA-256(0x10 ‖ salt of 32 bytes ‖ field name ‖ 0x00 ‖ value). Salt and value stay in the vault:
  erase them and the chain still verifies, while the value can no longer be guessed.
- `seq` starts at 1 and has no gaps; `ts_us` never decreases.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from pratique.audit.canonical import LARGEST_INTEGER
from pratique.errors import CanonicalError

VERSION: Final = 1
LARGEST_RECORD: Final = 64 * 1024
GENESIS: Final = bytes(32)
SALT_BYTES: Final = 32
_LEAST: Final = -LARGEST_INTEGER

Draft = Mapping[str, Any]
"""A record before it has its place in the chain: everything but `v`, `log`, `seq`, `prev` and `ts_us`."""


class Sealed(NamedTuple):
    """A record in its place: the bytes to store and the hash the next one names."""

    seq: int
    ts_us: int
    leaf: bytes
    body: bytes


def seal(draft: Draft, *, log: str, seq: int, prev: bytes, ts_us: int) -> Sealed:
    """Return `draft` as record number `seq` of `log`.

    Args:
        draft: the record's own fields.
        log: the name of the log, so that a record cannot be moved to another one.
        seq: its number.
        prev: the leaf hash of the record before it (32 bytes).
        ts_us: when it was written, microseconds since the epoch.

    Raises:
        CanonicalError: the draft holds something that the format does not allow.
    """
    record = {**draft, "v": VERSION, "log": log, "seq": seq, "prev": prev.hex(), "ts_us": ts_us}
    try:
        check_subset(record)
        body = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except (TypeError, RecursionError) as problem:  # a lone surrogate, or too deep
        raise CanonicalError(f"record: {problem}") from None
    if len(body) > LARGEST_RECORD:
        raise CanonicalError(f"a record of {len(body)} bytes; at most {LARGEST_RECORD} are taken")
    return Sealed(seq, ts_us, leaf_hash(body), body)


def leaf_hash(body: bytes) -> bytes:
    """Return the RFC 6962 leaf hash of stored record bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def commitment(salt: bytes, field: str, value: bytes) -> str:
    """Return the hex commitment to `value` as the record's `field`."""
    return hashlib.sha256(b"\x10" + salt + field.encode() + b"\x00" + value).hexdigest()


def check_subset(value: Any) -> None:
    """Raise CanonicalError unless `value` is in the record's subset of JSON."""
    todo: list[Any] = [(value,)]
    try:
        for holder in todo:  # it grows meanwhile: what is inside comes after what holds it
            for item in holder:
                kind = type(item)
                if kind is str or (kind is int and _LEAST <= item <= LARGEST_INTEGER):
                    continue
                if kind is dict and "".join(item).isascii():
                    todo.append(item.values())
                elif kind is list or kind is tuple:
                    todo.append(item)
                elif kind is not bool and item is not None:
                    raise CanonicalError(f"record: {_why_not(item)}")
    except TypeError:
        raise CanonicalError("record: a key is not text") from None


def _why_not(item: Any) -> str:
    """Return, in words, why a value has no place in a record."""
    if type(item) is int:
        return f"{item} is beyond 2^53 - 1"
    if type(item) is dict:
        return f"the key {next(key for key in item if not key.isascii())!r} is not ASCII text"
    return f"{type(item).__name__} has no place in a record"
