"""A server as a child process, in the level that is demanded.

Rules:
- `inline`: a process like any other of ours, with a clean environment and a folder of its own. It isolates
  nothing: a server that means harm can do what we can. What it started ends with it: its process group, and
  whatever still has its environment.
- `jail` (and `restricted`, which is less): `pratique.sandbox.service`. `container` is refused there.
- What the machine cannot give is an error with the reason, never a weaker level.
- Secrets travel in the environment, never on a command line, where everybody on the machine reads them.
"""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mcp.client._transport import TransportStreams
from pydantic import Field, SecretStr, field_validator

from pratique.errors import ProxiedServerError, SandboxUnavailableError
from pratique.model import Level, Value
from pratique.proxy.bounds import Bounds
from pratique.proxy.intake import Fate
from pratique.proxy.lines import Child, talking
from pratique.sandbox import mark, process
from pratique.sandbox.backend import Grants, Limits
from pratique.sandbox.ladder import Ladder
from pratique.sandbox.service import LIMITS, Program

PATH = "/usr/local/bin:/usr/bin:/bin"
_KILL_ROUNDS = 5


class ChildServer(Value):
    """How a server is started.

    Attributes:
        command: program and arguments. A program without a slash is looked for in the system's folders.
        level: where it runs.
        variables: its environment, beside `PATH`, `LANG`, `HOME` and `TMPDIR`, which it may set anew.
        secrets: variables whose values are secret.
        paths: files and folders of this machine that it may read, when it is jailed.
        hosts: `host:port` pairs that it may reach, when it is jailed.
        private_hosts: those of them that may be in the own network.
        limits: of a jail. Time does not count: it stays until it is ended.
    """

    command: tuple[str, ...] = Field(min_length=1)
    level: Level = Level.JAIL
    variables: dict[str, str] = Field(default={})
    secrets: dict[str, SecretStr] = Field(default={})
    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    limits: Limits = LIMITS

    @field_validator("command")
    @classmethod
    def _whole(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0] or any("\0" in word for word in command):
            raise ValueError("a command is a program and its arguments, without NUL")
        return command

    @property
    def environment(self) -> dict[str, str]:
        """Every variable that is declared."""
        secret = {name: value.get_secret_value() for name, value in self.secrets.items()}
        return {**self.variables, **secret}


@asynccontextmanager
async def child(
    server: ChildServer, ladder: Ladder, name: str, bounds: Bounds, fate: Fate
) -> AsyncIterator[TransportStreams]:
    """Start a server and talk to it; at the end of the block nothing of it lives.

    Args:
        server: how it is started.
        ladder: gives the jail.
        name: of the server, for people.
        bounds: what it gets.
        fate: is told how it ended.

    Raises:
        ProxiedServerError: it cannot be started as demanded.
    """
    try:
        started = await _start(server, ladder)
    except SandboxUnavailableError as problem:
        raise ProxiedServerError(f"the MCP server {name} cannot be started: {problem}") from problem
    async with talking(started, name, bounds, fate) as streams:
        yield streams


async def _start(server: ChildServer, ladder: Ladder) -> Child:
    if server.level is Level.INLINE:
        return Inline(server)
    program = Program(
        argv=server.command,
        environment=server.environment,
        lent=server.paths,
        grants=Grants(hosts=server.hosts, private_hosts=server.private_hosts),
        limits=server.limits,
    )
    return await ladder.serve(program, level=server.level)


class Inline:
    """A child without isolation.

    Raises:
        SandboxUnavailableError: the program is not there, or cannot be started.
    """

    def __init__(self, server: ChildServer) -> None:
        self._home = tempfile.mkdtemp(prefix=f"{mark.mine()}-server-")
        own = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": self._home}
        # The folder's name is theirs alone: who has it in the environment was started by this server.
        environment = {**own, **server.environment, "TMPDIR": self._home}
        theirs = []
        ours = []
        try:
            for end in ("in", "out", "err"):
                read, write = os.pipe2(os.O_CLOEXEC)
                theirs.append(read if end == "in" else write)
                ours.append(write if end == "in" else read)
            command = (_program(server.command[0], environment), *server.command[1:])
            stdio = process.Stdio(*theirs)
            self._process = process.start(
                command, stdio, (), uid=None, environment=environment, cwd=self._home
            )
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
        fled = await asyncio.to_thread(_kill_those_with, f"TMPDIR={self._home}")
        shutil.rmtree(self._home, ignore_errors=True)
        return f"{how}, exit code {self._process.rc}" + (f", {fled} that had fled" if fled else "")


def _program(word: str, environment: Mapping[str, str]) -> str:
    """Return the program's path."""
    found = shutil.which(word, path=environment["PATH"])
    if found is None:
        raise SandboxUnavailableError(f"there is no program {word!r} (PATH is {environment['PATH']})")
    return found


def _kill_those_with(variable: str) -> int:
    """Kill every process that has this in its environment; return how many there were."""
    wanted, killed = f"\0{variable}\0".encode(), 0
    for _ in range(_KILL_ROUNDS):
        found = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _has(path, wanted)]
        for name in found:
            # Held by descriptor and looked at again: the number may be another's by now.
            with suppress(OSError):
                handle = os.pidfd_open(int(name))
                try:
                    if _has(Path("/proc", name), wanted):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        killed += 1
                finally:
                    os.close(handle)
        if not found:
            break
    return killed


def _has(folder: Path, wanted: bytes) -> bool:
    try:
        return wanted in b"\0" + (folder / "environ").read_bytes()
    except OSError:
        return False
