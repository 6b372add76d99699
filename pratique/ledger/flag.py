"""One bit that every process of a house sees as soon as any of them has set it, without a system call.

Rules:
- It is set and never taken back.
- It says nothing that the database does not say as well: who opens it looks there first, and sets it again.

An attacker who can write the file can set it, which makes calls slower. One who takes it away while processes
run keeps the next setting from the others until they write again: so the database is asked then, too.
"""

import mmap
import os
from pathlib import Path

from pratique.errors import LedgerUnavailableError, told


class Flag:
    """A file of one byte, mapped into every process.

    Args:
        path: made when it is not there.

    Raises:
        LedgerUnavailableError: it cannot be made or read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._handle, 0, 1)  # what is there stays; a full disk is found out now
            self._seen = mmap.mmap(self._handle, 1, prot=mmap.PROT_READ)
        except OSError as problem:
            raise LedgerUnavailableError(f"{path}: {told(problem)}") from problem

    def __bool__(self) -> bool:
        """Whether anybody has set it."""
        return self._seen[0] != 0

    def set(self) -> None:
        """Set it, for all processes; once it is closed, for nobody."""
        if self._handle >= 0:
            os.pwrite(self._handle, b"\x01", 0)

    def close(self) -> None:
        """Let go of the file. What was seen last can still be asked for."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
