"""Puts the files that run inside where a user without rights can read them.

Rules:
- Copies, in a folder of their own: the installation may lie where the jail's user cannot go (/root).
- Owned by us, readable by all, written by nobody else; compiled beforehand by the interpreter that will run
  them, because the inside is read-only.
- The folder bears our mark, so that the next start removes it if we could not.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import mark
from pratique.sandbox.interpreter import Interpreter

_GUEST = Path(__file__).parent / "guest"
_LIBRARY = "RestrictedPython"


def stage(interpreter: Interpreter, *, restricted: bool) -> str:
    """Copy the guest's files and return their folder.

    Raises:
        SandboxUnavailableError: RestrictedPython is asked for and not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{mark.mine()}-guest-"))
    try:
        _copy(_GUEST, folder / "guest")
        if restricted:
            _copy(_library(), folder / _LIBRARY)
        command = [interpreter.path, "-I", "-S", "-m", "compileall", "-q", "-o", "0", str(folder)]
        subprocess.run(command, check=False, env={}, stdin=subprocess.DEVNULL, timeout=60)  # noqa: S603  # our own
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return str(folder)


def unstage(folder: str) -> None:
    """Remove the folder; what is gone already is no error."""
    shutil.rmtree(folder, ignore_errors=True)


def reap() -> list[str]:
    """Remove the folders of dead runs; return a line for each."""
    told = []
    with os.scandir(tempfile.gettempdir()) as entries:
        orphans = [entry.path for entry in entries if mark.is_orphan(entry.name) and _ours(entry)]
    for path in orphans:
        shutil.rmtree(path, ignore_errors=True)
        told.append(f"removed the folder {path} of a run that is dead")
    return told


def _ours(entry: "os.DirEntry[str]") -> bool:
    """Whether a folder belongs to this user; somebody else's may bear any name."""
    try:
        return (
            entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        )
    except FileNotFoundError:
        return False  # gone meanwhile


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))


def _library() -> Path:
    found = importlib.util.find_spec(_LIBRARY)
    if found is None or found.origin is None:
        raise SandboxUnavailableError(f"{_LIBRARY} is not installed: install pratique[sandbox]")
    return Path(found.origin).parent
