"""Starts a jail's worker: makes its pipes, starts its process, waits until it is ready.

Rules:
- Our copies of the worker's ends of pipes are closed at once, so that its death is always heard.
- A worker that does not start is an error with its own last words, and leaves nothing behind.
"""

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import cgroup, mark, messages, plan, process
from pratique.sandbox.beneath import Root
from pratique.sandbox.guest import frames
from pratique.sandbox.parts import Parts
from pratique.sandbox.seccomp import program
from pratique.sandbox.worker import FolderArtifacts, Worker

START_TIMEOUT = 20.0


@dataclass(frozen=True)
class Way:
    """How workers are started: through this bubblewrap, or (None) with Landlock and seccomp alone."""

    bubblewrap: str | None
    grant: cgroup.Grant | None


async def start(kind: plan.Plan, way: Way) -> Worker:
    """Start a worker and wait until it is ready.

    Raises:
        SandboxUnavailableError: the machine refuses; the message has its words.
    """
    parts, root = await begin(kind, way)
    return Worker(parts, FolderArtifacts(root))


async def begin(kind: plan.Plan, way: Way) -> tuple[Parts, Root]:
    """Start the parts of a worker and wait until they are ready; the work folder belongs to the caller, too.

    Raises:
        SandboxUnavailableError: the machine refuses; the message has its words.
    """
    parts = Parts()
    try:
        started, info = _launch(parts, kind, way)
        async with asyncio.timeout(START_TIMEOUT):
            _, fds = await messages.receive_ready(parts.control)
        parts.namespaces = fds[1:]
        root = Root(fds[0])
        try:
            if info >= 0:
                started.adopt(_first_process(info))
            if way.grant is not None:
                parts.group = way.grant.make(started.tree())
        except BaseException:
            root.close()
            raise
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            words = await _give_up(parts)
        if isinstance(error, (frames.FrameError, TimeoutError, OSError, ValueError)):
            raise SandboxUnavailableError(f"the worker did not start: {words or error}") from error
        raise
    return parts, root


def _launch(parts: Parts, kind: plan.Plan, way: Way) -> tuple[process.Process, int]:
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
        started = _start(parts, kind, way, plan.Descriptors(**fds), stdio, keep)
        parts.process = started
    return started, parts.fds.get("info", -1)


def _start(
    parts: Parts, kind: plan.Plan, way: Way, fds: plan.Descriptors, stdio: process.Stdio, keep: list[int]
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


def _pipe(inherit: Callable[[int], int]) -> tuple[int, int]:
    """A pipe that we read; the writing end is the worker's."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    inherit(theirs)
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


async def _give_up(parts: Parts) -> str:
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
