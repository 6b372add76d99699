"""Who is alive: each process that writes holds a lock on a file of its own, which dies with it.

Rules:
- An intent names its writer. If the writer's lock is free, the writer is dead, and its open intents are
  `unknown`; if it is held, the call may still be running.
- The kernel releases the lock however the process ends (kill -9 included).
- A writer's file holds the head that it last acknowledged. What a dead one acknowledged must be in the log:
  otherwise records were lost, or this is an older copy (`pratique.ledger.recover`).
- A file is removed only by who holds its lock; who has just locked a file that was removed makes it anew.

An attacker who can write the folder can make a live writer look dead, or the reverse: a call's state would be
reported wrongly, but nothing runs that was not permitted.
"""

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path

from pratique.errors import LedgerUnavailableError, told

NAME = re.compile(r"w_[0-9a-f]{16}")


class Writer:
    """This process's own lock.

    Args:
        folder: where the lock files are.

    Raises:
        LedgerUnavailableError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.id = f"w_{secrets.token_hex(8)}"
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = _lock_new(folder / self.id)
        except OSError as problem:
            raise LedgerUnavailableError(f"{folder}: {told(problem)}") from problem

    def is_alive(self, writer: str) -> bool:
        """Return whether the process that wrote under this name still runs."""
        if writer == self.id:
            return self._handle >= 0
        return NAME.fullmatch(writer) is not None and not _is_free(self._folder / writer)

    def note(self, seq: int, leaf: bytes) -> None:
        """Write down the head that callers are about to be told. It outlives the process, not the machine."""
        if self._handle >= 0:
            os.pwrite(self._handle, b"%d:%s\n" % (seq, leaf.hex().encode()), 0)

    def sweep(self) -> None:
        """Remove the files of dead writers."""
        for file in self._folder.glob("w_*"):
            if file.name != self.id:
                _is_free(file, remove=True)

    def close(self) -> None:
        """Let go of the lock: from now on this writer counts as dead."""
        if self._handle >= 0:
            (self._folder / self.id).unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


def noted(folder: Path) -> dict[str, tuple[int, str, bool]]:
    """Return what each writer last acknowledged: number, leaf hash in hex, and whether it still runs."""
    found = {}
    for file in sorted(folder.glob("w_*")):
        with contextlib.suppress(OSError, ValueError):
            seq, _, leaf = file.read_text(encoding="ascii").partition("\n")[0].partition(":")
            found[file.name] = (int(seq or 0), leaf, not _is_free(file))
    return found


def _lock_new(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # swept between the two steps


def _is_free(path: Path, *, remove: bool = False) -> bool:
    """Return whether nobody holds the file; remove it then, under its lock, if told to."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
