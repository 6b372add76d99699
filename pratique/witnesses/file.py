"""A file in another place: another disk, another machine's mount, a folder that only grows.

Rules:
- Each checkpoint is one more line; nothing is ever overwritten. The file is locked while it is looked at.
- It does not go back: a smaller checkpoint, another root for the same size, another log, or one that the
  last one is not the beginning of, is refused, and the file stays as it is.

An attacker who can write to both the ledger and this file can cut both. Put it where the ledger's owner may
only append (`chattr +a`, a write-once share, another account).
"""

import base64
import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import proves_consistency
from pratique.errors import NoteError, WitnessError
from pratique.ledger.verification import Claim
from pratique.witnesses.kinds import Evidence, Proof

_TAIL = 128 * 1024


class Line(NamedTuple):
    """One checkpoint in the file, and when it was written."""

    signed: SignedCheckpoint
    at: int


class FileWitness:
    """Appends checkpoints to a file.

    Args:
        name: by which the settings know it.
        path: the file; its folder must be there.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path

    def push(self, signed: SignedCheckpoint, old: int, proof: Proof) -> bytes:
        """Append the checkpoint, unless it is there; see `Witness.push`."""
        del old  # the file itself says what it has
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                last = self._last(handle)
                if last is None or self._goes_on(last.signed, signed, proof):
                    body = {"at": int(time.time()), "note": str(signed.note)}
                    os.write(handle, orjson.dumps(body) + b"\n")
                    os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as problem:
            raise WitnessError(f"{self._path}: {problem.strerror}") from problem
        return b""

    def held(self, kept: Sequence[Evidence]) -> list[Claim]:
        """Return the last checkpoint in the file; see `Witness.held`."""
        del kept
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise WitnessError(f"{self._path}: {problem.strerror}") from problem
        try:
            last = self._last(handle)
        except OSError as problem:
            raise WitnessError(f"{self._path}: {problem.strerror}") from problem
        finally:
            os.close(handle)
        if last is None:
            return []
        return [Claim(last.signed.checkpoint, f"{self.name}, {self._path}", outside=True, at=last.at)]

    def asked(self, newest: SignedCheckpoint) -> int:
        """Return the size of the last checkpoint; see `Witness.asked`."""
        del newest
        return max([claim.checkpoint.size for claim in self.held(())], default=0)

    def _last(self, handle: int) -> Line | None:
        size = os.fstat(handle).st_size
        if not size:
            return None
        tail = os.pread(handle, _TAIL, max(0, size - _TAIL))
        if not tail.endswith(b"\n"):
            raise WitnessError(f"{self._path}: its last line is cut; look at it, and end it, by hand")
        try:
            body = orjson.loads(tail[:-1].rpartition(b"\n")[2])
            return Line(SignedCheckpoint.parse(body["note"]), int(body["at"]))
        except (orjson.JSONDecodeError, NoteError, KeyError, TypeError, ValueError):
            raise WitnessError(f"{self._path}: its last line is not a checkpoint") from None

    def _goes_on(self, last: SignedCheckpoint, signed: SignedCheckpoint, proof: Proof) -> bool:
        old, new = last.checkpoint, signed.checkpoint
        if old == new:
            return False
        if old.origin != new.origin:
            raise WitnessError(f"{self._path} holds checkpoints of {old.origin}: give each log its own file")
        if old.size > new.size:
            raise WitnessError(
                f"{self._path} holds a checkpoint of {old.size}; it does not go back to {new.size}"
            )
        if not proves_consistency(old.size, old.root, new.size, new.root, proof(old.size, new.size)):
            root = base64.b64encode(old.root).decode()
            raise WitnessError(
                f"{self._path} holds another history: its checkpoint of {old.size} has the root {root}"
            )
        return True
