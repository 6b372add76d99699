"""Takes out the files that a run left in its folder, when nothing of it lives any more.

Rules:
- Opened beneath the folder, in one step, no links, no devices, no FIFOs (`beneath`); nothing else is touched.
- At most so many files and so many bytes; what is left behind is named, with the reason.
"""

import errno

from pratique.sandbox.backend import Artifact, File, Limits, Skipped
from pratique.sandbox.beneath import Entry, Root

_WALK = 4  # entries looked at, for each file that may be handed out or made
_SKIPPED_MOST = 100


def collect(
    root: Root, limits: Limits, given: tuple[File, ...]
) -> tuple[tuple[Artifact, ...], tuple[Skipped, ...]]:
    """Return the files beneath the root, and what was not taken, each with a reason.

    Args:
        root: the work folder.
        limits: how many files, and how many bytes together.
        given: what we put there ourselves; unchanged, it is no artifact.
    """
    before = {file.path: file.data for file in given}
    taken: list[Artifact] = []
    skipped: list[Skipped] = []
    room = limits.artifact_bytes
    try:
        for entry in root.walk(limit=_WALK * (limits.files + limits.artifacts)):
            if entry.kind == "folder" or _unchanged(root, entry, before.get(entry.path)):
                continue
            got = _take(root, entry, room if len(taken) < limits.artifacts else -1)
            if isinstance(got, Skipped):
                skipped.append(got)
            else:
                taken.append(got)
                room -= len(got.data)
    except OSError as error:
        skipped.append(Skipped(path=".", why=str(error.strerror)))
    return tuple(taken), tuple(skipped[:_SKIPPED_MOST])


def _unchanged(root: Root, entry: Entry, given: bytes | None) -> bool:
    """Whether a file is as we put it there: it is no artifact, and takes no artifact's place."""
    if given is None or entry.size != len(given):
        return False
    try:
        return root.read(entry.path, len(given)) == given
    except OSError:
        return False


def _take(root: Root, entry: Entry, room: int) -> Artifact | Skipped:
    name = entry.path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if room < 0:
        return Skipped(path=name, why="more files than are handed out")
    try:
        data = root.read(entry.path, room)
    except OSError as error:
        why = "more bytes than are handed out" if error.errno == errno.EFBIG else str(error.strerror)
        return Skipped(path=name, why=why)
    return Artifact(path=name, data=data)
