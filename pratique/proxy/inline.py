"""A server as a plain child process: a clean environment, a folder of its own, an end to all that it started.

Rules:
- It isolates nothing. Who means harm can leave its process group and clear its environment; a jail is for
  that.
- What has its folder in its environment was started by it, and ends with it. If our process was killed, it
  ends with the first server that the next one starts.
"""

import asyncio
import os
import select
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import structlog

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import mark, process

log = structlog.get_logger("pratique")

PATH = "/usr/local/bin:/usr/bin:/bin"
_KIND = "-server-"
_OWN = b"TMPDIR="
_KILL_ROUNDS = 5
_DYING = 5000  # milliseconds


class Inline:
    """A child without isolation.

    Args:
        command: program and arguments.
        environment: its variables, beside `PATH`, `LANG` and `HOME`, which they may set anew, and `TMPDIR`.

    Raises:
        SandboxUnavailableError: the program is not there, or cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        _end_orphans(mark.mine())
        self._home = tempfile.mkdtemp(prefix=f"{mark.mine()}{_KIND}")
        own = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": self._home}
        # The folder's name is theirs alone: who has it in the environment was started by this server.
        variables = {**own, **environment, "TMPDIR": self._home}
        theirs = []
        ours = []
        try:
            for end in ("in", "out", "err"):
                read, write = os.pipe2(os.O_CLOEXEC)
                theirs.append(read if end == "in" else write)
                ours.append(write if end == "in" else read)
            words = (_program(command[0], variables), *command[1:])
            stdio = process.Stdio(*theirs)
            self._process = process.start(words, stdio, (), uid=None, environment=variables, cwd=self._home)
        except BaseException:
            for fd in ours:
                os.close(fd)
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self.stdin, self.stdout, self.stderr = ours

    async def end(self, patience: float) -> str:
        """End it: see `lines.Child`."""
        how = "by itself"
        if not await self._process.ended(patience):
            how = "after SIGTERM"
            self._process.signal_group(signal.SIGTERM)
            if not await self._process.ended(min(patience, 1.0)):
                how = "after SIGKILL"
        self._process.signal_group(signal.SIGKILL)
        self._process.kill()
        await self._process.gone()
        fled = await asyncio.to_thread(_kill_those, self._home.__eq__)
        shutil.rmtree(self._home, ignore_errors=True)
        return f"{how}, exit code {self._process.rc}" + (f", {fled} that had fled" if fled else "")


def _program(word: str, environment: Mapping[str, str]) -> str:
    """Return the program's path."""
    found = shutil.which(word, path=environment["PATH"])
    if found is None or not found.startswith("/"):  # it starts in another folder than we are in
        raise SandboxUnavailableError(f"there is no program {word!r} (PATH is {environment['PATH']})")
    return found


@cache
def _end_orphans(_: str) -> None:
    """End what servers of a dead run left; once in the life of a process, which the argument names."""
    folder = Path(tempfile.gettempdir())
    left = _kill_those(lambda home: Path(home).parent == folder and _is_orphan(Path(home).name))
    for path in (path for path in folder.iterdir() if _is_orphan(path.name)):
        with suppress(OSError):  # gone meanwhile
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
    if left:
        log.warning("ended what MCP servers of a dead run had left", processes=left)


def _is_orphan(name: str) -> bool:
    return _KIND in name and mark.is_orphan(name)


def _kill_those(wanted: Callable[[str], bool]) -> int:
    """Kill every process of ours whose folder is wanted; return how many there were."""
    killed = 0
    for _ in range(_KILL_ROUNDS):
        found = [path for path in Path("/proc").iterdir() if path.name.isdigit() and wanted(_home_of(path))]
        for path in found:
            # Held by descriptor and looked at again: the number may be another's by now.
            with suppress(OSError):
                handle = os.pidfd_open(int(path.name))
                try:
                    if wanted(_home_of(path)):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        _await_end(handle)
                        killed += 1
                finally:
                    os.close(handle)
        if not found:
            break
    return killed


def _await_end(handle: int) -> None:
    """Wait until a killed process has ended: before that it has no environment any more, and still lives."""
    ending = select.poll()
    ending.register(handle, select.POLLIN)
    ending.poll(_DYING)


def _home_of(process: Path) -> str:
    """Return the folder that a process has for its own; empty if it has none, or is somebody else's."""
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((os.fsdecode(line[len(_OWN) :]) for line in variables if line.startswith(_OWN)), "")
