"""Makes the corpus: small bundles, whole and damaged in every way that we know of, the same bytes every time.

    python -m tests.corpus.make FOLDER

Each entry is a function that takes a whole bundle apart and spoils it, and the verdict that is right. The names and
verdicts are in `corpus.json` beside this file; a test makes it anew and compares.
"""

import gzip
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pratique.audit.bundle import FORMAT
from pratique.audit.checkpoint import Checkpoint, SignedCheckpoint, rotation
from pratique.audit.merkle import Frontier, complete_root, cover
from pratique.audit.note import COSIGNATURE, ED25519, Note, Signer
from pratique.audit.record import GENESIS, commitment, leaf_hash

LOG = "log_c0ffee00c0ffee00"
START_US = 1_790_000_000_000_000
TAKEN = 1_790_000_100
ANA = "ana@acme.example"

KEY = Signer(LOG, ED25519, hashlib.sha256(b"corpus: the log's first key").digest())
NEXT = Signer(LOG, ED25519, hashlib.sha256(b"corpus: the log's second key").digest())
STRANGER = Signer(LOG, ED25519, hashlib.sha256(b"corpus: a stranger's key").digest())
WITNESS = Signer("witness.example/w1", COSIGNATURE, hashlib.sha256(b"corpus: a witness").digest())

Record = dict[str, Any]


class Spoilable:
    """A bundle in pieces: `lines` of records, `notes` of checkpoints, `openings`, and the manifest."""

    def __init__(self, records: list[Record], first: int = 1, last: int | None = None) -> None:
        self.records = sealed(records)
        self.all = [text(record) for record in self.records]
        self.last = len(self.all) if last is None else last
        self.first = first
        self.lines = self.all[first - 1 : self.last]
        self.size = len(self.all)
        self.notes = [
            str(SignedCheckpoint.sign(checkpoint(self.all, size), KEY).note)
            for size in (4, 8, 12)
            if first - 1 <= size <= self.last or size == self.size
        ]
        self.openings: list[dict[str, Any]] = []
        self.manifest = self._manifest()
        self.packed: bytes | None = None
        self.without: set[str] = set()

    def _manifest(self) -> dict[str, Any]:
        leaves = [leaf_hash(line) for line in self.all]

        def hashes(start: int, end: int) -> list[str]:
            places = cover(start, end)
            return [complete_root(leaves[i << h : (i + 1) << h]).hex() for h, i in places]

        return {
            "format": FORMAT,
            "log": LOG,
            "first": self.first,
            "last": self.last,
            "size": self.size,
            "previous": (leaves[self.first - 2] if self.first > 1 else GENESIS).hex(),
            "before": hashes(0, self.first - 1),
            "after": hashes(self.last, self.size),
            "key": str(KEY.verifier),
            "rotations": [],
        }

    def files(self) -> dict[str, bytes]:
        """Return the bundle's files."""
        body = b"".join(line + b"\n" for line in self.lines)
        packed = gzip.compress(body, mtime=0) if self.packed is None else self.packed
        files = {
            "manifest.json": orjson.dumps(self.manifest, option=orjson.OPT_SORT_KEYS),
            "records.jsonl.gz": packed,
            "checkpoints.jsonl": b"".join(orjson.dumps({"note": note}) + b"\n" for note in self.notes),
        }
        if self.openings:
            rows = [orjson.dumps(each, option=orjson.OPT_SORT_KEYS) + b"\n" for each in self.openings]
            files["openings.jsonl"] = b"".join(rows)
        return {name: content for name, content in files.items() if name not in self.without}


class Entry(NamedTuple):
    """One bundle, what the verifying person brings along, and what is right to say."""

    name: str
    what: str
    spoil: Callable[[Spoilable], None]
    verdict: str
    kind: str | None = None
    broken_at: int | None = None
    key: bool = False
    given: int = 0
    witness: bool = False
    fork: bool = False
    first: int = 1
    last: int | None = None
    rotated: bool = False


def text(record: Any) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def salt(seq: int, field: str) -> bytes:
    return hashlib.sha256(f"corpus: salt {seq} {field}".encode()).digest()


