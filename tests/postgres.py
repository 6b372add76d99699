"""A PostgreSQL server of our own, on a socket in a folder of its own, for as long as the tests run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ADMIN = "admin"
_PLACES = "/usr/lib/postgresql"
_MISSING = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"


class Postgres:
    """A running server.

    Args:
        folder: where its socket is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str, role: str = ADMIN) -> str:
        """Return the URL of a database for a role."""
        return f"postgresql://{role}@/{database}?host={self._folder}"


@contextmanager
def server() -> Iterator[Postgres]:
    """Start a server and stop it; skip the test where there is none to start, but fail in CI."""
    programs = _programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    folder = Path(tempfile.mkdtemp(prefix="pratique-pg-"))
    try:
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
        _run(programs, folder, "initdb", "-D", "data", "-U", ADMIN, "-A", "trust", "--no-sync", "-E", "UTF8")
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        _run(programs, folder, "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", settings, "start")
        try:
            yield Postgres(folder)
        finally:
            _run(programs, folder, "pg_ctl", "-D", "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
    """Return the folder of the newest server's programs."""
    found = sorted(Path(_PLACES).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _run(programs: Path, folder: Path, name: str, *arguments: str) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [str(programs / name), *arguments],
        cwd=folder,
        user=user,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
