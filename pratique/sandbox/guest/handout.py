"""Sends out the files that a run left, where the host cannot open the folder itself (a container's tmpfs).

Rules:
- Called when nothing of the run lives any more, so nobody can exchange a file under the reader's hand.
- Regular files only, opened without following a link; as many, and as many bytes, as the limits say.
- The host checks paths and sizes again: this runs inside.
"""

import os
import stat
from collections.abc import Iterator
from typing import Any

# pathlib would cost every start of a worker its import.
# ruff: noqa: PTH118


def collect(job: "dict[str, Any]") -> "list[tuple[str, bytes]]":
    """Return path and bytes of each file in the current folder that may be handed out."""
    room = job["limits"]["artifact_bytes"]
    found: list[tuple[str, bytes]] = []
    for path in _files():
        if len(found) == job["limits"]["artifacts"]:
            break
        data = _read(path, room)
        if data is not None:
            found.append((path, data))
            room -= len(data)
    return found


def _files() -> "Iterator[str]":
    for folder, _, names in os.walk(".", followlinks=False):
        for name in sorted(names):
            yield os.path.join(folder, name)[2:]


def _read(path: str, room: int) -> "bytes | None":
    """Read a regular file that fits, or nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_size > room:
            return None
        return file.read(room)
