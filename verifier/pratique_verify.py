#!/usr/bin/env python3
"""pratique-verify: check an exported bundle of a Pratique log on a machine that has never seen Pratique.

Written from docs/reference/log-format.md, not from Pratique's code. Needs Python 3.11 and `cryptography`.

    python pratique_verify.py BUNDLE [--key KEY] [--checkpoint FILE]... [--witness KEY]...

Exit codes: 0 OK, 1 BROKEN, 3 UNANCHORED, 2 it could not be checked.
"""

import argparse
import base64
import gzip
import hashlib
import json
import sys
import tarfile
import zlib
from contextlib import ExitStack
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

OK, BROKEN, UNUSABLE, UNANCHORED = 0, 1, 2, 3
WORDS = {OK: "OK", BROKEN: "BROKEN", UNANCHORED: "UNANCHORED"}

LARGEST = 2**53 - 1
RECORD_BYTES = 65_536
MANIFEST_BYTES = 16 * 1024 * 1024
NOTE_BYTES = 65_536
LINE_BYTES = 1024 * 1024
SIGNATURES = 100
PLAIN, COSIGNED = 1, 4
ZERO = bytes(32)
FIELDS = {"format", "log", "first", "last", "size", "previous", "before", "after", "key", "rotations"}


class Broken(Exception):
    """The bundle is not what it says: the kind of break, the record, and one line."""

    def __init__(self, kind, text, seq=None):
        super().__init__(text)
        self.kind, self.seq = kind, seq


class NotANote(Exception):
    """A text that should be a signed note, a key or a checkpoint is none, or not by whom it should be."""


# ---------------------------------------------------------------------------------------------- hashes, tree


def leaf_hash(body):
    """SHA-256(0x00 ‖ record)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left, right):
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def cover(start, end):
    """Heights of the largest complete subtrees that fill the leaves from start up to end."""
    heights = []
    while start < end:
        height = 0
        while start % (2 << height) == 0 and start + (2 << height) <= end:
            height += 1
        heights.append(height)
        start += 1 << height
    return heights


class Tree:
    """A stack of complete subtrees."""

    def __init__(self):
        self.size, self.stack = 0, []

    def add(self, height, hash_):
        """Put the next subtree in its place."""
        self.size += 1 << height
        self.stack.append((height, hash_))
        while len(self.stack) > 1 and self.stack[-1][0] == self.stack[-2][0]:
            (height, right), (_, left) = self.stack.pop(), self.stack.pop()
            self.stack.append((height + 1, node_hash(left, right)))

    def root(self):
        """Fold the stack from the top."""
        if not self.stack:
            return hashlib.sha256(b"").digest()
        root = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            root = node_hash(left, root)
        return root


# ------------------------------------------------------------------------------------------ keys, signed notes


def decode(text):
    """Bytes of a base64 text that is the one encoding of its bytes."""
    try:
        body = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError as problem:
        raise NotANote("not base64") from problem
    if base64.b64encode(body).decode() != text:
        raise NotANote("not base64")
    return body


def good_name(name):
    """Whether a key may have this name."""
    return (
        bool(name)
        and len(name) <= 200
        and not any(c.isspace() or c == "+" or c < " " or c == "\x7f" for c in name)
    )


class Key:
    """A public key with its name: NAME+ID+BASE64."""

    def __init__(self, text):
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        body = decode(encoded)
        if len(body) != 33 or body[0] not in (PLAIN, COSIGNED) or not good_name(name):
            raise NotANote(f"{text.strip()[:80]!r} is not a key; one looks like NAME+0123abcd+BASE64")
        self.name, self.type, self.key = name, body[0], body[1:]
        self.id = hashlib.sha256(name.encode() + b"\n" + body).digest()[:4]
        if self.id.hex() != stated:
            raise NotANote(f"{text.strip()[:80]!r}: the id is not this key's")
        self.text = f"{name}+{stated}+{encoded}"

    def signed_at(self, text, signature):
        """0, or the time of a cosignature; raises if the signature is not valid."""
        message, at = text.encode(), 0
        if self.type == COSIGNED:
            at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {at}\n".encode() + message
        try:
            if len(signature) != 64 or at >= 2**63:
                raise InvalidSignature
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError) as problem:
            raise NotANote(f"the signature of {self.name} does not verify") from problem
        return at


class Note:
    """A text and its signature lines."""

    def __init__(self, raw):
        try:
            size = len(raw.encode("utf-8"))
        except UnicodeEncodeError as problem:
            raise NotANote("a note that is not UTF-8") from problem
        if size > NOTE_BYTES:
            raise NotANote("a note that is too long")
        head, found, tail = raw.rpartition("\n\n")
        if not found or not tail.endswith("\n") or any(c < " " and c != "\n" for c in raw):
            raise NotANote("not a signed note")
        self.text, self.raw = head + "\n", raw
        self.lines = [self._line(line) for line in tail[:-1].split("\n")]
        if len(self.lines) > SIGNATURES:
            raise NotANote("a note with too many signatures")

    @staticmethod
    def _line(line):
        words = line.split(" ")
        if len(words) != 3 or words[0] != "—" or not good_name(words[1]):
            raise NotANote("not a signature line")
        body = decode(words[2])
        if len(body) <= 4:
            raise NotANote("not a signature")
        return words[1], body[:4], body[4:]

    def signed_by(self, key):
        """When the key signed (0 without a time), or None if it did not; raises if it did so wrongly."""
        for name, id_, signature in self.lines:
            if (name, id_) == (key.name, key.id):
                return key.signed_at(self.text, signature)
        return None


class Checkpoint:
    """A note whose text is a log's name, a size and a root."""

    def __init__(self, raw):
        self.note = Note(raw)
        lines = self.note.text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NotANote("not a checkpoint")
        size = lines[1]
        if not (size.isascii() and size.isdecimal()) or (size[0] == "0" and size != "0") or len(size) > 16:
            raise NotANote("not a checkpoint: no size")
        self.log, self.size, self.root = lines[0], int(size), decode(lines[2])
        if len(self.root) != 32 or self.size > LARGEST + 1:
            raise NotANote("not a checkpoint: no root")


