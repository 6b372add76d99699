"""One pre-warmed worker: started with nothing to do, given one work, then dead.

Rules:
- Between start and order nobody's code runs in it; after the order it is never used again.
- However a run ends (answer, limit, cancellation, our own error), the tree is killed and waited for before
  anything of its output is believed complete.
- Where it runs (a jail, a container) is its parts' affair; what is said to it is the same everywhere.
"""

import asyncio
import contextlib
import json
import socket
from functools import partial
from typing import Protocol

import anyio

from pratique.sandbox import artifacts, messages
from pratique.sandbox.backend import Emit, Grants, HostCall, Limits, Skipped, Work
from pratique.sandbox.beneath import Root
from pratique.sandbox.conversation import Conversation, finish
from pratique.sandbox.egress import Egress
from pratique.sandbox.ending import Ending
from pratique.sandbox.guest import frames
from pratique.sandbox.parts import Parts, Running
from pratique.sandbox.pipes import Drain, Feed

# The supervisor ends a run at its wall limit and reports; if it cannot, the host does, so much later.
_GRACE = 0.25
_PATIENCE = 1.0
_COLLECT = 10.0


class Artifacts(Protocol):
    """How files that a run left are taken out."""

    @property
    def sent(self) -> bool:
        """Whether the supervisor sends them behind its report; else they are taken when it is dead."""
        ...

    async def collect(self, ending: Ending, work: Work, limits: Limits, control: socket.socket) -> None:
        """Put them into the ending. Called when nothing of the guest lives any more."""
        ...

    def close(self) -> None:
        """Let go of what it holds. A second call does nothing."""
        ...


class FolderArtifacts:
    """Taken from the work folder, whose descriptor came out before anybody's code ran."""

    sent = False

    def __init__(self, root: Root) -> None:
        self._root = root

    async def collect(self, ending: Ending, work: Work, limits: Limits, _control: socket.socket) -> None:
        """Open what lies there, beneath the folder."""
        found = await asyncio.to_thread(artifacts.collect, self._root, limits, work.files)
        ending.artifacts, ending.skipped = found

    def close(self) -> None:
        """Let go of the folder: the last hold on it."""
        self._root.close()


class Worker:
    """A worker that is ready. Made by `start`."""

    def __init__(self, parts: Parts, artifacts_from: Artifacts) -> None:
        self._parts = parts
        self._artifacts = artifacts_from

    def alive(self) -> bool:
        """Whether it still waits for its work."""
        return self._parts.process.alive() and not messages.ended(self._parts.control)

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
            await self._collect(ending, work, limits, sent=True)
            with anyio.CancelScope(shield=True):
                await self._end()
                await _last_words(out, err, talk, conversation)
            await self._record(ending, out, err, conversation)
            ending.wall = loop.time() - started
            await self._collect(ending, work, limits, sent=False)
            return ending
        finally:
            talk.cancel()
            for thing in (out, err, feed, egress):
                if thing is not None:
                    thing.close()
            with anyio.CancelScope(shield=True):
                await self.aclose()
                # A call of the code's that is cancelled with it is on record before the run is over.
                await asyncio.wait([talk])

    async def aclose(self) -> None:
        """Kill it with all that it started, and let go of everything. A second call does nothing."""
        await self._end()
        self._artifacts.close()
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
            "artifacts": work.artifacts,
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

    async def _collect(self, ending: Ending, work: Work, limits: Limits, *, sent: bool) -> None:
        """Take the files out, at the one moment that this kind of worker has for it."""
        wanted = work.artifacts and ending.report is not None and ending.passed == ""
        if not wanted or self._artifacts.sent is not sent:
            return
        try:
            async with asyncio.timeout(_COLLECT):
                await self._artifacts.collect(ending, work, limits, self._parts.control)
        except (frames.FrameError, TimeoutError, ValueError) as error:
            ending.skipped = (Skipped(path=".", why=f"the files could not be taken out: {error}"),)

    async def _end(self) -> None:
        self._parts.process.kill()
        if self._parts.group is not None:
            self._parts.group.kill()
        await self._parts.process.gone()

    async def _record(self, ending: Ending, out: Drain, err: Drain, conversation: Conversation) -> None:
        ending.stdout, ending.stderr = out.data, err.data
        ending.truncated = out.truncated or err.truncated
        ending.value, ending.problem = conversation.value, conversation.problem
        ending.broken = conversation.broken
        if self._parts.group is not None:
            used = self._parts.group.used()
            ending.oom, ending.memory_peak = used.oom, used.memory_peak
        if ending.report is None or ending.report.get("rc") != 0:
            ending.oom = ending.oom or await self._parts.process.oom()
            ending.lost = await self._parts.process.lost() if ending.report is None else ""


async def _listen(conversation: Conversation, ending: Ending, running: Running) -> None:
    await conversation.listen()
    if conversation.too_large:
        _overflow(ending, "result", running)
    elif conversation.broken:
        running.kill()


def _overflow(ending: Ending, limit: str, running: Running) -> None:
    ending.passed = ending.passed or limit
    running.kill()


async def _last_words(out: Drain, err: Drain, talk: "asyncio.Task[None]", conversation: Conversation) -> None:
    """Take what is left in the pipes. In a jail no writer lives; without namespaces one may have fled."""
    await finish(talk, conversation, _PATIENCE)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await out.done()
            await err.done()
