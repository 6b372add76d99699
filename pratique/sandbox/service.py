"""A program that stays: started in a jail, talked to on its standard streams, ended with all that it started.

Rules:
- The jail is the one that code runs in (`plan`, `guest.supervisor`): the same namespaces, Landlock, seccomp
  and watch. The differences: its time is not limited, its streams are somebody's to talk on, and files and
  folders of the machine can be lent to it, to be read.
- Its environment goes in through the control socket: no command line, and no other process, has it.
- Memory is bounded as the resident memory of all its processes together: programs that bring a runtime
  (Node.js) reserve far more addresses than they use memory.
- Hosts that are granted are resolved once for its life (`egress`).
- When our process ends, however it ends, the control socket closes, and the jail ends with it.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import anyio
from pydantic import Field, field_validator

from pratique.errors import SandboxUnavailableError
from pratique.model import Value
from pratique.sandbox import messages, plan
from pratique.sandbox.backend import Grants, Limits
from pratique.sandbox.egress import Egress
from pratique.sandbox.ending import text_of
from pratique.sandbox.guest import frames
from pratique.sandbox.interpreter import open_to_all
from pratique.sandbox.launch import Way, begin
from pratique.sandbox.parts import Parts

LIMITS = Limits(memory=1 << 30, pids=128, open_files=1024, disk=64 << 20, files=8192)
"""What a program that stays gets if nobody says otherwise."""

_FOR_EVER = 10**9
_TICK = 0.25
_ORDER = 10.0
_NOT_STARTED = 127
_ITS_OWN = ("/proc", "/sys", "/dev", plan.GUEST)


class Program(Value):
    """What is started.

    Attributes:
        argv: the program, by its full path or by its name in the system's folders, and its arguments.
        environment: variables, beside the few that every jail has.
        lent: absolute paths of files and folders that it may read.
        grants: hosts that it may reach. Calls are not for it.
        limits: of its processes and folders; `wall`, `cpu`, `output`, `result` and `artifacts` do not count.
    """

    argv: tuple[str, ...] = Field(min_length=1)
    environment: dict[str, str] = Field(default={}, repr=False)
    lent: tuple[str, ...] = ()
    grants: Grants = Grants()
    limits: Limits = LIMITS

    @field_validator("lent")
    @classmethod
    def _lendable(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            plain = os.path.normpath(path)
            if plain != path or not path.startswith("/") or path == "/" or "\0" in path:
                raise ValueError(f"{path!r} is not the plain absolute path of a file or folder")
            if any(_beneath(path, own) for own in _ITS_OWN):
                raise ValueError(f"{path!r} cannot be lent: the jail has its own")
        return paths


class Service:
    """A program that runs. Made by `start`.

    Attributes:
        stdin, stdout, stderr: our ends of its standard streams; they are the caller's to close.
    """

    def __init__(self, parts: Parts, egress: Egress | None, limits: Limits) -> None:
        self._parts, self._egress, self._limits = parts, egress, limits
        self._how = ""
        self.stdin, self.stdout, self.stderr = (parts.take(name) for name in ("stdin", "stdout", "stderr"))

    async def end(self, patience: float) -> str:
        """End it with everything that it started, and say how it ended. A second call changes nothing.

        Args:
            patience: seconds that it gets to end by itself; close its standard input before.
        """
        if not self._how:
            self._how = "killed"
            try:
                self._how = await self._report(patience)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._kill()
        return self._how

    async def _report(self, patience: float) -> str:
        try:
            async with asyncio.timeout(patience):
                report = await messages.receive_json(self._parts.control, frames.EXIT)
        except TimeoutError:
            return f"killed after {patience:g} s"
        except frames.FrameError:
            return "its jail broke down"
        if limit := report.get("limit"):
            return text_of(str(limit), self._limits)
        return "the program could not be started" if report.get("rc") == _NOT_STARTED else "by itself"

    async def _kill(self) -> None:
        if self._egress is not None:
            self._egress.close()
        self._parts.process.kill()
        if self._parts.group is not None:
            self._parts.group.kill()
        await self._parts.process.gone()
        self._parts.close()


async def start(kind: plan.Plan, way: Way, program: Program) -> Service:
    """Start a program in a jail of its own.

    Args:
        kind: the jail.
        way: how jails are started here.
        program: what runs in it.

    Raises:
        SandboxUnavailableError: the machine refuses, or the program cannot be seen from inside.
    """
    _demand_lendable(program, kind)
    argv = (_seen_inside(program, kind), *program.argv[1:])
    parts, root = await begin(kind.model_copy(update={"lent": program.lent}), way)
    root.close()  # nothing that it leaves is handed out
    try:
        if parts.group is not None:
            parts.group.limit(program.limits)
        egress = None if parts.dial is None else Egress(parts.dial, program.grants)
        service = Service(parts, egress, program.limits)
    except BaseException:
        parts.process.kill()
        with anyio.CancelScope(shield=True):
            await parts.process.gone()
        parts.close()
        raise
    try:
        async with asyncio.timeout(_ORDER):
            await messages.send(parts.control, frames.JOB, _job(argv, program))
    except BaseException as problem:
        for fd in (service.stdin, service.stdout, service.stderr):
            os.close(fd)
        await service.end(0)
        if isinstance(problem, (TimeoutError, frames.FrameError)):
            raise SandboxUnavailableError("the jail broke down before the program was started") from problem
        raise
    return service


def _job(argv: tuple[str, ...], program: Program) -> bytes:
    variables = dict(program.environment)
    if program.grants.hosts:
        variables.setdefault("NODE_USE_ENV_PROXY", "1")  # Node.js heeds a proxy only when it is told to
    limits = {
        **program.limits.model_dump(),
        "wall": _FOR_EVER,
        "cpu": _FOR_EVER,
        "address_space": False,
        "tick": _TICK,
    }
    job = {
        "code": "",
        "argv": argv,
        "inputs": "null",
        "env": variables,
        "limits": limits,
        "files": [],
        "calls": [],
        "artifacts": False,
    }
    return json.dumps(job).encode()


def _demand_lendable(program: Program, kind: plan.Plan) -> None:
    for path in program.lent:
        if not Path(path).exists():
            raise SandboxUnavailableError(f"there is no {path} to lend")
        if kind.uid is not None and not open_to_all(path):
            raise SandboxUnavailableError(
                f"{path} cannot be lent: started by root, a jail runs as nobody, and others may not read it, "
                "or not enter a folder on the way"
            )


def _seen_inside(program: Program, kind: plan.Plan) -> str:
    """Return the path that the program has inside.

    Raises:
        SandboxUnavailableError: it has none.
    """
    word = program.argv[0]
    found = word if "/" in word else shutil.which(word, path=plan.ENVIRONMENT["PATH"])
    if found is None or not found.startswith("/") or not Path(found).is_file():
        raise SandboxUnavailableError(
            f"there is no program {word!r} in {plan.ENVIRONMENT['PATH']} or at a full path"
        )
    there = ("/usr", *plan.SYSTEM_FOLDERS, kind.interpreter.prefix, *program.lent)
    for path in (found, str(Path(found).resolve())):
        if not any(_beneath(path, folder) for folder in there):
            raise SandboxUnavailableError(
                f"{path} cannot be seen from inside of the jail: declare its folder "
                "(of an MCP server: --path, or `paths` in its settings)"
            )
    return found


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
