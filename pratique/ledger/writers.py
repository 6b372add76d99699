"""Who is alive: each process that writes holds a lock on a file of its own, which dies with it.

Rules:
- An intent names its writer. If the writer's lock is free, the writer is dead, and its open intents are
  `unknown`; if it is held, the call may still be running.
- The kernel releases the lock however the process ends (kill -9 included).

An attacker who can write the folder can make a live writer look dead, or the reverse: a call's state would be
reported wrongly, but nothing runs that was not permitted.
"""

import fcntl
import os
import secrets
from pathlib import Path

from pratique.errors import LedgerUnavailableError


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
            self._handle = os.open(folder / self.id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise LedgerUnavailableError(f"{folder}: {problem.strerror}") from problem
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def is_alive(self, writer: str) -> bool:
        """Return whether the process that wrote under this name still runs."""
        if writer == self.id:
            return True
        try:
            handle = os.open(self._folder / writer, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def sweep(self) -> None:
        """Remove the files of dead writers."""
        for file in self._folder.glob("w_*"):
            if not self.is_alive(file.name):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the lock: from now on this writer counts as dead."""
        if self._handle >= 0:
            (self._folder / self.id).unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1