class Keyring:
    """Which key is in force at which size."""

    def __init__(self, first):
        self.keys = [] if first is None else [(0, first)]

    def rotate(self, record):
        """Apply a key.rotate record."""
        if not self.keys:
            return
        old = self.keys[-1][1]
        try:
            if record.get("old") != old.text:
                raise NotANote("a key rotation that does not start from the key in force")
            if type(record.get("new")) is not str or type(record.get("statement")) is not str:
                raise NotANote("a key rotation without its statement")
            new, note = Key(record["new"]), Note(record["statement"])
            expected = f"pratique key rotation v1\n{record['log']}\n{old.text}\n{new.text}\n"
            if note.text != expected or new.type != PLAIN:
                raise NotANote("a key rotation whose statement is not about these keys")
            if note.signed_by(old) is None or note.signed_by(new) is None:
                raise NotANote("a key rotation that the old key and the new one did not both sign")
        except NotANote as problem:
            raise Broken("rotation", str(problem), record["seq"]) from problem
        self.keys.append((record["seq"], new))

    def signed(self, checkpoint):
        """Whether the key in force signed; False when no key is known; raises if it did not."""
        found = [key for since, key in self.keys if since <= checkpoint.size]
        if not found:
            return False
        if checkpoint.note.signed_by(found[-1]) is None:
            raise NotANote("it is not signed by the log's key that was in force")
        return True


# ----------------------------------------------------------------------------------------------------- records


def parse(line):
    """The record that a line is, in canonical form, or Broken."""
    try:
        record = json.loads(line.decode("utf-8"), parse_float=refuse, parse_constant=refuse)
        check(record, 0)
        text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise Broken("malformed", f"it is not a record: {problem}") from problem
    if (
        not isinstance(record, dict)
        or type(record.get("v")) is not int
        or record["v"] != 1
        or len(line) > RECORD_BYTES
    ):
        raise Broken("malformed", "it is not a record of this format")
    if text != line:
        raise Broken("malformed", "its bytes are not the canonical form of what they say")
    return record


def refuse(text):
    """A number that no record holds."""
    raise ValueError(f"{text} has no place in a record")


