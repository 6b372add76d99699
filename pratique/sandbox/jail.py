"""The jail: a single-use worker in fresh namespaces, with Landlock, seccomp, limits, and no way out.

Rules:
- The level `jail` means bubblewrap: namespaces, Landlock and seccomp together. If one is missing there is no
  jail, and the error says which and how to allow it.
- Where user namespaces are forbidden, Landlock and seccomp alone are left. That counts as `inline` against a
  policy's minimum, reports itself as `landlock`, and is given only to those whose minimum allows it.
- Workers are kept apart by kind: with and without network, plain and restricted, and by the sizes of their
  folders. What an earlier run left cannot be met: its worker is dead.
"""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import cgroup, interpreter, orphans, plan, service, staging, trial
from pratique.sandbox.backend import Emit, Grants, Guarantee, HostCall, Limits, Probe, Result, Spec, Work
from pratique.sandbox.ending import Place, judge
from pratique.sandbox.guest import landlock
from pratique.sandbox.launch import Way, start
from pratique.sandbox.pool import Pool
from pratique.sandbox.worker import Worker

_LANDLOCK_LEAST = 3  # files and truncation; TCP (4) and signals (6) are namespaces' work here
_LANDLOCK_ALONE_TCP, _LANDLOCK_ALONE_SIGNALS = 4, 6

_ALWAYS = frozenset(
    {
        *(Guarantee.NO_NET, Guarantee.FEW_SYSCALLS, Guarantee.WALL, Guarantee.CPU),
        *(Guarantee.MEM_PROCESS, Guarantee.OUTPUT, Guarantee.NO_HOST_FILES),
    }
)
_NAMESPACED = _ALWAYS | {
    *(Guarantee.HOSTS, Guarantee.NO_HOST_PROCESSES, Guarantee.KILL_TREE, Guarantee.FRESH),
    *(Guarantee.PIDS, Guarantee.DISK),
}


_USERNS_REMEDY = (
    "allow unprivileged user namespaces: `sysctl user.max_user_namespaces=15000`",
    "on Debian kernels before 5.10: `sysctl kernel.unprivileged_userns_clone=1`",
    "on Ubuntu 23.10 and later: an AppArmor profile for /usr/bin/bwrap that has `userns,`",
    "in a container: run it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`",
)


