"""Sends out the files that a run left, where the host cannot open the folder itself (a container's tmpfs).

Rules:
- Called when nothing of the run lives any more, so nobody can exchange a file under the reader's hand.
- Regular files only, opened without following a link; as many, and as many bytes, as the limits say.
- What stays inside is named with its reason, in the words that a jail's files have (`beneath`).
- The host checks paths and sizes again: this runs inside.
"""

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

_SKIPPED_MOST = 100
_NAMES_MOST = 200_000  # characters of all names together: they travel in one message
_WALK = 4  # entries looked at, for each file that may be handed out or made


class Found(NamedTuple):
    """Files with their bytes, and what is not handed out, with the reason."""

    files: "list[tuple[str, bytes]]"
    skipped: "list[tuple[str, str]]"


def mark(data: bytes) -> "tuple[int, int]":
    """Return what a file is known by that was put in and may come out unchanged."""
    return len(data), zlib.crc32(data)


def collect(limits: "dict[str, Any]", given: "dict[str, tuple[int, int]]") -> Found:
    """Return the files in the current folder that may be handed out, and what stays.

    Args:
        limits: the fields of `backend.Limits`.
        given: path → `mark` of what was put in; unchanged, it is no artifact.
    """
    found = Found([], [])
    room, names = limits["artifact_bytes"], _NAMES_MOST
    try:
        for path in _files(_WALK * (limits["files"] + limits["artifacts"])):
            if path in given and given[path] == mark(_take(path, given[path][0])[0]):
                continue
            names -= len(path)
            data, why = _take(path, room if len(found.files) < limits["artifacts"] and names > 0 else -1)
            if why and len(found.skipped) < _SKIPPED_MOST and names > 0:
                found.skipped.append((_shown(path), why))
            elif not why:
                found.files.append((_shown(path), data))
                room -= len(data)
    except OSError as error:
        found.skipped.append((".", str(error.strerror)))
    return found


def _files(most: int) -> "Iterator[str]":
    """Yield everything that is no folder, the names of a folder in their order."""
    waiting = [""]
    seen = 0
    while waiting:
        prefix = waiting.pop()
        with os.scandir(prefix or ".") as entries:
            here = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_folder in here:
            seen += 1
            if seen > most:
                raise OSError(errno.EFBIG, f"more than {most} entries")
            if is_folder:
                waiting.append(f"{prefix}{name}/")
            else:
                yield prefix + name


def _take(path: str, room: int) -> "tuple[bytes, str]":
    """Read a regular file that fits; or say why not."""
    if room < 0:
        return b"", "more files than are handed out"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return b"", "a symbolic link is on the path" if error.errno == errno.ELOOP else str(error.strerror)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return b"", "not a regular file"
        if about.st_nlink > 1:
            return b"", "the file has a second name (hard link)"
        if about.st_size > room:
            return b"", "more bytes than are handed out"
        return file.read(room), ""


def _shown(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
