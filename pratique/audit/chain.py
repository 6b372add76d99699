"""Is it all there, unchanged, in order? The chain's rules, applied to stored bytes.

Rules:
- What is hashed is what is stored: nothing is parsed and written again before it is hashed.
- Each record is checked against the one before it: number, `prev`, time, log name, format.
- A chain says nothing about its own end. Without a head that somebody else kept, the answer is UNANCHORED.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import orjson

from pratique.audit.legality import Illegal
from pratique.audit.record import GENESIS, VERSION, check_subset, leaf_hash
from pratique.errors import CanonicalError
from pratique.model import Value


class Verdict(StrEnum):
    """What verification can say."""

    OK = "OK"
    UNANCHORED = "UNANCHORED"
    BROKEN = "BROKEN"


class Head(Value):
    """The end of a chain: how many records, and the last one's leaf hash in hex. `17:9f86d0…`."""

    seq: int
    leaf: str

    def __str__(self) -> str:
        """Return the form that `audit verify --head` takes."""
        return f"{self.seq}:{self.leaf}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read the form `SEQ:HEX`.

        Raises:
            ValueError: it is not of that form.
        """
        seq, _, leaf = text.strip().partition(":")
        if not seq.isdecimal() or len(leaf) != len(GENESIS) * 2:
            raise ValueError(f"{text!r} is not a head; a head looks like 17:<64 hex digits>")
        return cls(seq=int(seq), leaf=bytes.fromhex(leaf).hex())


class Report(Value):
    """What verification found.

    Attributes:
        verdict: OK only with an anchor that the chain contains.
        records: how many records were checked.
        head: the last good record.
        anchor: the outside head it was held against, if any.
        broken_at: the number of the first record that is wrong, when BROKEN.
        problem: what is wrong with it, in one line.
        illegal: records that fit the chain and were not allowed where they stand.
    """

    verdict: Verdict
    records: int
    head: Head
    anchor: Head | None = None
    broken_at: int | None = None
    problem: str = ""
    illegal: tuple[Illegal, ...] = ()


class _BrokenError(Exception):
    """Leaves the loop at the first bad record."""


def verify_chain(stored: Iterable[tuple[int, bytes, bytes]], log: str, anchor: Head | None = None) -> Report:
    """Check every record against the one before it, and the chain against `anchor`.

    Args:
        stored: number, leaf hash and bytes of each record, in the order of their numbers.
        log: the log's name.
        anchor: a head that somebody outside kept, or None.

    Returns:
        The report: OK, UNANCHORED, or BROKEN at the first bad record.
    """
    seq, prev, ts_us = 0, GENESIS, 0
    met_anchor = anchor is None or (anchor.seq == 0 and anchor.leaf == GENESIS.hex())
    for number, leaf, body in stored:
        try:
            record = _checked(body, leaf)
            _follows(record, number, seq, prev, ts_us, log)
            if anchor is not None and number == anchor.seq:
                _meets(leaf, anchor)
                met_anchor = True
        except _BrokenError as bad:
            return _broken(seq, prev, anchor, seq + 1, str(bad))
        seq, prev, ts_us = number, leaf, record["ts_us"]
    if anchor is not None and not met_anchor:
        problem = f"the chain ends at {seq}, the head given is {anchor.seq}: the tail was cut off"
        return _broken(seq, prev, anchor, seq + 1, problem)
    verdict = Verdict.UNANCHORED if anchor is None else Verdict.OK
    return Report(verdict=verdict, records=seq, head=Head(seq=seq, leaf=prev.hex()), anchor=anchor)


def _checked(body: bytes, leaf: bytes) -> dict[str, Any]:
    if type(body) is not bytes or type(leaf) is not bytes:  # a column of SQLite can hold anything
        raise _BrokenError("its columns do not hold bytes: it was changed")
    if leaf_hash(body) != leaf:
        raise _BrokenError("its bytes do not have the hash that is stored for it: it was changed")
    try:
        record = orjson.loads(body)
        check_subset(record)
    except (orjson.JSONDecodeError, CanonicalError, RecursionError) as problem:
        raise _BrokenError(f"it is not a record: {problem}") from None
    if not isinstance(record, dict) or record.get("v") != VERSION:
        raise _BrokenError("it is not a record of this format")
    return record


def _follows(record: dict[str, Any], number: int, seq: int, prev: bytes, ts_us: int, log: str) -> None:
    if number != seq + 1:
        raise _BrokenError(f"record {seq + 1} is missing: the next one that is there is {number}")
    if record.get("seq") != number:
        raise _BrokenError(f"it says it is record {record.get('seq')}: records were moved")
    if record.get("prev") != prev.hex():
        raise _BrokenError("it does not name the record before it: one of the two was replaced")
    if record.get("log") != log:
        raise _BrokenError(f"it belongs to the log {record.get('log')!r}, this is {log!r}")
    if not isinstance(record.get("ts_us"), int) or record["ts_us"] < ts_us:
        raise _BrokenError("it is older than the record before it")


def _meets(leaf: bytes, anchor: Head) -> None:
    if leaf.hex() != anchor.leaf:
        raise _BrokenError("it is not the record that the given head names: history was rewritten")


def _broken(seq: int, prev: bytes, anchor: Head | None, at: int, problem: str) -> Report:
    return Report(
        verdict=Verdict.BROKEN,
        records=seq,
        head=Head(seq=seq, leaf=prev.hex()),
        anchor=anchor,
        broken_at=at,
        problem=problem,
    )
