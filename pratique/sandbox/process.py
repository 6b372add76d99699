"""Starts a worker's process, holds it by descriptor, and ends it with all that it started.

Rules:
- A process is held by a pidfd, never by its number: a number can be another's by the time a signal is sent.
- Inside a pid namespace, killing process 1 kills everything, daemons and new sessions too; it is dead only
  when nothing else in it lives. So waiting for process 1 is waiting for the tree.
- Started from the event loop's own thread: the kernel's parent-death signal counts threads.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pratique.errors import SandboxUnavailableError


@dataclass(frozen=True)
class Stdio:
    """The three standard descriptors of a process that is to be started."""

    stdin: int
    stdout: int
    stderr: int


class Process:
    """A started process, and process 1 of its namespace once that is known."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._handle = os.pidfd_open(popen.pid)
        self._first: int | None = None
        self._first_pid = 0

    @property
    def pid(self) -> int:
        """The number of the process that we started."""
        return self._popen.pid

    def adopt(self, first: int) -> None:
        """Remember process 1 of the namespace that our process made.

        Raises:
            ProcessLookupError: it is gone.
        """
        self._first = os.pidfd_open(first)
        self._first_pid = first

    def tree(self) -> list[int]:
        """The numbers of the processes that there are before anybody's code runs."""
        return [self.pid, self._first_pid] if self._first_pid else [self.pid]

    def alive(self) -> bool:
        """Whether the process runs still."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """Send the end to the whole tree; `gone` waits for it."""
        for handle in (self._first, self._handle):
            if handle is not None and handle >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)

    def signal_group(self, number: int) -> None:
        """Send a signal to the process and those of its session that left neither it nor the group.

        Before `gone`: until then the number is taken, even if the process has ended.
        """
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    async def ended(self, seconds: float) -> bool:
        """Wait so long for the process to end, and say whether it has. Its remains stay."""
        try:
            async with asyncio.timeout(seconds):
                await _readable(self._handle)
        except TimeoutError:
            return False
        return True

    async def oom(self) -> bool:
        """Unknown here: a control group tells, where there is one."""
        return False

    async def lost(self) -> str:
        """Never: the kernel is always in reach."""
        return ""

    async def gone(self) -> None:
        """Wait until the tree is dead, and take its remains away."""
        for handle in (self._first, self._handle):
            if handle is not None and handle >= 0:
                await _readable(handle)
        self._popen.wait()
        self._close()

    @property
    def rc(self) -> int | None:
        """How the process that we started ended, once `gone` has returned."""
        return self._popen.returncode

    def _close(self) -> None:
        for handle in (self._first, self._handle):
            if handle is not None and handle >= 0:
                os.close(handle)
        self._first = None
        self._handle = -1


def start(
    command: Sequence[str],
    stdio: Stdio,
    keep: Sequence[int],
    *,
    uid: int | None,
    environment: dict[str, str],
    cwd: str = "/",
) -> Process:
    """Start a process with nothing of ours but the descriptors named.

    Args:
        command: program and arguments.
        stdio: its standard descriptors.
        keep: others that it inherits, under the same numbers.
        uid: the user and group to become, or None to stay.
        environment: all of its variables.
        cwd: the folder that it starts in.

    Raises:
        SandboxUnavailableError: the program is missing or cannot be started.
    """
    try:
        popen = subprocess.Popen(  # noqa: S603  # the command is ours, from `plan`
            command,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            pass_fds=tuple(keep),
            env=environment,
            cwd=cwd,
            start_new_session=True,  # a terminal's interrupt is for us, not for our workers
            umask=0o022,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
    except OSError as error:
        raise SandboxUnavailableError(f"{command[0]} cannot be started: {error.strerror}") from error
    return Process(popen)


async def _readable(fd: int) -> None:
    """Wait until a descriptor can be read."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
