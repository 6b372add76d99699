"""Is it all there, unchanged, in order? The chain's rules, applied to stored bytes.

Rules:
- What is hashed is what is stored: nothing is parsed and written again before it is hashed.
- Each record is checked against the one before it: number, `prev`, time, log name, format.
- A chain says nothing about its own end. Without a head that somebody else kept, the answer is UNANCHORED.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import orjson

from pratique.audit.legality import Illegal
from pratique.audit.record import GENESIS, LARGEST_RECORD, VERSION, check_subset
from pratique.errors import CanonicalError
from pratique.model import Value

_sha256 = hashlib.sha256


class Verdict(StrEnum):
    """What verification can say."""

    OK = "OK"
    UNANCHORED = "UNANCHORED"
    BROKEN = "BROKEN"


class Break(StrEnum):
    """What kind of wrong it is, by what the checks found; never a guess at who did it."""

    CHANGED = "changed"
    """Bytes do not have the hash that is stored for them."""
    MISSING = "missing"
    """A number is not there."""
    MOVED = "moved"
    """A record stands where another one belongs."""
    REPLACED = "replaced"
    """A record does not name the one before it."""
    FOREIGN = "foreign"
    """It belongs to another log."""
    BACKWARDS = "backwards"
    """It is older than the one before it."""
    MALFORMED = "malformed"
    """It is not a record of the format."""
    CUT = "cut"
    """The end that somebody holds is not there any more."""
    REWRITTEN = "rewritten"
    """All hashes fit, and it is another history than the one that somebody holds."""
    SIGNATURE = "signature"
    """A checkpoint is not signed by the key that was in force."""
    ROTATION = "rotation"
    """A new key that the old one did not sign."""
    OPENING = "opening"
    """A disclosed value is not the one that its record commits to."""
    ILLEGAL = "illegal"
    """The chain is whole; a record was not allowed where it stands."""
    BESIDE = "beside"
    """The records are whole; what lies beside them contradicts them."""
    VANISHED = "vanished"
    """A value that a record commits to is not kept any more, and no erasure is on record."""
    UNREADABLE = "unreadable"
    """The file or bundle cannot be read as one."""


class Held(Value):
    """A head that somebody holds.

    Attributes:
        by: who, in words.
        size: up to which record.
        outside: it is kept where the log's owner cannot change it.
        at: when they took it, seconds since the epoch; 0 when nobody says.
    """

    by: str
    size: int
    outside: bool
    at: int = 0


class Start(Value):
    """Where verification starts: after which record, with which leaf hash and time."""

    seq: int = 0
    leaf: str = GENESIS.hex()
    ts_us: int = 0


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
        kind: what kind of wrong that is.
        signed: up to which record a checkpoint under the log's own key covers it.
        held: whose heads it was held against, the largest last.
        dropped: how many records at the beginning were sealed and dropped.
        illegal: records that fit the chain and were not allowed where they stand.
    """

    verdict: Verdict
    records: int
    head: Head
    anchor: Head | None = None
    broken_at: int | None = None
    problem: str = ""
    illegal: tuple[Illegal, ...] = ()
    kind: Break | None = None
    signed: int = 0
    held: tuple[Held, ...] = ()
    dropped: int = 0

    @property
    def covered(self) -> int:
        """Up to which record somebody outside vouches for it."""
        return max([held.size for held in self.held if held.outside], default=0)


class BrokenError(Exception):
    """The first thing that is wrong, on its way to the report."""

    def __init__(self, kind: Break, problem: str, at: int | None = None) -> None:
        self.kind, self.at = kind, at
        super().__init__(problem)


