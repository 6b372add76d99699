"""A bundle: a range of records and what proves them, to be checked by somebody who has nothing else.

`docs/reference/log-format.md` is the specification; the standalone verifier is written from it, this from the
product's own parts. The steps, as numbered there:

1. The manifest says which records follow, and between which hashes they stand in the tree.
2. Each line is a record: canonical, of this log, next in number, naming the one before it, not older.
3. Each record goes into the tree; a `key.rotate` record brings its key into force.
4. At each checkpoint's size the tree has its root, and the key then in force signed it.
5. Values that are disclosed are those that their records commit to.
6. Heads from outside are held against the tree: checkpoints that were given, witnesses' cosignatures.

Rules:
- Everything in the bundle is as hostile as whoever hands it over. Only `Trust` is not.
- OK takes a head from outside. The log's own key says that nothing was changed, not that nothing was cut off.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from pratique.audit.chain import (
    Break,
    BrokenError,
    Head,
    Held,
    Report,
    Start,
    Verdict,
    checked,
    follows,
)
from pratique.audit.checkpoint import MOST_RECORDS, Keyring, SignedCheckpoint
from pratique.audit.merkle import HASH_BYTES, Frontier, cover
from pratique.audit.note import COSIGNATURE, Verifier
from pratique.audit.record import GENESIS, SALT_BYTES, commitment, leaf_hash
from pratique.errors import NoteError

FORMAT: Final = "pratique-bundle/1"
MOST_ROTATIONS: Final = 10_000


class Trust(NamedTuple):
    """What the verifying person brings along.

    Attributes:
        key: the log's first key; without it no signature of the log means anything.
        checkpoints: heads that were kept elsewhere.
        witnesses: keys of witnesses whose cosignatures count.
    """

    key: Verifier | None = None
    checkpoints: Sequence[SignedCheckpoint] = ()
    witnesses: Sequence[Verifier] = ()


class Parts(NamedTuple):
    """A bundle's files, as they are read: each line without its end.

    Attributes:
        manifest: the bytes of `manifest.json`.
        records: lines of `records.jsonl.gz`.
        checkpoints: lines of `checkpoints.jsonl`.
        openings: lines of `openings.jsonl`, if there is one.
    """

    manifest: bytes
    records: Iterable[bytes]
    checkpoints: Iterable[bytes]
    openings: Iterable[bytes] = ()


class Manifest(NamedTuple):
    """What a bundle says that it holds.

    Attributes:
        log: the log's name.
        first, last: the records' numbers; `last` is one less than `first` in an empty bundle.
        size: of the checkpoint that covers them.
        previous: leaf hash of the record before the first one.
        before: hashes of the subtrees that cover the leaves before the first record.
        after: hashes of the subtrees that cover the leaves from the last record up to `size`.
        key: the log's first key, as the bundle says.
        rotations: `key.rotate` records that are not in the bundle: number, old key, new key, statement.
    """

    log: str
    first: int
    last: int
    size: int
    previous: bytes
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    key: str
    rotations: tuple[Mapping[str, Any], ...]

    def text(self) -> bytes:
        """Return the bytes of `manifest.json`."""
        fields = self._asdict()
        fields["previous"] = self.previous.hex()
        fields["before"] = [hash_.hex() for hash_ in self.before]
        fields["after"] = [hash_.hex() for hash_ in self.after]
        fields["rotations"] = list(self.rotations)
        body = {"format": FORMAT, **fields}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            BrokenError: it is not one.
        """
        try:
            body = orjson.loads(text)
            _demand(body.pop("format") == FORMAT and set(body) == set(cls._fields), "another format")
            _demand(type(body["rotations"]) is list, "its rotations are no list")
            hashes = {name: tuple(map(_hash, body[name])) for name in ("before", "after")}
            rotations = tuple(body["rotations"])
            found = cls(**{**body, **hashes, "previous": _hash(body["previous"]), "rotations": rotations})
            _consistent(found)
        except (orjson.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise BrokenError(Break.UNREADABLE, f"its manifest is not one: {problem}") from None
        return found


def verify_bundle(parts: Parts, trust: Trust) -> Report:
    """Return what the verification of a bundle finds.

    Args:
        parts: the bundle.
        trust: what is held against it.
    """
    verification = _Verification(trust)
    try:
        verification.run(parts)
    except BrokenError as bad:
        return verification.report(bad)
    return verification.report()


class _Verification:
    """One run over one bundle."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._seq, self._leaf, self._ts_us = 0, GENESIS, 0
        self._ring = Keyring(trust.key)
        self._held: list[Held] = []
        self._signed = self._signed_last = 0
        self._first = 1

    def run(self, parts: Parts) -> None:
        manifest = Manifest.parse(parts.manifest)  # 1
        start = Start(seq=manifest.first - 1, leaf=manifest.previous.hex())
        self._seq, self._leaf, self._first = start.seq, manifest.previous, manifest.first
        self._rotate(r for r in manifest.rotations if r["seq"] < manifest.first)
        tree = Frontier(manifest.first - 1, manifest.before)
        given = sorted(self._trust.checkpoints, key=lambda signed: signed.checkpoint.size)
        notes = _Notes(parts.checkpoints, manifest)
        openings = _Openings(parts.openings)
        self._meet(tree, notes, given, manifest)
        for line in parts.records:  # 2
            if self._seq == manifest.last:
                raise BrokenError(Break.MOVED, "there are more records than the manifest says", self._seq + 1)
            record = self._next(line, manifest.log)
            if record["type"] == "key.rotate":
                self._rotate([record])
            tree.add(self._leaf)  # 3
            openings.check(record)  # 5
            self._meet(tree, notes, given, manifest)  # 4, 6
        self._ends(manifest, tree, notes, given)
        openings.ends()

    def report(self, bad: BrokenError | None = None) -> Report:
        """Return what was found until now."""
        outside = any(held.outside for held in self._held)
        fine = Verdict.OK if outside else Verdict.UNANCHORED
        return Report(
            verdict=Verdict.BROKEN if bad else fine,
            records=self._seq - self._first + 1,
            head=Head(seq=self._seq, leaf=self._leaf.hex()),
            broken_at=bad.at if bad else None,
            problem=str(bad or ""),
            kind=bad.kind if bad else None,
            signed=self._signed,
            held=tuple(self._held),
            dropped=self._first - 1,
        )

    def _next(self, line: bytes, log: str) -> dict[str, Any]:
        leaf = leaf_hash(line)
        try:
            record = checked(line, leaf, strict=True)
            follows(record, self._seq + 1, self._seq, self._leaf, self._ts_us, log)
        except BrokenError as bad:
            bad.at = self._seq + 1
            raise
        if type(record.get("type")) is not str:
            raise BrokenError(Break.MALFORMED, "it does not say what it records", self._seq + 1)
        self._seq, self._leaf, self._ts_us = self._seq + 1, leaf, record["ts_us"]
        return record

    def _rotate(self, rotations: Iterable[Mapping[str, Any]]) -> None:
        for rotation in rotations:
            try:
                self._ring.rotate(rotation)
            except NoteError as problem:
                raise BrokenError(Break.ROTATION, str(problem), rotation["seq"]) from None

    def _meet(
        self, tree: Frontier, notes: "_Notes", given: Sequence[SignedCheckpoint], manifest: Manifest
    ) -> None:
        """Hold the tree, as large as it is now, against every checkpoint of its size."""
        for signed in notes.of(tree.size):
            self._signature(signed)
            self._same(tree, signed, "in the bundle")
            self._cosigned(signed)
        for signed in given:
            if signed.checkpoint.size == tree.size:
                if signed.checkpoint.origin != manifest.log:
                    raise BrokenError(Break.FOREIGN, "the checkpoint given is another log's")
                self._same(tree, signed, "given")
                self._held.append(Held(by="you", size=tree.size, outside=True))
                self._cosigned(signed)

    def _same(self, tree: Frontier, signed: SignedCheckpoint, where: str) -> None:
        if tree.root() != signed.checkpoint.root:
            trusted = [self._signed_before(tree.size), *(held.size for held in self._held)]
            met = max([size for size in trusted if size < tree.size], default=0)
            raise BrokenError(
                Break.REWRITTEN,
                f"the records up to {tree.size} are not those of the checkpoint {where}: "
                "history was rewritten",
                max(met + 1, self._first),
            )

    def _signed_before(self, size: int) -> int:
        return self._signed if self._signed < size else self._signed_last

    def _signature(self, signed: SignedCheckpoint) -> None:
        size = signed.checkpoint.size
        try:
            if self._ring.verify(signed):
                self._signed_last, self._signed = self._signed, size
        except NoteError as problem:
            raise BrokenError(Break.SIGNATURE, f"the checkpoint of {size}: {problem}") from None

    def _cosigned(self, signed: SignedCheckpoint) -> None:
        witnesses = [key for key in self._trust.witnesses if key.kind == COSIGNATURE]
        try:
            found = signed.note.signed_by(witnesses)
        except NoteError as problem:
            raise BrokenError(
                Break.SIGNATURE, f"the checkpoint of {signed.checkpoint.size}: {problem}"
            ) from None
        for witness, at in found.items():
            self._held.append(Held(by=witness.name, size=signed.checkpoint.size, outside=True, at=at))

    def _ends(
        self, manifest: Manifest, tree: Frontier, notes: "_Notes", given: Sequence[SignedCheckpoint]
    ) -> None:
        if self._seq != manifest.last:
            raise BrokenError(
                Break.CUT,
                f"the records end at {self._seq}, the manifest says {manifest.last}: the tail was cut off",
                self._seq + 1,
            )
        self._rotate(r for r in manifest.rotations if r["seq"] > manifest.last)
        if manifest.size > manifest.last:
            for (height, _), hash_ in zip(cover(manifest.last, manifest.size), manifest.after, strict=True):
                tree.add(hash_, height)
            self._meet(tree, notes, given, manifest)
        notes.ends()
        for signed in given:
            if signed.checkpoint.size > manifest.size:
                raise BrokenError(
                    Break.CUT,
                    f"this reaches to record {manifest.size}, the checkpoint given is of "
                    f"{signed.checkpoint.size}: the tail was cut off, or this is an older bundle",
                    manifest.size + 1,
                )


class _Notes:
    """The bundle's checkpoints, in order of size, read as the tree grows."""

    def __init__(self, lines: Iterable[bytes], manifest: Manifest) -> None:
        self._log, self._size = manifest.log, manifest.size
        self._manifest = manifest
        self._notes = self._read(lines)
        self._next = next(self._notes, None)
        self._met = -1

    def of(self, size: int) -> Iterator[SignedCheckpoint]:
        """Yield the checkpoints of this size."""
        while self._next is not None and self._next.checkpoint.size == size:
            found, self._met = self._next, size
            self._next = next(self._notes, None)
            yield found

    def ends(self) -> None:
        """Raise unless the last one was the one that the manifest names."""
        if self._next is not None or self._met != self._size:
            raise BrokenError(Break.SIGNATURE, "the checkpoint that the manifest names is not there")

    def _read(self, lines: Iterable[bytes]) -> Iterator[SignedCheckpoint]:
        before = -1
        for line in lines:
            try:
                signed = SignedCheckpoint.parse(orjson.loads(line)["note"])
            except (orjson.JSONDecodeError, NoteError, KeyError, TypeError, AttributeError):
                raise BrokenError(Break.SIGNATURE, "a checkpoint in the bundle is not one") from None
            size = signed.checkpoint.size
            if signed.checkpoint.origin != self._log:
                raise BrokenError(Break.FOREIGN, f"the checkpoint of {size} is another log's")
            inside = self._manifest.first - 1 <= size <= self._manifest.last
            if size <= before or not (inside or size == self._size):
                raise BrokenError(Break.SIGNATURE, f"the checkpoint of {size} is out of place")
            before = size
            yield signed


class _Openings:
    """Values that are disclosed, in the order of their records."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._next: dict[str, Any] | None = None
        self._read()

    def check(self, record: Mapping[str, Any]) -> None:
        """Raise unless every value disclosed for this record is the one that it commits to."""
        while self._next is not None and self._next["seq"] == record["seq"]:
            opening = self._next
            salt, value = bytes.fromhex(opening["salt"]), opening["value"].encode()
            stated = record.get(opening["field"] + "_c")
            if stated is None or stated != commitment(salt, opening["field"], value):
                raise BrokenError(
                    Break.OPENING,
                    f"the value disclosed as {opening['field']!r} is not the one that it commits to",
                    record["seq"],
                )
            self._read()

    def ends(self) -> None:
        """Raise when a value is left whose record did not come."""
        if self._next is not None:
            raise BrokenError(Break.OPENING, "a value is disclosed for a record that is not here")

    def _read(self) -> None:
        self._next = None
        for line in itertools.islice(self._lines, 1):
            try:
                opening = orjson.loads(line)
                salt = bytes.fromhex(opening["salt"])
                texts = (opening["field"], opening["value"])
                _demand(len(salt) == SALT_BYTES and type(opening["seq"]) is int, "salt")
                _demand(all(type(text) is str for text in texts), "text")
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                raise BrokenError(Break.OPENING, "a disclosed value is not one") from None
            self._next = opening


def _hash(text: str) -> bytes:
    _demand(len(text) == HASH_BYTES * 2 and text == text.lower(), f"{text[:80]!r} is not a hash")
    return bytes.fromhex(text)


def _demand(fits: bool, otherwise: str) -> None:
    if not fits:
        raise ValueError(otherwise)


def _consistent(manifest: Manifest) -> None:
    first, last, size = manifest.first, manifest.last, manifest.size
    _demand(all(type(number) is int for number in (first, last, size)), "its numbers are none")
    _demand(1 <= first <= last + 1 and last <= size <= MOST_RECORDS, "its numbers do not fit each other")
    fits = len(manifest.before) == len(cover(0, first - 1)) and len(manifest.after) == len(cover(last, size))
    _demand(fits, "its hashes do not fit its numbers")
    _demand(first > 1 or manifest.previous == GENESIS, "the first record has none before it")
    _demand(all(type(text) is str for text in (manifest.log, manifest.key)), "a name is no text")
    _demand(len(manifest.rotations) <= MOST_ROTATIONS, "it has too many rotations")
    for rotation in manifest.rotations:
        _demand(set(rotation) == {"seq", "log", "old", "new", "statement"}, "a rotation is not one")
        _demand(type(rotation["seq"]) is int and rotation["log"] == manifest.log, "a rotation is not one")
        inside = first <= rotation["seq"] <= last
        _demand(not inside and rotation["seq"] <= size, "a rotation is out of place")
