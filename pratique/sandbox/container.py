"""The container: a hardened, single-use container for each run, from a pool that is kept warm.

Rules:
- Every option that takes something away is set (`_options`); nothing of the host is mounted, no network, no
  capability, no new privileges, a read-only root, sized tmpfs, totals by control group.
- By digest: what a name pointed at when the provider started is what runs.
- A container is used once and removed. Orphans are known by their label and removed at the start.
- The engine lost in mid-run is a failed run (`unavailable`), and never run elsewhere.

Source: Docker Engine API v1.41, `HostConfig`.
"""

import asyncio
import errno
import json
import os
import socket
from contextlib import AsyncExitStack
from typing import Any

import anyio

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import mark, messages, plan, trial
from pratique.sandbox.attached import Attached
from pratique.sandbox.backend import (
    Artifact,
    Emit,
    Grants,
    Guarantee,
    HostCall,
    Limits,
    Probe,
    Result,
    Skipped,
    Spec,
    Work,
)
from pratique.sandbox.ending import Ending, Place, judge
from pratique.sandbox.engine import GVISOR, LABEL, Engine
from pratique.sandbox.guest import frames, mux
from pratique.sandbox.image import DEFAULT_TAG
from pratique.sandbox.parts import Parts
from pratique.sandbox.paths import guest_path
from pratique.sandbox.pool import Pool
from pratique.sandbox.seccomp import program
from pratique.sandbox.worker import Worker

_NO_NETWORK = "a container has no network, and its one stream carries no connections; grant hosts to a jail"
_KERNELS = {
    True: "its own: the engine offers gVisor (runsc), which is used",
    False: "this machine's: the engine offers no gVisor (runsc), so containers share it",
}
_REMEDY_GVISOR = (
    "a kernel of their own for containers: install gVisor's runsc, name it under `runtimes` in the engine's "
    "daemon.json, reload the engine; it is used as soon as it is offered"
)
_USER = 65534
_START_TIMEOUT = 60.0
_OWN_TASKS = 8  # process 1, the supervisor, and what the engine starts beside them
_OWN_MEMORY = 48 << 20
_CPUS = 1.0
_SKIPPED_MOST = 101
_NAME = 4096  # characters of a path

_PROMISES = frozenset(Guarantee) - {Guarantee.HOSTS, Guarantee.LANGUAGE}
_UNCOUNTED = frozenset(
    {Guarantee.DISK}
)  # gVisor's tmpfs bounds bytes, and does not tell how many files it has


