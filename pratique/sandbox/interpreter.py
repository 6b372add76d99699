"""Which Python runs inside, and how it is named in the record.

Rules:
- The one that runs Pratique, if the jail's user can reach it; else the system's. Never one that a variable
  or a virtual environment chose.
- It is named by the SHA-256 of its file, so that the record says what ran.
"""

import hashlib
import os
import stat
import sys
from functools import cache
from pathlib import Path

from pratique.errors import SandboxUnavailableError
from pratique.model import Value

_SYSTEM = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3")


class Interpreter(Value):
    """A Python for the inside: its file, the folder that holds all it needs, and its digest."""

    path: str
    prefix: str
    digest: str


@cache
def find(wanted: str | None = None) -> Interpreter:
    """Return the interpreter for jails.

    Args:
        wanted: the path of one, instead of the first that serves.

    Raises:
        SandboxUnavailableError: none can be reached by a user without rights.
    """
    ours = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    candidates = (wanted,) if wanted else (ours, *_SYSTEM)
    for candidate in candidates:
        path = str(Path(candidate).resolve())
        if Path(path).is_file() and (os.geteuid() != 0 or open_to_all(path)):
            return Interpreter(path=path, prefix=_prefix(path), digest=_digest(path))
    raise SandboxUnavailableError(
        f"no Python that a user without rights can reach: looked at {', '.join(map(str, candidates))}"
    )


def open_to_all(path: str) -> bool:
    """Whether anybody may reach and read a file: every folder on the way can be entered by others."""
    readable = Path(path).stat().st_mode & stat.S_IROTH
    return bool(readable) and all(folder.stat().st_mode & stat.S_IXOTH for folder in Path(path).parents)


def _prefix(path: str) -> str:
    """The folder that holds an interpreter and its library: that of `bin`, or /usr."""
    folder = str(Path(path).parent.parent)
    return "/usr" if folder in {"/", "/usr"} else folder


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
