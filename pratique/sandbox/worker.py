"""One pre-warmed worker: started with nothing to do, given one work, then dead.

Rules:
- Between start and order nobody's code runs in it; after the order it is never used again.
- However a run ends (answer, limit, cancellation, our own error), the tree is killed and waited for before
  anything of its output is believed complete.
- Our copies of its ends of pipes are closed at the start, so that its death is always heard.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from functools import partial

import anyio

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import artifacts, cgroup, mark, messages, plan, process
from pratique.sandbox.backend import Emit, Grants, HostCall, Limits, Work
from pratique.sandbox.beneath import Root
from pratique.sandbox.conversation import Conversation, finish
from pratique.sandbox.egress import Egress
from pratique.sandbox.ending import Ending
from pratique.sandbox.guest import frames
from pratique.sandbox.pipes import Drain, Feed
from pratique.sandbox.seccomp import program

START_TIMEOUT = 20.0
# The supervisor ends a run at its wall limit and reports; if it cannot, the host does, so much later.
_GRACE = 0.25
_PATIENCE = 1.0


@dataclass(frozen=True)
class Way:
    """How workers are started: through this bubblewrap, or (None) with Landlock and seccomp alone."""

    bubblewrap: str | None
    grant: cgroup.Grant | None


class Worker:
    """A worker that is ready. Made by `start`."""

    def __init__(self, parts: "_Parts", folder: Root, about: dict[str, object]) -> None:
        self._parts = parts
        self._folder = folder
        self.about = about

    def alive(self) -> bool:
        """Whether it still waits for its work."""
        return self._parts.process.alive()

    @property
    def pid(self) -> int:
        """The number of its outermost process."""
        return self._parts.process.pid

    async def run(
        self,
        work: Work,
        limits: Limits,
        grants: Grants,
        stdin: bytes,
        emit: Emit | None,
        call: HostCall | None,
    ) -> Ending:
        """Give it the work and return the facts of the run. The worker is dead afterwards."""
        parts, ending = self._parts, Ending()
        loop = asyncio.get_running_loop()
        started = loop.time()
        if parts.group is not None:
            parts.group.limit(limits)
        full = partial(_overflow, ending, "output", parts.process)
        out = Drain(parts.take("stdout"), limits.output, emit and partial(emit, "stdout"), full)
        err = Drain(parts.take("stderr"), limits.output, emit and partial(emit, "stderr"), full)
        feed = Feed(parts.take("stdin"), stdin)
        conversation = Conversation(parts.channel, limits, grants, call)
        talk = asyncio.create_task(_listen(conversation, ending, parts.process))
        egress = Egress(parts.dial, grants) if parts.dial is not None else None
        try:
            await self._order(work, limits, grants, ending)
            with anyio.CancelScope(shield=True):
                await self._end()
                await _last_words(out, err, talk, conversation)
            self._record(ending, out, err, conversation)
            ending.wall = loop.time() - started
            if work.artifacts and ending.passed == "":
                found = await asyncio.to_thread(artifacts.collect, self._folder, limits, work.files)
                ending.artifacts, ending.skipped = found
            return ending
        finally:
            talk.cancel()
            for thing in (out, err, feed, egress):
                if thing is not None:
                    thing.close()
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """Kill it with all that it started, and let go of everything. A second call does nothing."""
        await self._end()
        self._folder.close()
        self._parts.close()

    async def _order(self, work: Work, limits: Limits, grants: Grants, ending: Ending) -> None:
        """Send the job and wait for the supervisor's report, as long as the limits allow."""
        control = self._parts.control
        job = {
            "code": work.code or "",
            "argv": list(work.argv),
            "inputs": work.inputs.decode(),
            "env": work.env,
            "limits": limits.model_dump(),
            "files": [{"path": file.path, "executable": file.executable} for file in work.files],
            "calls": sorted(grants.calls),
        }
        try:
            async with asyncio.timeout(limits.wall + _GRACE):
                await messages.send(control, frames.JOB, json.dumps(job).encode())
                for file in work.files:
                    await messages.send(control, frames.FILE, file.data)
                ending.report = await messages.receive_json(control, frames.EXIT)
        except TimeoutError:
            ending.passed = ending.passed or "wall"
        except frames.FrameError:
            ending.report = None  # nobody is there to report

    async def _end(self) -> None:
        self._parts.process.kill()
        if self._parts.group is not None:
            self._parts.group.kill()
        await self._parts.process.gone()

    def _record(self, ending: Ending, out: Drain, err: Drain, conversation: Conversation) -> None:
        ending.stdout, ending.stderr = out.data, err.data
        ending.truncated = out.truncated or err.truncated
        ending.value, ending.problem = conversation.value, conversation.problem
        ending.broken = conversation.broken
        if self._parts.group is not None:
            used = self._parts.group.used()
            ending.oom, ending.memory_peak = used.oom, used.memory_peak