def value(seq: int) -> str:
    return json.dumps({"to": f"mo{seq}@acme.example", "amount": seq})


def drafts(count: int = 12) -> list[Record]:
    return [
        {
            "type": "call.outcome",
            "session": "s_0000000000000001",
            "call_id": f"c_{seq:016x}",
            "agent": "support",
            "tool": "desk.note",
            "epoch": 1,
            "policy_digest": hashlib.sha256(b"policy").hexdigest(),
            "outcome": "done",
            "approved_by": [ANA],
            "error": "Tür “3” klemmt\n" if seq == 5 else "",
            "args_c": commitment(salt(seq, "args"), "args", value(seq).encode()),
        }
        for seq in range(1, count + 1)
    ]


def sealed(records: list[Record], start: int = 1, prev: bytes = GENESIS) -> list[Record]:
    """Return the records with their places in the chain."""
    found = []
    for seq, draft in enumerate(records, start):
        record = {**draft, "v": 1, "log": LOG, "seq": seq, "prev": prev.hex(), "ts_us": START_US + seq}
        found.append(record)
        prev = leaf_hash(text(record))
    return found


def checkpoint(lines: list[bytes], size: int) -> Checkpoint:
    tree = Frontier()
    tree.extend([leaf_hash(line) for line in lines[:size]])
    return Checkpoint(LOG, size, tree.root())


def whole(entry: Entry) -> Spoilable:
    """Return the bundle before it is spoilt."""
    records = drafts()
    if entry.rotated:
        records[5] = rotation(LOG, KEY, NEXT, ANA, "yearly")  # type: ignore[call-overload]  # a draft is a mapping
        records[5] = dict(records[5])
    made = Spoilable(records, entry.first, entry.last)
    if entry.rotated:
        sign_anew(made, lambda size: KEY if size < 6 else NEXT)
        if not made.first <= 6 <= made.last:
            row = {name: made.records[5][name] for name in ("seq", "log", "old", "new", "statement")}
            made.manifest["rotations"] = [row]
    return made


def sign_anew(b: Spoilable, signer: Callable[[int], Signer], lines: list[bytes] | None = None) -> None:
    """Replace the checkpoints by ones over `lines`, signed by whoever."""
    sizes = [SignedCheckpoint.parse(note).checkpoint.size for note in b.notes]
    found = [checkpoint(lines or b.all, size) for size in sizes]
    b.notes = [str(SignedCheckpoint.sign(each, signer(each.size)).note) for each in found]


# ---- ways to spoil one


def nothing(_: Spoilable) -> None:
    pass


def replace(at: int, old: bytes, new: bytes) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        assert old in b.lines[at - 1]
        b.lines[at - 1] = b.lines[at - 1].replace(old, new)

    return spoil


def drop(*seqs: int) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.lines = [line for seq, line in enumerate(b.lines, 1) if seq not in seqs]

    return spoil


def swap(one: int, two: int) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.lines[one - 1], b.lines[two - 1] = b.lines[two - 1], b.lines[one - 1]

    return spoil


def double(at: int) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.lines.insert(at, b.lines[at - 1])

    return spoil


def change(at: int, **fields: Any) -> Callable[[Spoilable], None]:
    """Change fields of one record and leave the rest of the chain alone; None takes a field out."""

    def spoil(b: Spoilable) -> None:
        record = {**b.records[at - 1], **fields}
        b.lines[at - 1] = text({name: each for name, each in record.items() if each is not ...})

    return spoil


def rechain(at: int, **fields: Any) -> Callable[[Spoilable], None]:
    """Change a record and write all that come after anew, so that every hash fits."""

    def spoil(b: Spoilable) -> None:
        records = [dict(record) for record in b.records]
        records[at - 1].update(fields)
        b.lines = [text(record) for record in sealed(records)]

    return spoil


def forge(at: int, signer: Signer | None, **fields: Any) -> Callable[[Spoilable], None]:
    """Write history anew, and checkpoints over it: signed by `signer`, or keep the old ones if there is none."""

    def spoil(b: Spoilable) -> None:
        rechain(at, **fields)(b)
        if signer is not None:
            sign_anew(b, lambda _: signer, b.lines)

    return spoil