def verify_chain(
    stored: Iterable[tuple[int, bytes, bytes]],
    log: str,
    anchor: Head | None = None,
    *,
    start: Start = Start(),  # noqa: B008  # frozen
    strict: bool = False,
) -> Report:
    """Check every record against the one before it, and the chain against `anchor`.

    Args:
        stored: number, leaf hash and bytes of each record, in the order of their numbers.
        log: the log's name.
        anchor: a head that somebody outside kept, or None.
        start: the record after which `stored` begins.
        strict: the bytes must also be the canonical form of what they say.

    Returns:
        The report: OK, UNANCHORED, or BROKEN at the first bad record.
    """
    seq, prev, ts_us = start.seq, bytes.fromhex(start.leaf), start.ts_us
    met_anchor = anchor is None or (anchor.seq, anchor.leaf) == (start.seq, start.leaf)
    for number, leaf, body in stored:
        try:
            record = checked(body, leaf, strict=strict)
            follows(record, number, seq, prev, ts_us, log)
            if anchor is not None and number == anchor.seq:
                _meets(leaf, anchor)
                met_anchor = True
        except BrokenError as bad:
            return _broken(seq, prev, anchor, seq + 1, bad)
        seq, prev, ts_us = number, leaf, record["ts_us"]
    if anchor is not None and not met_anchor:
        problem = f"the chain ends at {seq}, the head given is {anchor.seq}: the tail was cut off"
        return _broken(seq, prev, anchor, seq + 1, BrokenError(Break.CUT, problem))
    verdict = Verdict.UNANCHORED if anchor is None else Verdict.OK
    return Report(verdict=verdict, records=seq, head=Head(seq=seq, leaf=prev.hex()), anchor=anchor)


def checked(body: bytes, leaf: bytes, *, strict: bool = False) -> dict[str, Any]:
    """Return the record that the bytes are.

    Raises:
        BrokenError: they do not have that hash, or are no record.
    """
    if type(body) is not bytes or type(leaf) is not bytes:  # a column of SQLite can hold anything
        raise BrokenError(Break.CHANGED, "its columns do not hold bytes: it was changed")
    if _sha256(b"\x00" + body).digest() != leaf:  # `leaf_hash`
        raise BrokenError(
            Break.CHANGED, "its bytes do not have the hash that is stored for it: it was changed"
        )
    try:
        record = orjson.loads(body)
        check_subset(record)
    except (orjson.JSONDecodeError, CanonicalError, RecursionError) as problem:
        raise BrokenError(Break.MALFORMED, f"it is not a record: {problem}") from None
    if type(record) is not dict or record.get("v") != VERSION or len(body) > LARGEST_RECORD:
        raise BrokenError(Break.MALFORMED, "it is not a record of this format")
    if strict and orjson.dumps(record, option=orjson.OPT_SORT_KEYS) != body:
        raise BrokenError(Break.MALFORMED, "its bytes are not the canonical form of what they say")
    return record


def follows(record: dict[str, Any], number: int, seq: int, prev: bytes, ts_us: int, log: str) -> None:
    """Raise BrokenError unless `record`, stored as `number`, comes right after record `seq`."""
    if number != seq + 1:
        raise BrokenError(
            Break.MISSING, f"record {seq + 1} is missing: the next one that is there is {number}"
        )
    if record.get("seq") != number:
        raise BrokenError(Break.MOVED, f"it says it is record {record.get('seq')}: records were moved")
    if record.get("log") != log:
        raise BrokenError(Break.FOREIGN, f"it belongs to the log {record.get('log')!r}, this is {log!r}")
    if record.get("prev") != prev.hex():
        raise BrokenError(
            Break.REPLACED, "it does not name the record before it: one of the two was replaced"
        )
    if type(record.get("ts_us")) is not int or record["ts_us"] < ts_us:
        raise BrokenError(Break.BACKWARDS, "it is older than the record before it")


def _meets(leaf: bytes, anchor: Head) -> None:
    if leaf.hex() != anchor.leaf:
        raise BrokenError(
            Break.REWRITTEN, "it is not the record that the given head names: history was rewritten"
        )


def _broken(seq: int, prev: bytes, anchor: Head | None, at: int, bad: BrokenError) -> Report:
    return Report(
        verdict=Verdict.BROKEN,
        records=seq,
        head=Head(seq=seq, leaf=prev.hex()),
        anchor=anchor,
        broken_at=at,
        problem=str(bad),
        kind=bad.kind,
    )