def check(value, depth):
    """Raise ValueError unless the value is in the record's subset of JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if not -LARGEST <= value <= LARGEST:
            raise ValueError(f"{value} is beyond 2^53 - 1")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not key.isascii():
                raise ValueError("a key is not ASCII")
            check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check(item, depth + 1)


def commitment(salt, field, value):
    """SHA-256(0x10 ‖ salt ‖ field ‖ 0x00 ‖ value), in hex."""
    return hashlib.sha256(b"\x10" + salt + field.encode() + b"\x00" + value.encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------ bundle


class Bundle:
    """The files of a bundle, a folder or a .tar."""

    def __init__(self, path, stack):
        self._path, self._stack = path, stack
        self._archive = None if path.is_dir() else stack.enter_context(tarfile.open(path, "r:"))

    def open(self, name):
        """An open file, or None."""
        if self._archive is None:
            file = self._path / name
            return self._stack.enter_context(file.open("rb")) if file.is_file() else None
        try:
            return self._archive.extractfile(name)
        except KeyError:
            return None

    def need(self, name):
        """An open file; Broken if it is missing."""
        file = self.open(name)
        if file is None:
            raise Broken("unreadable", f"the bundle cannot be read: {name} is missing")
        return file


def lines(file, longest):
    """Lines without their ends."""
    while line := file.readline(longest + 2):
        if not line.endswith(b"\n"):
            raise Broken("malformed", "a line has no end, or is too long")
        yield line[:-1]


def hash_list(texts):
    """Hashes in hex."""
    return [one_hash(text) for text in texts]


def one_hash(text):
    """A hash in hex."""
    if len(text) != 64 or text != text.lower():
        raise ValueError("not a hash")
    return bytes.fromhex(text)


def demand(condition, text):
    """Raise ValueError unless."""
    if not condition:
        raise ValueError(text)


def read_manifest(raw):
    """The manifest, checked."""
    try:
        demand(len(raw) <= MANIFEST_BYTES, "it is too large")
        manifest = json.loads(raw)
        demand(set(manifest) == FIELDS and manifest["format"] == "pratique-bundle/1", "another format")
        first, last, size = (manifest[name] for name in ("first", "last", "size"))
        demand(all(type(number) is int for number in (first, last, size)), "its numbers are none")
        demand(1 <= first <= last + 1 and last <= size <= 2**53, "its numbers do not fit each other")
        for name in ("before", "after"):
            manifest[name] = hash_list(manifest[name])
        manifest["previous"] = one_hash(manifest["previous"])
        demand(len(manifest["before"]) == len(cover(0, first - 1)), "its hashes do not fit its numbers")
        demand(len(manifest["after"]) == len(cover(last, size)), "its hashes do not fit its numbers")
        demand(first > 1 or manifest["previous"] == ZERO, "the first record has none before it")
        demand(type(manifest["log"]) is str and type(manifest["key"]) is str, "a name is no text")
        demand(type(manifest["rotations"]) is list, "its rotations are no list")
        for rotation in manifest["rotations"]:
            demand(set(rotation) == {"seq", "log", "old", "new", "statement"}, "a rotation is not one")
            demand(
                type(rotation["seq"]) is int and rotation["log"] == manifest["log"], "a rotation is not one"
            )
            demand(not first <= rotation["seq"] <= last, "a rotation is out of place")
            demand(rotation["seq"] <= size, "a rotation is out of place")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise Broken("unreadable", f"its manifest is not one: {problem}") from problem
    return manifest


def read_checkpoints(file, manifest):
    """The bundle's checkpoints, in order of size."""
    before = -1
    for line in lines(file, LINE_BYTES):
        try:
            found = Checkpoint(json.loads(line)["note"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NotANote) as problem:
            raise Broken("signature", "a checkpoint in the bundle is not one") from problem
        if found.log != manifest["log"]:
            raise Broken("foreign", f"the checkpoint of {found.size} is another log's")
        inside = manifest["first"] - 1 <= found.size <= manifest["last"]
        if found.size <= before or not (inside or found.size == manifest["size"]):
            raise Broken("signature", f"the checkpoint of {found.size} is out of place")
        before = found.size
        yield found


def read_openings(file):
    """The disclosed values."""
    for line in () if file is None else lines(file, LINE_BYTES):
        try:
            opening = json.loads(line)
            opening["salt"] = bytes.fromhex(opening["salt"])
            demand(len(opening["salt"]) == 32 and type(opening["seq"]) is int, "no salt")
            demand(type(opening["field"]) is str and type(opening["value"]) is str, "no text")
            (opening["field"] + opening["value"]).encode("utf-8")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise Broken("opening", "a disclosed value is not one") from problem
        yield opening


class Verification:
    """One run over one bundle; the numbers are the steps of docs/reference/log-format.md."""

    def __init__(self, key, given, witnesses):
        self.ring, self.given, self.witnesses = Keyring(key), given, witnesses
        self.tree, self.seq, self.leaf, self.ts_us = Tree(), 0, ZERO, 0
        self.first, self.signed, self.held, self.checkpoint = 1, 0, [], None
        self.signed_sizes = [0]

    def run(self, bundle):
        """Take the steps."""
        self.manifest = manifest = read_manifest(bundle.need("manifest.json").read(MANIFEST_BYTES + 1))  # 1
        records = gzip.GzipFile(fileobj=bundle.need("records.jsonl.gz"))
        self.notes = read_checkpoints(bundle.need("checkpoints.jsonl"), manifest)
        self.openings = read_openings(bundle.open("openings.jsonl"))
        self.first, self.seq, self.leaf = manifest["first"], manifest["first"] - 1, manifest["previous"]
        for rotation in manifest["rotations"]:
            if rotation["seq"] < self.first:
                self.ring.rotate(rotation)
        for height, hash_ in zip(cover(0, self.seq), manifest["before"]):
            self.tree.add(height, hash_)
        self.note, self.opening = next(self.notes, None), next(self.openings, None)
        self.meet()
        for line in lines(records, RECORD_BYTES):  # 2
            record = self.take(line)
            if record["type"] == "key.rotate":  # 3
                self.ring.rotate(record)
            self.tree.add(0, self.leaf)
            self.open_values(record)  # 4
            self.meet()  # 5
        self.end()  # 6

    def take(self, line):
        """The next record."""
        seq = self.seq + 1
        if self.seq == self.manifest["last"]:
            raise Broken("moved", "there are more records than the manifest says", seq)
        try:
            record = parse(line)
            if record.get("seq") != seq:
                raise Broken("moved", f"it says it is record {record.get('seq')}: records were moved")
            if record.get("log") != self.manifest["log"]:
                raise Broken("foreign", f"it belongs to the log {record.get('log')!r}")
            if record.get("prev") != self.leaf.hex():
                raise Broken("replaced", "it does not name the record before it: one of the two was replaced")
            if type(record.get("ts_us")) is not int or record["ts_us"] < self.ts_us:
                raise Broken("backwards", "it is older than the record before it")
            if type(record.get("type")) is not str:
                raise Broken("malformed", "it does not say what it records")
        except Broken as broken:
            broken.seq = seq
            raise
        self.seq, self.leaf, self.ts_us = seq, leaf_hash(line), record["ts_us"]
        return record

    def open_values(self, record):
        """Hold disclosed values against the record's commitments."""
        while self.opening is not None and self.opening["seq"] == record["seq"]:
            field = self.opening["field"]
            if record.get(field + "_c") != commitment(self.opening["salt"], field, self.opening["value"]):
                raise Broken(
                    "opening", f"the value disclosed as {field!r} is not the one that it commits to", self.seq
                )
            self.opening = next(self.openings, None)

    def meet(self):
        """Hold the tree against every checkpoint of its size."""
        while self.note is not None and self.note.size == self.tree.size:
            note = self.checkpoint = self.note
            try:
                if self.ring.signed(note):
                    self.signed_sizes = [self.signed, note.size]
                    self.signed = note.size
            except NotANote as problem:
                raise Broken("signature", f"the checkpoint of {note.size}: {problem}") from problem
            self.same_root(note, "in the bundle")
            self.cosigned(note)
            self.note = next(self.notes, None)
        for given in self.given:
            if given.size == self.tree.size:
                if given.log != self.manifest["log"]:
                    raise Broken("foreign", "the checkpoint given is another log's")
                self.same_root(given, "given")
                self.held.append((given.size, "you", 0))
                self.cosigned(given)

    def same_root(self, checkpoint, where):
        """The tree has the checkpoint's root."""
        if self.tree.root() != checkpoint.root:
            trusted = [*self.signed_sizes, *(size for size, _, _ in self.held)]
            met = max([size for size in trusted if size < self.tree.size], default=0)
            text = f"the records up to {self.tree.size} are not those of the checkpoint {where}: history was rewritten"
            raise Broken("rewritten", text, max(met + 1, self.first))

    def cosigned(self, checkpoint):
        """Count the cosignatures of given witnesses."""
        for witness in self.witnesses:
            try:
                at = checkpoint.note.signed_by(witness)
            except NotANote as problem:
                raise Broken("signature", f"the checkpoint of {checkpoint.size}: {problem}") from problem
            if at is not None:
                self.held.append((checkpoint.size, witness.name, at))

    def end(self):
        """What must hold after the last record."""
        last, size = self.manifest["last"], self.manifest["size"]
        if self.seq != last:
            text = f"the records end at {self.seq}, the manifest says {last}: the tail was cut off"
            raise Broken("cut", text, self.seq + 1)
        for rotation in self.manifest["rotations"]:
            if rotation["seq"] > last:
                self.ring.rotate(rotation)
        if size > last:
            for height, hash_ in zip(cover(last, size), self.manifest["after"]):
                self.tree.add(height, hash_)
            self.meet()
        if self.note is not None or self.checkpoint is None or self.checkpoint.size != size:
            raise Broken("signature", "the checkpoint that the manifest names is not there")
        for given in self.given:
            if given.size > size:
                text = f"this reaches to record {size}, the checkpoint given is of {given.size}: the tail was cut off"
                raise Broken("cut", text + ", or this is an older bundle", size + 1)
        if self.opening is not None:
            raise Broken("opening", "a value is disclosed for a record that is not here")


def verify(path, key=None, given=(), witnesses=()):
    """Verify a bundle; give the verdict as a dictionary."""
    run = Verification(key, list(given), list(witnesses))
    broken = None
    with ExitStack() as stack:
        try:
            run.run(Bundle(Path(path), stack))
        except Broken as found:
            broken = found
        except (OSError, EOFError, zlib.error, tarfile.TarError, UnicodeDecodeError) as problem:
            broken = Broken("unreadable", f"the bundle cannot be read: {problem}")
    code = BROKEN if broken else OK if run.held else UNANCHORED
    return {
        "verdict": WORDS[code],
        "code": code,
        "kind": broken.kind if broken else None,
        "broken_at": broken.seq if broken else None,
        "problem": str(broken or ""),
        "first": run.first,
        "last": run.seq,
        "signed": run.signed,
        "held": [{"size": size, "by": by, "at": at} for size, by, at in sorted(run.held)],
    }


# ------------------------------------------------------------------------------------------------ command line


def text_of(value):
    """What a file holds, or the text itself."""
    path = Path(value)
    try:
        return path.read_text(encoding="utf-8") if "+" not in value or path.is_file() else value
    except OSError as problem:
        raise NotANote(f"{value}: {problem.strerror}") from problem


def show(found):
    """Print the verdict for people."""
    print(f"{found['verdict']}  {sentence(found)}")
    if found["signed"]:
        print(f"signed  up to record {found['signed']}, by the log's key")
    for held in found["held"]:
        when = f" at {held['at']} (seconds since 1970, UTC)" if held["at"] else ""
        print(f"held    up to record {held['size']}, by {printable(held['by'])}{when}")


def sentence(found):
    """The verdict in one line."""
    if found["verdict"] == "BROKEN":
        where = f"record {found['broken_at']}: " if found["broken_at"] else ""
        return f"{found['kind']}: {where}{printable(found['problem'])}"
    what = f"records {found['first']} to {found['last']}"
    if found["verdict"] == "OK":
        size = max(held["size"] for held in found["held"])
        rest = "" if size >= found["last"] else f"; those after {size} fit together, and may have been cut"
        return f"{what}, unchanged and in order, up to {size} as others hold it{rest}"
    return f"{what} fit together; without a checkpoint kept elsewhere, a cut tail is not seen"


def printable(text):
    """The text with every character that a terminal would obey made visible."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main(arguments=None):
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="pratique-verify", description=__doc__.split("\n\n")[0].split(": ", 1)[1]
    )
    parser.add_argument("bundle", help="the bundle: a folder, or a .tar")
    parser.add_argument("--key", help="the log's first key, or a file that holds it (keys/log.pub)")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint that you kept"
    )
    parser.add_argument(
        "--witness", action="append", default=[], metavar="KEY", help="a witness's key, or a file"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        key = Key(text_of(options.key)) if options.key else None
        given = sorted(
            (Checkpoint(Path(path).read_text(encoding="utf-8")) for path in options.checkpoint),
            key=lambda c: c.size,
        )
        witnesses = [Key(text_of(witness)) for witness in options.witness]
        if not Path(options.bundle).exists():
            raise NotANote(f"{options.bundle}: there is no such bundle")
    except (NotANote, OSError, UnicodeDecodeError) as problem:
        print(f"error: {printable(str(problem))}", file=sys.stderr)
        return UNUSABLE
    found = verify(options.bundle, key, given, witnesses)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return found["code"]


if __name__ == "__main__":
    sys.exit(main())