def shorten(last: int) -> Callable[[Spoilable], None]:
    """Cut the tail at a genuine checkpoint, and make everything fit."""

    def spoil(b: Spoilable) -> None:
        b.lines, b.notes = b.lines[:last], b.notes[: last // 4]
        b.manifest.update(last=last, size=last, after=[])

    return spoil


def states(**fields: Any) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.manifest.update(fields)

    return spoil


def discloses(*openings: dict[str, Any]) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.openings = [*openings]

    return spoil


def opening(seq: int, **changes: Any) -> dict[str, Any]:
    return {"seq": seq, "field": "args", "salt": salt(seq, "args").hex(), "value": value(seq), **changes}


def notes(spoilt: Callable[[list[str]], list[str]]) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.notes = spoilt(b.notes)

    return spoil


def packed(change_: Callable[[bytes], bytes]) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.packed = change_(b.files()["records.jsonl.gz"])

    return spoil


def lines(change_: Callable[[bytes], bytes]) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.packed = gzip.compress(change_(b"".join(line + b"\n" for line in b.lines)), mtime=0)

    return spoil


def lacks(name: str) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        b.without.add(name)

    return spoil


def both(*steps: Callable[[Spoilable], None]) -> Callable[[Spoilable], None]:
    def spoil(b: Spoilable) -> None:
        for step in steps:
            step(b)

    return spoil


def signed_lines(found: list[str], at: int, spoilt: Callable[[str, str], str]) -> list[str]:
    """Change the signature part of one note."""
    head, _, tail = found[at].partition("\n\n")
    return [*found[:at], spoilt(head, tail), *found[at + 1 :]]


def cosigned(found: list[str], signer: Signer = WITNESS, at: int = TAKEN) -> list[str]:
    """Add a witness's cosignature to the last note."""
    note = SignedCheckpoint.parse(found[-1]).note
    return [*found[:-1], str(note.with_lines([signer.sign(note.text, at)]))]


def cosigned_at_another_time(found: list[str]) -> list[str]:
    note = SignedCheckpoint.parse(found[-1]).note
    line = WITNESS.sign(note.text, TAKEN)
    later = (TAKEN + 86_400).to_bytes(8, "big") + line.signature[8:]
    return [*found[:-1], str(note.with_lines([line._replace(signature=later)]))]


def swapped_signatures(found: list[str]) -> list[str]:
    (one, _, first), (two, _, second) = (note.partition("\n\n") for note in found[:2])
    return [f"{one}\n\n{second}", f"{two}\n\n{first}", *found[2:]]


def by_a_stranger_too(found: list[str]) -> list[str]:
    parsed = [SignedCheckpoint.parse(note).note for note in found]
    return [str(Note(note.text, (STRANGER.sign(note.text), *note.lines))) for note in parsed]


def statement(**changes: Any) -> Callable[[Spoilable], None]:
    """Spoil the rotation of record 6, and make chain and checkpoints fit it."""

    def spoil(b: Spoilable) -> None:
        rechain(6, **changes)(b)
        sign_anew(b, lambda size: KEY if size < 6 else NEXT, b.lines)

    return spoil


def restarted(b: Spoilable) -> None:
    """Rotate the file as many loggers do: the chain starts again."""
    b.lines[6:] = [text(record) for record in sealed(b.records[6:])]


def restarted_numbers_go_on(b: Spoilable) -> None:
    b.lines[6:] = [text(record) for record in sealed(b.records[6:], start=7)]


def two_writers(b: Spoilable) -> None:
    other = {**b.records[6], "call_id": "c_of_the_other_writer"}
    b.lines.insert(7, text(other))


def oldest_dropped(b: Spoilable) -> None:
    """Drop the oldest records, as a full queue does, and number the rest from 1."""
    b.lines = [text({**record, "seq": seq}) for seq, record in enumerate(b.records[3:], 1)]
    b.lines += b.all[len(b.lines) :]


def wrapped(b: Spoilable) -> None:
    record = dict(b.records[6])
    outside = {"policy_digest": record.pop("policy_digest")}
    b.lines[6] = text({"record": record, **outside})


OLD_STATEMENT = rotation(LOG, KEY, NEXT, ANA, "yearly")["statement"]
NEW_ONLY = str(OLD_STATEMENT).replace(str(OLD_STATEMENT).split("\n")[5] + "\n", "")
BY_STRANGER = dict(rotation(LOG, STRANGER, NEXT, ANA, "yearly"))
OTHER_LOG = dict(rotation("log_of_another", KEY, NEXT, ANA, "yearly"))


def E(  # noqa: N802  # one letter, because it stands on seventy lines
    name: str, what: str, spoil: Callable[[Spoilable], None], verdict: str, *rest: Any, **more: Any
) -> Entry:
    return Entry(name, what, spoil, verdict, *rest, **more)


GOOD = [
    E(
        "whole",
        "Nothing is wrong, and the reader kept the newest checkpoint.",
        nothing,
        "OK",
        given=12,
        key=True,
    ),
    E("whole-alone", "Nothing is wrong, and the reader has nothing.", nothing, "UNANCHORED"),
    E("whole-key", "The reader has the log's key, and no head.", nothing, "UNANCHORED", key=True),
    E("whole-old-head", "The reader kept an older checkpoint.", nothing, "OK", given=4),
    E("witnessed", "A witness cosigned, and the reader has its key.", notes(cosigned), "OK", witness=True),
    E(
        "witness-unknown",
        "A witness cosigned that the reader does not know.",
        notes(cosigned),
        "UNANCHORED",
        key=True,
    ),
    E(
        "range",
        "Records 5 to 9 of 12; hashes stand for the others.",
        nothing,
        "OK",
        given=12,
        key=True,
        first=5,
        last=9,
    ),
    E(
        "range-inner-head",
        "The checkpoint kept lies inside of the range.",
        nothing,
        "OK",
        given=8,
        first=5,
        last=9,
    ),
    E(
        "range-no-head-near",
        "The checkpoint kept lies before the range.",
        nothing,
        "UNANCHORED",
        given=2,
        first=5,
        last=9,
    ),
    E("rotated", "A new key came into force at record 6.", nothing, "OK", given=12, key=True, rotated=True),
    E(
        "rotated-before",
        "It did so before the range.",
        nothing,
        "OK",
        given=12,
        key=True,
        rotated=True,
        first=8,
    ),
    E("rotated-after", "It did so after the range.", nothing, "OK", given=12, key=True, rotated=True, last=3),
    E("disclosed", "Two values are disclosed.", discloses(opening(3), opening(7)), "OK", given=12),
    E(
        "stranger-signs-too",
        "A key that nobody knows signed as well.",
        notes(by_a_stranger_too),
        "OK",
        given=12,
        key=True,
    ),
]

BYTES = [
    E(
        "byte-in-text",
        "A byte of a text is another one.",
        replace(7, b"desk.note", b"desk.nota"),
        "BROKEN",
        "replaced",
        8,
    ),
    E(
        "byte-in-syntax",
        "A byte of the syntax is another one.",
        replace(7, b'"agent":', b'"agent";'),
        "BROKEN",
        "malformed",
        7,
    ),
    E(
        "byte-in-last",
        "A byte of the last record is another one.",
        replace(12, b"done", b"dome"),
        "BROKEN",
        "rewritten",
        1,
        given=12,
    ),
    E(
        "byte-in-last-key",
        "So it is, and the log signed the original.",
        replace(12, b"done", b"dome"),
        "BROKEN",
        "rewritten",
        9,
        key=True,
    ),
    E(
        "byte-in-first",
        "A byte of the first record is another one.",
        replace(1, b"done", b"dome"),
        "BROKEN",
        "replaced",
        2,
    ),
    E(
        "byte-in-prev",
        "A byte of a link is another one.",
        replace(7, b'"prev":"', b'"prev":"0'),
        "BROKEN",
        "replaced",
        7,
    ),
    E("not-utf8", "A byte is no text.", replace(7, b"desk.note", b"desk.not\xff"), "BROKEN", "malformed", 7),
    E("gzip-cut", "The compressed file is cut.", packed(lambda raw: raw[:-20]), "BROKEN", "unreadable", None),
    E(
        "gzip-byte",
        "A byte of the compressed file is another one.",
        packed(lambda raw: raw[:-8] + b"\x00\x00\x00\x00" + raw[-4:]),
        "BROKEN",
        "unreadable",
        None,
    ),
    E("gzip-none", "The file is no gzip.", packed(lambda raw: b"not " + raw), "BROKEN", "unreadable", None),
    E(
        "torn-line",
        "The last line is cut, as a crash leaves it.",
        lines(lambda raw: raw[:-40]),
        "BROKEN",
        "malformed",
        None,
    ),
    E(
        "crlf",
        "Lines end as another system ends them.",
        lines(lambda raw: raw.replace(b"\n", b"\r\n")),
        "BROKEN",
        "malformed",
        1,
    ),
    E(
        "empty-line",
        "A line is empty.",
        lines(lambda raw: raw.replace(b"\n", b"\n\n", 1)),
        "BROKEN",
        "malformed",
        2,
    ),
    E(
        "long-line",
        "A line is longer than a record may be.",
        lines(lambda raw: b"[" + b"1," * 40_000 + raw),
        "BROKEN",
        "malformed",
        None,
    ),
]

ORDER = [
    E("dropped", "A record is not there.", drop(7), "BROKEN", "moved", 7),
    E("dropped-first", "The first record is not there.", drop(1), "BROKEN", "moved", 1),
    E("dropped-last", "The last record is not there.", drop(12), "BROKEN", "cut", 12),
    E("dropped-many", "A file of rotated logs was overwritten.", drop(4, 5, 6, 7), "BROKEN", "moved", 4),
    E("swapped", "Two records are swapped.", swap(6, 7), "BROKEN", "moved", 6),
    E("doubled", "A record is there twice.", double(7), "BROKEN", "moved", 8),
    E("two-writers", "Two writers appended to the same head.", two_writers, "BROKEN", "moved", 8),
    E(
        "oldest-dropped",
        "A full queue dropped the oldest; the rest was numbered anew.",
        oldest_dropped,
        "BROKEN",
        "replaced",
        1,
    ),
    E("chain-restarts", "A rotated file starts a chain of its own.", restarted, "BROKEN", "moved", 7),
    E(
        "chain-restarts-quietly",
        "So it does, with numbers that go on.",
        restarted_numbers_go_on,
        "BROKEN",
        "replaced",
        7,
    ),
    E(
        "one-too-many",
        "There are more records than the manifest says.",
        states(last=11, after=["00" * 32]),
        "BROKEN",
        "moved",
        12,
    ),
    E("tail-cut", "The tail is cut; the manifest still counts it.", drop(9, 10, 11, 12), "BROKEN", "cut", 9),
    E(
        "tail-cut-fitting-key",
        "The tail is cut at a genuine checkpoint, and everything fits.",
        shorten(8),
        "UNANCHORED",
        key=True,
    ),
    E(
        "tail-cut-fitting-head",
        "So it is, and the reader kept a newer checkpoint.",
        shorten(8),
        "BROKEN",
        "cut",
        9,
        given=12,
        key=True,
    ),
    E(
        "tail-cut-fitting-old-head",
        "So it is, and the reader kept only an older one.",
        shorten(8),
        "OK",
        given=4,
    ),
    E("emptied", "Every record is gone.", lines(lambda _: b""), "BROKEN", "cut", 1, given=12),
]

REWRITTEN = [
    E(
        "rechained",
        "A record was rewritten, and all hashes after it.",
        forge(7, None, approved_by=["li@acme.example"]),
        "BROKEN",
        "rewritten",
        5,
        key=True,
    ),
    E(
        "rechained-stripped",
        "So it was, and a stranger signed; the reader has nothing.",
        forge(7, STRANGER, agent="x"),
        "UNANCHORED",
    ),
    E(
        "rechained-stripped-key",
        "So it was; the reader has the log's key.",
        forge(7, STRANGER, agent="x"),
        "BROKEN",
        "signature",
        None,
        key=True,
    ),
    E(
        "rechained-stripped-head",
        "So it was; the reader kept a checkpoint.",
        forge(7, STRANGER, agent="x"),
        "BROKEN",
        "rewritten",
        1,
        given=12,
    ),
    E(
        "rechained-old-head",
        "So it was, after the checkpoint that the reader kept.",
        forge(7, STRANGER, agent="x"),
        "OK",
        given=4,
    ),
    E(
        "fork",
        "The log's own key signed another history.",
        forge(3, KEY, agent="x"),
        "BROKEN",
        "rewritten",
        1,
        given=4,
    ),
    E(
        "fork-later",
        "It did so after a checkpoint that both share.",
        forge(7, KEY, agent="x"),
        "BROKEN",
        "rewritten",
        9,
        key=True,
        given=12,
    ),
    E(
        "fork-key",
        "It did so, and the reader has only the key.",
        forge(3, KEY, agent="x"),
        "UNANCHORED",
        key=True,
    ),
    E(
        "fork-given",
        "The checkpoint kept is of the other history.",
        nothing,
        "BROKEN",
        "rewritten",
        9,
        given=12,
        key=True,
        fork=True,
    ),
    E(
        "hash-never-computed",
        "One path of the code left the link empty.",
        change(7, prev=""),
        "BROKEN",
        "replaced",
        7,
    ),
    E("field-outside", "A field that matters stands beside the record.", wrapped, "BROKEN", "malformed", 7),
    E(
        "field-removed",
        "A field that matters was taken out.",
        change(7, policy_digest=...),
        "BROKEN",
        "replaced",
        8,
    ),
    E(
        "field-in-manifest",
        "It was put into the manifest.",
        both(change(7, policy_digest=...), states(policy_digest="00")),
        "BROKEN",
        "unreadable",
        None,
    ),
    E(
        "approver-changed",
        "Another person approved.",
        change(7, approved_by=["li@acme.example"]),
        "BROKEN",
        "replaced",
        8,
    ),
    E("another-log", "A record is another log's.", change(7, log="log_of_another"), "BROKEN", "foreign", 7),
    E("older", "A record is older than the one before.", change(7, ts_us=START_US), "BROKEN", "backwards", 7),
    E(
        "another-format",
        "A record is of a format that is not known.",
        change(7, v=2),
        "BROKEN",
        "malformed",
        7,
    ),
    E("no-type", "A record does not say what it records.", change(7, type=...), "BROKEN", "malformed", 7),
]

FORM = [
    E(
        "spaces",
        "The bytes are not canonical: spaces.",
        replace(7, b'"agent":', b'"agent": '),
        "BROKEN",
        "malformed",
        7,
    ),
    E(
        "key-order",
        "The bytes are not canonical: order.",
        replace(7, b'{"agent":"support",', b'{"zagent":"support",'),
        "BROKEN",
        "malformed",
        7,
    ),
    E(
        "key-twice",
        "A key stands twice.",
        replace(7, b'{"agent":"support",', b'{"agent":"x","agent":"support",'),
        "BROKEN",
        "malformed",
        7,
    ),
    E(
        "escape",
        "A letter is escaped that need not be.",
        replace(7, b"desk.note", b"desk.\\u006eote"),
        "BROKEN",
        "malformed",
        7,
    ),
    E("float", "A number is a float.", change(7, epoch=1.5), "BROKEN", "malformed", 7),
    E(
        "float-whole",
        "A number is written as a float.",
        replace(7, b'"epoch":1', b'"epoch":1.0'),
        "BROKEN",
        "malformed",
        7,
    ),
    E("large", "A number is beyond 2^53.", change(7, epoch=2**53), "BROKEN", "malformed", 7),
    E("nan", "A number is none.", replace(7, b'"epoch":1', b'"epoch":NaN'), "BROKEN", "malformed", 7),
    E("key-not-ascii", "A key is not ASCII.", change(7, ä=1), "BROKEN", "malformed", 7),
    E(
        "half-character",
        "A text holds half a character.",
        replace(7, b"desk.note", b"desk.\\ud800"),
        "BROKEN",
        "malformed",
        7,
    ),
    E("list", "A line is a list.", replace(7, b"{", b"[{"), "BROKEN", "malformed", 7),
    E(
        "deep",
        "A line is nested a hundred thousand deep.",
        lines(lambda raw: b"[" * 30_000 + b"]" * 30_000 + b"\n" + raw),
        "BROKEN",
        "malformed",
        1,
    ),
]

CHECKPOINTS = [
    E(
        "signature-stripped",
        "The log's signature was replaced by a stranger's.",
        notes(
            lambda n: [
                str(SignedCheckpoint.sign(SignedCheckpoint.parse(each).checkpoint, STRANGER).note)
                for each in n
            ]
        ),
        "BROKEN",
        "signature",
        None,
        key=True,
    ),
    E(
        "signatures-swapped",
        "Two signatures are swapped.",
        notes(swapped_signatures),
        "BROKEN",
        "signature",
        None,
        key=True,
    ),
    E(
        "signature-byte",
        "A byte of a signature is another one.",
        notes(
            lambda n: signed_lines(
                n,
                0,
                lambda head, tail: f"{head}\n\n{tail[:-12]}{'A' if tail[-12] != 'A' else 'B'}{tail[-11:]}",
            )
        ),
        "BROKEN",
        "signature",
        None,
        key=True,
    ),
    E(
        "no-signature",
        "A note without a signature.",
        notes(lambda n: signed_lines(n, 1, lambda head, _: f"{head}\n\n")),
        "BROKEN",
        "signature",
        None,
    ),
    E(
        "size-changed",
        "A checkpoint states another size.",
        notes(lambda n: [each.replace("\n8\n", "\n7\n") for each in n]),
        "BROKEN",
        "rewritten",
        5,
        given=4,
    ),
    E(
        "size-changed-key",
        "So it does; the reader has the key.",
        notes(lambda n: [each.replace("\n8\n", "\n7\n") for each in n]),
        "BROKEN",
        "signature",
        None,
        key=True,
    ),
    E(
        "out-of-order",
        "Checkpoints are out of order.",
        notes(lambda n: [n[1], n[0], n[2]]),
        "BROKEN",
        "signature",
        None,
    ),
    E(
        "last-missing",
        "The checkpoint that the manifest names is missing.",
        notes(lambda n: n[:2]),
        "BROKEN",
        "signature",
        None,
        given=12,
    ),
    E("none", "There is no checkpoint at all.", notes(lambda _: []), "BROKEN", "signature", None, given=12),
    E(
        "another-logs",
        "A checkpoint is another log's.",
        notes(lambda n: [*n[:2], n[2].replace(LOG, "log_of_another")]),
        "BROKEN",
        "foreign",
        None,
    ),
    E(
        "witness-forged",
        "A cosignature is forged.",
        notes(lambda n: cosigned(n, WITNESS._replace(seed=bytes(32)))),
        "UNANCHORED",
        witness=True,
    ),
    E(
        "witness-later",
        "A cosignature states another time.",
        notes(cosigned_at_another_time),
        "BROKEN",
        "signature",
        None,
        witness=True,
    ),
    E(
        "rotation-new-only",
        "Only the new key signed the rotation.",
        statement(statement=NEW_ONLY),
        "BROKEN",
        "rotation",
        6,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-stranger",
        "A stranger's key rotates.",
        statement(**{n: BY_STRANGER[n] for n in ("old", "statement")}),
        "BROKEN",
        "rotation",
        6,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-not-stated",
        "The statement is about other keys.",
        statement(new=str(STRANGER.verifier)),
        "BROKEN",
        "rotation",
        6,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-another-log",
        "The statement is about another log.",
        statement(statement=OTHER_LOG["statement"]),
        "BROKEN",
        "rotation",
        6,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-old-key-goes-on",
        "The old key signs after the rotation.",
        lambda b: sign_anew(b, lambda _: KEY),
        "BROKEN",
        "signature",
        None,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-too-early",
        "The new key signs before the rotation.",
        lambda b: sign_anew(b, lambda _: NEXT),
        "BROKEN",
        "signature",
        None,
        key=True,
        rotated=True,
    ),
    E(
        "rotation-hidden",
        "The rotation before the range is left out.",
        states(rotations=[]),
        "BROKEN",
        "signature",
        None,
        key=True,
        rotated=True,
        first=8,
    ),
]

REST = [
    E("salts-swapped", "Two salts are swapped.", discloses(opening(3, salt=salt(7, "args").hex()), opening(7, salt=salt(3, "args").hex())), "BROKEN", "opening", 3),
    E("value-changed", "A disclosed value is another one.", discloses(opening(3, value=value(4))), "BROKEN", "opening", 3),
    E("value-of-no-field", "The record commits to no such field.", discloses(opening(3, field="result")), "BROKEN", "opening", 3),
    E("value-of-no-record", "A value is disclosed for a record that is not there.", discloses(opening(40)), "BROKEN", "opening", None),
    E("salt-short", "A salt is too short to hide anything.", discloses(opening(3, salt="00")), "BROKEN", "opening", None),
    E("before-forged", "Hashes before the range are forged.", states(before=["00" * 32]), "BROKEN", "rewritten", 5, first=5, last=9, given=12),
    E("after-forged", "Hashes after the range are forged.", states(after=["00" * 32, "00" * 32]), "BROKEN", "rewritten", 5, first=5, last=9, given=12),
    E("previous-forged", "The hash before the range is forged.", states(previous="00" * 32), "BROKEN", "replaced", 5, first=5, last=9),
    E("too-few-hashes", "The hashes do not fit the numbers.", states(after=[]), "BROKEN", "unreadable", None, first=5, last=9),
    E("first-moved", "The manifest states another first record.", states(first=2), "BROKEN", "unreadable", None),
    E("numbers-are-text", "The manifest's numbers are text.", states(last="12"), "BROKEN", "unreadable", None),
    E("format-unknown", "The bundle is of another format.", states(format="pratique-bundle/9"), "BROKEN", "unreadable", None),
    E("manifest-missing", "The manifest is missing.", lacks("manifest.json"), "BROKEN", "unreadable", None),
    E("records-missing", "The records are missing.", lacks("records.jsonl.gz"), "BROKEN", "unreadable", None),
]  # fmt: skip

ENTRIES = [*GOOD, *BYTES, *ORDER, *REWRITTEN, *FORM, *CHECKPOINTS, *REST]


def make(entry: Entry, folder: Path) -> list[str]:
    """Write one entry; return the arguments for `pratique-verify`."""
    made = whole(entry)
    genuine = Spoilable(drafts()) if not entry.rotated else whole(entry._replace(first=1, last=None))
    lines_ = genuine.all
    if entry.fork:
        lines_ = [
            text(record) for record in sealed([*drafts(8), *({**d, "agent": "x"} for d in drafts()[8:])])
        ]
    entry.spoil(made)
    bundle = folder / entry.name
    bundle.mkdir(parents=True)
    for name, content in made.files().items():
        (bundle / name).write_bytes(content)
    arguments = [str(bundle)]
    if entry.key:
        arguments += ["--key", str(KEY.verifier)]
    if entry.witness:
        arguments += ["--witness", str(WITNESS.verifier)]
    if entry.given:
        signer = NEXT if entry.rotated and entry.given >= 6 else KEY
        kept = folder / f"{entry.name}.checkpoint"
        kept.write_text(str(SignedCheckpoint.sign(checkpoint(lines_, entry.given), signer).note))
        arguments += ["--checkpoint", str(kept)]
    return arguments


def index() -> bytes:
    """Return `corpus.json`: every entry, what the reader brings, and what is right to say."""
    rows = [
        {
            "name": entry.name,
            "what": entry.what,
            "verdict": entry.verdict,
            "kind": entry.kind,
            "broken_at": entry.broken_at,
            "key": str(KEY.verifier) if entry.key else None,
            "witness": str(WITNESS.verifier) if entry.witness else None,
            "checkpoint": f"{entry.name}.checkpoint" if entry.given else None,
        }
        for entry in ENTRIES
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n"


def main(folder: Path) -> None:
    """Write the whole corpus into a new folder."""
    for entry in ENTRIES:
        make(entry, folder)
    (folder / "corpus.json").write_bytes(index())


if __name__ == "__main__":
    if sys.argv[1] == "--index":
        (Path(__file__).parent / "corpus.json").write_bytes(index())
    else:
        main(Path(sys.argv[1]))
