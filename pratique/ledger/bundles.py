"""Bundles on disk: written from a ledger, read again, as a folder or as one `.tar` of it.

Rules:
- Writing streams: memory does not grow with the log. A folder is written beside its name and then moved
  there, so a bundle is whole or not there.
- The same records give the same bytes: no time of writing, no names of this machine.
- Reading believes nothing: sizes are bounded, names are fixed, what does not decompress is a broken bundle.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, select

from pratique.audit.bundle import Manifest, Parts, Trust, verify_bundle
from pratique.audit.chain import Break, BrokenError, Head, Report, Verdict
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import cover
from pratique.audit.note import parse_line
from pratique.audit.record import GENESIS, LARGEST_RECORD
from pratique.errors import LedgerUnavailableError, RetentionError, SettingsError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import driver_of
from pratique.ledger.tree import StoredTree, leaves

MANIFEST: Final = "manifest.json"
RECORDS: Final = "records.jsonl.gz"
CHECKPOINTS: Final = "checkpoints.jsonl"
OPENINGS: Final = "openings.jsonl"
NAMES: Final = frozenset({MANIFEST, RECORDS, CHECKPOINTS, OPENINGS})
STAMPS: Final = "timestamps"
LARGEST_MANIFEST: Final = 16 * 1024 * 1024
LONGEST_LINE: Final = 256 * 1024


class Opening(NamedTuple):
    """A value that the bundle discloses, with the salt of its commitment."""

    seq: int
    field: str
    salt: bytes
    value: str

    def line(self) -> bytes:
        """Return its line in the bundle."""
        body = {"seq": self.seq, "field": self.field, "salt": self.salt.hex(), "value": self.value}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS) + b"\n"


class Written(NamedTuple):
    """A bundle that was written.

    Attributes:
        first, last: the numbers of its records.
        size: of the checkpoint that covers them.
        leaf: leaf hash of the last record, in hex.
        digest: SHA-256 of its manifest, in hex.
    """

    first: int
    last: int
    size: int
    leaf: str
    digest: str


def write_bundle(
    connection: Connection,
    to: Path,
    *,
    key: str,
    first: int = 1,
    last: int | None = None,
    openings: Sequence[Opening] = (),
) -> Written:
    """Write a range of records as a bundle.

    Args:
        connection: one view of the ledger.
        to: the folder to make, or a file that ends in `.tar`.
        key: the log's first key.
        first: the first record; records before it that were dropped cannot be in it.
        last: the last record; left out, the last one that a checkpoint covers.
        openings: values to disclose.

    Raises:
        RetentionError: these records are not there, or no checkpoint covers them.
        SettingsError: something stands at `to` already.
    """
    if to.exists():
        raise SettingsError(f"{to} is there already: name a place that is not")
    covering = _covering(connection)
    last = covering if last is None else last
    _demand_range(connection, first, last, covering)
    draft = to.with_name(f".{to.name}.{os.getpid()}")
    folder = draft.with_suffix(".dir") if to.suffix == ".tar" else draft
    try:
        folder.mkdir(parents=True, mode=0o700)
        manifest = _manifest(connection, key, first, last, covering)
        (folder / MANIFEST).write_bytes(manifest.text())
        _write_records(connection, folder / RECORDS, first, last)
        _write_checkpoints(connection, folder, first, last, covering)
        _write_openings(folder, first, last, openings)
        if to.suffix == ".tar":
            _pack(folder, draft)
        draft.rename(to)
    except OSError as problem:
        raise LedgerUnavailableError(f"{to}: {problem.strerror}") from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if draft != folder:
            draft.unlink(missing_ok=True)
    leaf = leaves(driver_of(connection), (last - 1) >> 8)[(last - 1) % 256].hex() if last else GENESIS.hex()
    return Written(first, last, covering, leaf, hashlib.sha256(manifest.text()).hexdigest())


def _covering(connection: Connection) -> int:
    """Return how many records the last checkpoint covers.

    Raises:
        RetentionError: there is none.
    """
    found = connection.execute(
        select(t.checkpoints.c.size).order_by(t.checkpoints.c.size.desc()).limit(1)
    ).scalar()
    if found is None:
        raise RetentionError("no checkpoint was made yet: run `pratique audit checkpoint` first")
    return int(found)


def _write_openings(folder: Path, first: int, last: int, openings: Sequence[Opening]) -> None:
    if openings:
        lines = [each.line() for each in sorted(openings) if first <= each.seq <= last]
        (folder / OPENINGS).write_bytes(b"".join(lines))


def openings_of(connection: Connection, ledger: Ledger, seq: int) -> list[Opening]:
    """Return every value that a record commits to and the vault still has, to be disclosed.

    Raises:
        LedgerCorruptError: the vault's values do not open.
    """
    record = queries.record(connection, seq)
    row = connection.execute(select(t.vault).where(t.vault.c.seq == seq)).one_or_none()
    if record is None or row is None or not ledger.learn(connection, row.subject):
        return []
    found = ledger.vault.disclose(row.subject, queries.about(record), row.sealed)
    return [Opening(seq, *each) for each in found]


def verify_bundle_at(path: Path, trust: Trust) -> Report:
    """Return what the verification of a bundle on disk finds.

    Raises:
        LedgerUnavailableError: nothing is there, or it cannot be opened.
    """
    if not path.exists():
        raise LedgerUnavailableError(f"{path}: there is no such bundle")
    try:
        with opened(path) as parts:
            return verify_bundle(parts, trust)
    except (OSError, EOFError, zlib.error, tarfile.TarError, BrokenError) as problem:
        head = Head(seq=0, leaf=GENESIS.hex())
        said = f"the bundle cannot be read: {problem}"
        return Report(verdict=Verdict.BROKEN, records=0, head=head, problem=said, kind=Break.UNREADABLE)


@contextmanager
def opened(path: Path) -> Iterator[Parts]:
    """Give the parts of a bundle, a folder or a `.tar`.

    Raises:
        BrokenError: it lacks a file, or one is too large.
    """
    with ExitStack() as stack:
        if path.is_dir():
            found = {name: (path / name).open("rb") for name in NAMES if (path / name).is_file()}
            files: dict[str, IO[bytes]] = {**found}
        else:
            archive = stack.enter_context(tarfile.open(path, "r:"))
            files = {name: file for name in NAMES if (file := _member(archive, name)) is not None}
        for file in files.values():
            stack.enter_context(file)
        lacking = NAMES - {OPENINGS} - set(files)
        if lacking:
            raise BrokenError(Break.UNREADABLE, f"{', '.join(sorted(lacking))} is missing")
        manifest = files[MANIFEST].read(LARGEST_MANIFEST + 1)
        if len(manifest) > LARGEST_MANIFEST:
            raise BrokenError(Break.UNREADABLE, "its manifest is too large")
        records = stack.enter_context(gzip.GzipFile(fileobj=files[RECORDS]))
        given = files.get(OPENINGS)
        yield Parts(
            manifest,
            _lines(records, LARGEST_RECORD),
            _lines(files[CHECKPOINTS], LONGEST_LINE),
            () if given is None else _lines(given, LONGEST_LINE * 4),
        )


def _lines(file: IO[bytes] | gzip.GzipFile, longest: int) -> Iterator[bytes]:
    while line := file.readline(longest + 2):
        if not line.endswith(b"\n"):
            raise BrokenError(Break.MALFORMED, "a line has no end, or is too long")
        yield line[:-1]


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes] | None:
    try:
        return archive.extractfile(name)
    except KeyError:
        return None


def _demand_range(connection: Connection, first: int, last: int, covering: int) -> None:
    dropped = queries.dropped(connection)
    if first <= dropped:
        raise RetentionError(
            f"records 1 to {dropped} were dropped: they are in the bundles they were sealed into"
        )
    if not first <= last <= covering:
        raise RetentionError(
            f"there is no checkpoint over records {first} to {last}: the newest one covers {covering}"
        )


def _manifest(connection: Connection, key: str, first: int, last: int, size: int) -> Manifest:
    driver = driver_of(connection)
    tree = StoredTree(driver)
    before = first - 2
    rotations = connection.execute(select(t.log_keys).order_by(t.log_keys.c.seq))
    name = connection.execute(select(t.log.c.name)).scalar_one()
    return Manifest(
        log=name,
        first=first,
        last=last,
        size=size,
        previous=leaves(driver, before >> 8)[before % 256] if first > 1 else GENESIS,
        before=tuple(tree(*place) for place in cover(0, first - 1)),
        after=tuple(tree(*place) for place in cover(last, size)),
        key=key,
        rotations=tuple(
            {"seq": row.seq, "log": name, "old": row.old, "new": row.key, "statement": row.statement}
            for row in rotations
            if row.seq <= size and not first <= row.seq <= last
        ),
    )


def _write_records(connection: Connection, path: Path, first: int, last: int) -> None:
    with path.open("xb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        for seq, _, body in queries.stored(connection, first - 1):
            if seq > last:
                break
            packed.write(body + b"\n")


def _write_checkpoints(connection: Connection, folder: Path, first: int, last: int, covering: int) -> None:
    rows = connection.execute(
        select(t.checkpoints)
        .where(t.checkpoints.c.size.between(first - 1, last) | (t.checkpoints.c.size == covering))
        .order_by(t.checkpoints.c.size)
    )
    with (folder / CHECKPOINTS).open("xb") as file:
        for row in rows:
            note = _with_cosignatures(connection, folder, SignedCheckpoint.parse(row.note))
            file.write(orjson.dumps({"note": note}) + b"\n")


def _with_cosignatures(connection: Connection, folder: Path, signed: SignedCheckpoint) -> str:
    """Return the note with what witnesses added to it; time-stamps become files of their own."""
    note, size = signed.note, signed.checkpoint.size
    rows: Any = connection.execute(select(t.witnessed).where(t.witnessed.c.size == size))
    for row in sorted(rows, key=lambda row: row.witness):
        if row.evidence.startswith("—".encode()):
            note = note.with_lines([parse_line(line) for line in row.evidence.decode().splitlines()])
        elif row.evidence:
            stamps = folder / STAMPS
            stamps.mkdir(exist_ok=True)
            (stamps / f"{size}-{row.witness}.txt").write_text(note.text, encoding="utf-8")
            (stamps / f"{size}-{row.witness}.tsr").write_bytes(row.evidence)
    return str(note)


def _pack(folder: Path, to: Path) -> None:
    with tarfile.open(to, "x:", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(str(file.relative_to(folder)))
            entry.size, entry.mode = file.stat().st_size, 0o600
            with file.open("rb") as content:
                archive.addfile(entry, content)