class ContainerSandbox:
    """One container, for one run. Made by `ContainerProvider.acquire`."""

    def __init__(self, worker: Worker, place: Place, spec: Spec, closing: AsyncExitStack) -> None:
        self._worker: Worker | None = worker
        self._place = place
        self._spec = spec
        self._closing = closing

    @property
    def level(self) -> Level:
        """The level that this place really is."""
        return self._place.level

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What it promises on this machine."""
        return promises(gvisor=self._place.backend.endswith(GVISOR))

    async def run(
        self,
        work: Work,
        *,
        limits: Limits,
        grants: Grants,
        stdin: bytes = b"",
        emit: Emit | None = None,
        call: HostCall | None = None,
    ) -> Result:
        """Run one work; see `backend.Sandbox.run`."""
        worker, self._worker = self._worker, None
        if worker is None:
            raise SandboxUnavailableError("this sandbox was used before; acquire another one")
        if grants.hosts:
            raise SandboxUnavailableError(_NO_NETWORK)
        ending = await worker.run(work, limits, grants, stdin, emit, call)
        return judge(ending, limits, self._place, wants_value=work.code is not None)

    async def aclose(self) -> None:
        """Remove the container. A second call does nothing."""
        self._worker = None
        await self._closing.aclose()


def promises(*, gvisor: bool) -> frozenset[Guarantee]:
    """Return what a container promises, by whether it has a kernel of its own."""
    return _PROMISES - _UNCOUNTED if gvisor else _PROMISES


class ContainerProvider:
    """Containers of one engine.

    Args:
        warm: how many containers wait for work.
        most: how many may be at work at a time.
        image: name or digest of the image.
        host: where the engine listens, or None for what the environment says.
    """

    def __init__(
        self, *, warm: int = 1, most: int = 2, image: str = DEFAULT_TAG, host: str | None = None
    ) -> None:
        self._warm = warm
        self._most = most
        self.image = image
        self._engine = Engine(host)
        self._digest = ""
        self._runtime: str | None = None
        self._pools: dict[Limits, Pool[Worker]] = {}
        self._leaving: set[asyncio.Task[Any]] = set()

    async def acquire(self, spec: Spec) -> ContainerSandbox:
        """Give a fresh container.

        Raises:
            SandboxUnavailableError: with the reason, when the engine cannot give one.
        """
        if spec.network:
            raise SandboxUnavailableError(_NO_NETWORK)
        pool = await self._pool(spec)
        stack = AsyncExitStack()
        worker = await stack.enter_async_context(pool.worker())
        backend = f"docker/{self._runtime}" if self._runtime else "docker"
        place = Place(level=Level.CONTAINER, backend=backend, interpreter=self._digest)
        return ContainerSandbox(worker, place, spec, stack)

    async def warm_up(self, spec: Spec) -> None:
        """Start the containers of a kind now.

        Raises:
            SandboxUnavailableError: the engine cannot give one.
        """
        await (await self._pool(spec)).fill()

    async def reap_orphans(self) -> list[str]:
        """Remove containers whose Pratique is dead."""
        return await self._engine.reap()

    async def probe(self) -> Probe:
        """Start one for real and say what this engine gives."""
        spec = Spec(level=Level.CONTAINER, minimum=Level.CONTAINER)
        found = await trial.launch(self, Level.CONTAINER, "docker", spec, _remedy)
        if not found.available:
            return found
        more = {"kernel": _KERNELS[bool(self._runtime)], "image": self.image}
        remedy = found.remedy if self._runtime else (*found.remedy, _REMEDY_GVISOR)
        return found.model_copy(update={"details": {**found.details, **more}, "remedy": remedy})

    async def aclose(self) -> None:
        """Remove every container of this provider. A second call does nothing."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()
        while self._leaving:
            await asyncio.wait(self._leaving)
        await self._engine.close()

    async def _pool(self, spec: Spec) -> Pool[Worker]:
        if not self._digest:
            self._digest = await self._engine.image_id(self.image)
            self._runtime = await self._engine.runtime()
        if spec.limits not in self._pools:
            limits = spec.limits
            self._pools[limits] = Pool(lambda: self._start(limits), warm=self._warm, most=self._most)
        return self._pools[spec.limits]

    async def _start(self, limits: Limits) -> Worker:
        """Start a container and wait until the worker in it is ready.

        Raises:
            SandboxUnavailableError: the engine refuses, or the image is not ours.
        """
        options = _options(limits, self._digest, self._runtime)
        creating = asyncio.create_task(self._created(options))
        try:
            attached = await asyncio.shield(creating)
        except asyncio.CancelledError:  # a container whose id nobody took could not be removed
            self._leaving.add(creating)
            creating.add_done_callback(self._leaving.discard)
            creating.add_done_callback(self._release_unused)
            raise
        parts = _parts(attached)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._engine.call(lambda client: client.api.start(attached.container))
                await messages.receive_json(parts.control, frames.READY)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await attached.removed()
                parts.close()
            if isinstance(error, (frames.FrameError, TimeoutError)):
                words = bytes(attached.words).decode(errors="replace").strip().splitlines()
                raise SandboxUnavailableError(
                    f"the container did not start: {words[-1] if words else error}; if its image is older "
                    "than this Pratique, `pratique sandbox image` makes a new one"
                ) from error
            raise
        parts.on_close(lambda: self._release(attached))
        return Worker(parts, _SentArtifacts())

    async def _created(self, options: dict[str, Any]) -> Attached:
        stream, container = await self._engine.call(lambda client: _create(client, options))
        return Attached(stream, container, self._engine)

    def _release_unused(self, creating: "asyncio.Task[Attached]") -> None:
        if not creating.cancelled() and creating.exception() is None:
            self._release(creating.result())

    def _release(self, attached: Attached) -> None:
        """Let the engine remove a container that is dead, while its caller goes on."""
        task = asyncio.create_task(attached.removed())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class _SentArtifacts:
    """Files that the supervisor sends behind its report; the host checks each again."""

    sent = True

    async def collect(self, ending: Ending, _work: Work, limits: Limits, control: socket.socket) -> None:
        """Read the files that the report names."""
        report = ending.report or {}
        names = report.get("files", [])
        room = limits.artifact_bytes
        found = []
        for name in names[: limits.artifacts] if isinstance(names, list) else []:
            kind, data = await messages.receive(control, room)
            if kind != frames.FILE:
                raise frames.FrameError("a file was announced and did not come")
            room -= len(data)
            found.append(Artifact(path=guest_path(str(name)), data=data))
        ending.artifacts, ending.skipped = tuple(found), _skipped(report.get("skipped"))

    def close(self) -> None:
        """Nothing is held here."""


