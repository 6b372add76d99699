"""Says in words, for an agent, why a file could not be had.

Rules:
- An `OSError` becomes a `ToolError` with what was wanted and why not. It names nothing outside of the root.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pratique.errors import ToolError

_WORDS = {
    errno.ENOENT: "does not exist",
    errno.EISDIR: "is a folder",
    errno.ENOTDIR: "is not a folder",
    errno.EEXIST: "exists already",
    errno.ENAMETOOLONG: "has too long a name",
    errno.ENOSPC: "does not fit: the disk is full",
    errno.EROFS: "cannot be written: the disk is read-only",
}


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn an OSError inside into a ToolError that begins with `what`.

    Raises:
        ToolError: `what` and the reason.
    """
    try:
        yield
    except OSError as problem:
        words = _WORDS.get(problem.errno or 0)
        reason = words or f"cannot be had: {problem.strerror or type(problem).__name__}"
        raise ToolError(f"{what} {reason}") from problem
