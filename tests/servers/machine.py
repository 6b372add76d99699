"""What the tests do on the machine to have real servers: programs installed, ports found, processes ended.

Rules:
- A missing program is installed where that may be done (root, apt). Elsewhere the test skips with the reason,
  and fails where CI says that nothing may be missing.
- What was started is stopped, by its own process id.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

import pytest

LOCK = Path("/tmp/pratique-tests-apt.lock")  # noqa: S108  # several test processes install one after the other


def demand(program: str, package: str) -> str:
    """Return the program's path, installed if need be."""
    found = _find(program) or _install(program, package)
    if not found:
        lacking(f"{program} is missing, and {package} cannot be installed by these tests")
    return found


def lacking(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def as_root() -> None:
    """Go on only as root: the server changes its user."""
    if os.geteuid() != 0:
        lacking("this server is started as root")


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(happened: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Return when something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.01)


def greets(port: int) -> bool:
    """Whether a server on this machine takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end(process: "subprocess.Popen[bytes]", how: signal.Signals = signal.SIGTERM) -> None:
    """End a process that the tests started."""
    with suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _install(program: str, package: str) -> str | None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _find(program):
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
                subprocess.run([apt, *words], env=quiet, check=False, capture_output=True, timeout=300)
    return _find(program)