class JailSandbox:
    """One worker, for one run. Made by `JailProvider.acquire`."""

    def __init__(self, worker: Worker, place: Place, promises: frozenset[Guarantee], spec: Spec) -> None:
        self._worker: Worker | None = worker
        self._place = place
        self._promises = promises
        self._spec = spec
        self.closing = AsyncExitStack()

    @property
    def level(self) -> Level:
        """The level that this place really is."""
        return self._place.level

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What it promises on this machine."""
        return self._promises

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
        if grants.hosts and not self._spec.network:
            raise SandboxUnavailableError("hosts are granted, but the sandbox was acquired without network")
        bounded = _no_more(limits, self._spec.limits)
        ending = await worker.run(work, bounded, grants, stdin, emit, call)
        return judge(ending, bounded, self._place, wants_value=work.code is not None)

    async def aclose(self) -> None:
        """Kill what runs and take everything away. A second call does nothing."""
        self._worker = None
        await self.closing.aclose()


class JailProvider:
    """Jails of this machine.

    Args:
        warm: how many workers of the plain kind wait for work.
        most: how many may be at work at a time.
        restricted: whether the workers run RestrictedPython (`restricted.RestrictedProvider` sets it).
        python: the path of an interpreter, instead of the one that is found.
        bubblewrap: the path of bubblewrap, instead of the one on PATH.
        uid: the user to become when we are root.
    """

    sandbox_class: type[JailSandbox] = JailSandbox

    def __init__(
        self,
        *,
        warm: int = 2,
        most: int = 4,
        restricted: bool = False,
        python: str | None = None,
        bubblewrap: str | None = None,
        uid: int = plan.HOST_UID,
    ) -> None:
        self._warm = warm
        self._most = most
        self._restricted = restricted
        self._python = python
        self._bubblewrap = bubblewrap
        self._uid = uid if os.geteuid() == 0 else None
        self._pools: dict[tuple[bool, bool, Limits], Pool[Worker]] = {}
        self._staged: str | None = None
        self._refused: SandboxUnavailableError | None = None

    @property
    def own_level(self) -> Level:
        """The level that this provider gives when the machine can."""
        return Level.RESTRICTED if self._restricted else Level.JAIL

    async def acquire(self, spec: Spec) -> JailSandbox:
        """Give a fresh jail, or what the minimum allows instead.

        Raises:
            SandboxUnavailableError: with the reason, when this machine cannot give what is asked.
        """
        if spec.level.rank > self.own_level.rank or spec.minimum.rank > self.own_level.rank:
            raise SandboxUnavailableError(f"level {spec.level} is asked for; this is {self.own_level}")
        try:
            return await self._acquire(spec, namespaces=True)
        except SandboxUnavailableError as refused:
            if spec.minimum is not Level.INLINE:
                raise
            try:
                return await self.acquire_without_namespaces(spec)
            except SandboxUnavailableError as weaker:
                raise SandboxUnavailableError(f"{refused}; and without namespaces: {weaker}") from weaker

    async def acquire_without_namespaces(self, spec: Spec) -> JailSandbox:
        """Give what is left where namespaces are forbidden: Landlock and seccomp alone.

        Raises:
            SandboxUnavailableError: the policy's minimum is above it, or the kernel lacks Landlock.
        """
        if spec.minimum is not Level.INLINE or spec.network:
            raise SandboxUnavailableError(f"Landlock alone is less than the minimum {spec.minimum}")
        return await self._acquire(spec, namespaces=False)

    async def warm_up(self, spec: Spec) -> None:
        """Start the workers of a kind now, so that the first call does not wait for one.

        Raises:
            SandboxUnavailableError: the machine refuses.
        """
        await self._pool(spec, namespaces=True).fill()

    async def reap_orphans(self) -> list[str]:
        """Kill workers and remove folders and groups whose Pratique is dead."""
        grant = cgroup.granted()
        return [
            *orphans.reap_processes(),
            *await asyncio.to_thread(staging.reap),
            *(grant.reap() if grant is not None else ()),
        ]

    async def probe(self) -> Probe:
        """Launch one for real and say what this machine gives."""
        spec = Spec(level=self.own_level, minimum=self.own_level)
        return await trial.launch(self, self.own_level, "bubblewrap", spec, _remedy)

    async def aclose(self) -> None:
        """Kill every worker and remove what was made. A second call does nothing."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()
        if self._staged is not None:
            staging.unstage(self._staged)
            self._staged = None

    async def _acquire(self, spec: Spec, *, namespaces: bool) -> JailSandbox:
        pool = self._pool(spec, namespaces=namespaces)
        python = interpreter.find(self._python)
        place = Place(
            level=self.own_level if namespaces else Level.INLINE,
            backend="bubblewrap" if namespaces else "landlock",
            interpreter=python.digest,
        )
        stack = AsyncExitStack()
        worker = await stack.enter_async_context(pool.worker())
        sandbox = self.sandbox_class(worker, place, self.promises(namespaces=namespaces), spec)
        sandbox.closing = stack
        return sandbox

    async def serve(self, program: service.Program) -> service.Service:
        """Start a program that stays; see `service`.

        Raises:
            SandboxUnavailableError: with the reason, when this machine cannot give what is asked.
        """
        network = bool(program.grants.hosts)
        fixed = Limits(disk=program.limits.disk)
        spec = Spec(level=self.own_level, minimum=self.own_level, network=network, limits=fixed)
        way, kind = self._way(namespaces=True), self._plan(spec)
        return await service.start(kind, way, program)

    def promises(self, *, namespaces: bool) -> frozenset[Guarantee]:
        """What a worker promises on this machine."""
        promised = set(_NAMESPACED if namespaces else _ALWAYS)
        if cgroup.granted() is not None:
            promised |= {Guarantee.MEM_TOTAL, Guarantee.PIDS}
        if self._restricted:
            promised.add(Guarantee.LANGUAGE)
        if not namespaces and landlock.abi() >= _LANDLOCK_ALONE_SIGNALS:
            promised.add(Guarantee.NO_HOST_PROCESSES)
        return frozenset(promised)

    def _pool(self, spec: Spec, *, namespaces: bool) -> Pool[Worker]:
        key = (namespaces, spec.network, spec.limits)
        if key not in self._pools:
            way, kind = self._way(namespaces=namespaces), self._plan(spec)
            warm = 0 if spec.network else self._warm
            self._pools[key] = Pool(lambda: start(kind, way), warm=warm, most=self._most)
        return self._pools[key]

    def _way(self, *, namespaces: bool) -> Way:
        least = _LANDLOCK_LEAST if namespaces else _LANDLOCK_ALONE_TCP
        way = Way(self._find_bubblewrap() if namespaces else None, cgroup.granted())
        if landlock.abi() < least:
            raise SandboxUnavailableError(
                f"Landlock ABI {least} is needed, the kernel has {landlock.abi() or 'none'}: "
                "a newer kernel, or `landlock` in its `lsm=` parameter"
            )
        return way

    def _plan(self, spec: Spec) -> plan.Plan:
        python = interpreter.find(self._python)
        if self._staged is None:
            self._staged = staging.stage(python, restricted=self._restricted)
        return plan.Plan(
            interpreter=python,
            staged=self._staged,
            uid=self._uid,
            network=spec.network,
            restricted=self._restricted,
            limits=spec.limits,
        )

    def _find_bubblewrap(self) -> str:
        found = self._bubblewrap or shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
        if found is None:
            raise SandboxUnavailableError("bubblewrap is not installed: `apt-get install bubblewrap`")
        return found


def _no_more(limits: Limits, fixed: Limits) -> Limits:
    """Limits of a run: sizes that were fixed at the start of the worker cannot grow."""
    return limits.model_copy(update={"disk": min(limits.disk, fixed.disk)})


def _remedy(reason: str) -> tuple[str, ...]:
    """The steps that allow a jail, by what refused it."""
    if "not installed" in reason or "seccomp" in reason:
        return (reason.partition(": ")[2] or reason,)
    if "Landlock" in reason:
        return ("boot with `landlock` in the kernel's `lsm=` parameter (Linux 6.2 or later)",)
    if "Python" in reason:
        return ("install the system's Python: `apt-get install python3`",)
    limit = Path("/proc/sys/user/max_user_namespaces")
    if limit.exists() and limit.read_text().strip() == "0":
        return _USERNS_REMEDY[:1]
    return _USERNS_REMEDY