def _skipped(told: object) -> tuple[Skipped, ...]:
    """Return what the inside says that it did not send, as far as that can be believed: as text."""
    pairs = told if isinstance(told, list) else []
    return tuple(
        Skipped(path=str(pair[0])[:_NAME], why=str(pair[1])[:_NAME])
        for pair in pairs[:_SKIPPED_MOST]
        if isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004  # path and reason
    )


def _parts(attached: Attached) -> Parts:
    """The worker's ends, as a jail's worker has them."""
    parts = Parts()
    parts.process = attached
    near = attached.open()
    parts.control, parts.channel = near[mux.CONTROL], near[mux.CHANNEL]
    parts.keep(near[mux.CONTROL])
    parts.keep(near[mux.CHANNEL])
    for name, number in (("stdin", mux.STDIN), ("stdout", mux.STDOUT), ("stderr", mux.STDERR)):
        parts.fds[name] = near[number].detach()
    return parts


def _create(client: Any, options: dict[str, Any]) -> tuple[socket.socket, str]:
    """Create a container and attach to it before it starts, so that no byte is missed."""
    created = client.api.create_container(**_config(client, options))
    container = str(created["Id"])
    wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    reader = client.api.attach_socket(container, wanted)
    # The library would hand the connection to its next request: keep a copy, and close its own.
    stream = socket.socket(fileno=os.dup(reader.fileno()))
    reader._response.close()  # noqa: SLF001  # the library keeps the answer here, and offers no other way to it
    return stream, container


def _config(client: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": options["image"],
        "command": options["command"],
        "user": f"{_USER}:{_USER}",
        "environment": plan.ENVIRONMENT | {"HOME": plan.WORK},
        "hostname": "jail",
        "labels": {LABEL: mark.mine()},
        "stdin_open": True,
        "network_disabled": True,
        "host_config": client.api.create_host_config(**options["host"]),
    }


def _options(limits: Limits, image: str, runtime: str | None) -> dict[str, Any]:
    """Everything that the engine is told about a container."""
    setting = {
        "dial": -1,
        "work": plan.WORK,
        "read_only": ["/"],
        "read_write": [plan.WORK, "/tmp", "/dev/shm"],  # noqa: S108  # the container's own
        "devices": list(plan.DEVICES),
        "first": False,
        "alone": True,
        "own_folders": True,
        "hands_out": True,
        "network": False,
        "restricted": False,
    }
    mount = f"rw,nosuid,nodev,uid={_USER},gid={_USER},mode=0700"
    memory = limits.memory + limits.disk + limits.disk // 4 + _OWN_MEMORY
    host = {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "privileged": False,
        "ipc_mode": "private",
        "pids_limit": limits.pids + _OWN_TASKS,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(_CPUS * 1e9),
        "shm_size": 1 << 20,
        "tmpfs": {
            plan.WORK: f"{mount},exec,size={limits.disk}",
            "/tmp": f"{mount},size={max(limits.disk // 4, 4096)}",  # noqa: S108  # the container's own
        },
        # The engine would keep all that is printed on its disk, without a limit.
        "log_config": {"Type": "none", "Config": {}},
        "restart_policy": {"Name": "no"},
        "runtime": runtime,
    }
    command = [json.dumps(setting), program(network=False).hex()]
    return {"image": image, "command": command, "host": host}


def _remedy(reason: str) -> tuple[str, ...]:
    """The steps that allow a container, by what refused it."""
    if "not installed" in reason:
        return ("`pip install pratique[sandbox]`",)
    if reason.startswith("the image"):
        return ("build the image: `pratique sandbox image`",)
    if os.strerror(errno.EACCES) in reason:
        return (
            "let this user speak to it (the group `docker` is as good as root), or name another: DOCKER_HOST",
        )
    return (
        "start an engine: `apt-get install docker.io && systemctl start docker`",
        "or say where one listens: DOCKER_HOST",
    )