class _Parts:
    """What a worker consists of on our side. Everything in it is closed exactly once."""

    def __init__(self) -> None:
        self.process: process.Process
        self.control: socket.socket
        self.channel: socket.socket
        self.dial: socket.socket | None = None
        self.group: cgroup.Group | None = None
        self.fds: dict[str, int] = {}
        self.scratch: str | None = None
        self.namespaces: list[int] = []
        self.leaving: asyncio.Future[None] | None = None
        self._closing = contextlib.ExitStack()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A connected pair: ours, not blocking, and the worker's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)  # noqa: FBT003  # the signature is the library's
        self._closing.callback(ours.close)
        return ours, theirs

    def take(self, name: str) -> int:
        """Hand a descriptor over to who will close it."""
        return self.fds.pop(name)

    def close(self) -> None:
        """Let go of everything that was not handed over."""
        while self.fds:
            os.close(self.fds.popitem()[1])
        self._closing.close()
        namespaces, self.namespaces = self.namespaces, []
        if namespaces:
            # Nobody waits for it: it is only the kernel taking the namespaces apart.
            self.leaving = asyncio.get_running_loop().run_in_executor(None, _close_all, namespaces)
        if self.group is not None:
            self.group.remove()
            self.group = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


async def start(kind: plan.Plan, way: Way) -> Worker:
    """Start a worker and wait until it is ready.

    Raises:
        SandboxUnavailableError: the machine refuses; the message has its words.
    """
    parts = _Parts()
    try:
        first = _launch(parts, kind, way)
        async with asyncio.timeout(START_TIMEOUT):
            about, fds = await messages.receive_ready(parts.control)
        parts.namespaces = fds[1:]
        root = Root(fds[0])
        try:
            if first >= 0:
                parts.process.adopt(_first_process(first))
            if way.grant is not None:
                parts.group = way.grant.make(parts.process.tree())
        except BaseException:
            root.close()
            raise
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            words = await _give_up(parts)
        if isinstance(error, (frames.FrameError, TimeoutError, OSError, ValueError)):
            raise SandboxUnavailableError(f"the worker did not start: {words or error}") from error
        raise
    return Worker(parts, root, about)


def _launch(parts: _Parts, kind: plan.Plan, way: Way) -> int:
    """Make the pipes, start the process, close its ends; return where bubblewrap tells of process 1."""
    theirs: list[int] = []
    with contextlib.ExitStack() as stack:

        def inherit(fd: int) -> int:
            theirs.append(fd)
            stack.callback(os.close, fd)
            return fd

        parts.control, control = parts.pair()
        parts.channel, channel = parts.pair()
        fds = {
            "control": inherit(control.detach()),
            "channel": inherit(channel.detach()),
            "dial": -1,
            "info": -1,
        }
        if kind.network:
            parts.dial, dial = parts.pair()
            fds["dial"] = inherit(dial.detach())
        if way.bubblewrap is not None:
            parts.fds["info"], fds["info"] = _pipe(inherit)
        fds["seccomp"] = inherit(_file_with(program(network=kind.network)))
        parts.fds["stdout"], out = _pipe(inherit)
        parts.fds["stderr"], err = _pipe(inherit)
        standard, parts.fds["stdin"] = os.pipe2(os.O_CLOEXEC)
        inherit(standard)
        keep = [fd for fd in fds.values() if fd >= 0]
        stdio = process.Stdio(standard, out, err)
        parts.process = _start(parts, kind, way, plan.Descriptors(**fds), stdio, keep)
    return parts.fds.get("info", -1)


def _start(
    parts: _Parts, kind: plan.Plan, way: Way, fds: plan.Descriptors, stdio: process.Stdio, keep: list[int]
) -> process.Process:
    label = f"{mark.mine()}-worker"
    if way.bubblewrap is not None:
        command = plan.bubblewrap(kind, fds, way.bubblewrap, label)
        return process.start(command, stdio, keep, uid=kind.uid, environment={})
    parts.scratch = tempfile.mkdtemp(prefix=f"{mark.mine()}-work-")
    if kind.uid is not None:
        os.chown(parts.scratch, kind.uid, kind.uid)
    command = plan.bare(kind, fds, parts.scratch, label)
    environment = plan.bare_environment(parts.scratch)
    return process.start(command, stdio, keep, uid=kind.uid, environment=environment)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _pipe(inherit: "partial[int] | object") -> tuple[int, int]:
    """A pipe that we read; the writing end is the worker's."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    inherit(theirs)  # type: ignore[operator]  # a local function
    return ours, theirs


def _file_with(data: bytes) -> int:
    """An open file with these bytes, read from the start."""
    fd = os.memfd_create("pratique-seccomp", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _first_process(info: int) -> int:
    """Read from bubblewrap which process is number 1 inside."""
    told = json.loads(os.read(info, 4096))
    return int(told["child-pid"])


async def _give_up(parts: _Parts) -> str:
    """End what was started and return what it said on its standard error."""
    words = ""
    if hasattr(parts, "process"):
        parts.process.kill()
        await parts.process.gone()
        if "stderr" in parts.fds:
            os.set_blocking(parts.fds["stderr"], False)
            with contextlib.suppress(OSError):
                words = os.read(parts.fds["stderr"], 4096).decode(errors="replace").strip()
    parts.close()
    return words.splitlines()[-1] if words else ""


async def _listen(conversation: Conversation, ending: Ending, running: process.Process) -> None:
    await conversation.listen()
    if conversation.too_large:
        _overflow(ending, "result", running)
    elif conversation.broken:
        running.kill()


def _overflow(ending: Ending, limit: str, running: process.Process) -> None:
    ending.passed = ending.passed or limit
    running.kill()


async def _last_words(out: Drain, err: Drain, talk: "asyncio.Task[None]", conversation: Conversation) -> None:
    """Take what is left in the pipes. In a jail no writer lives; without namespaces one may have fled."""
    await finish(talk, conversation, _PATIENCE)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await out.done()
            await err.done()
