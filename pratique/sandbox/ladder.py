"""The ladder as one thing: ask for a level and a minimum, get that level or an error, never less.

Rules:
- A level that nobody asked for is not started, and its libraries are not loaded.
- Before the first run of a level, what a dead run left behind is removed; at the end, all that was started.
- `inline` is not given here: the runtime's own tools need no sandbox, and nothing foreign may run there.
"""

import asyncio
from collections.abc import Iterable

import structlog

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox.backend import Emit, Grants, HostCall, Limits, Provider, Result, Sandbox, Spec, Work
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.image import DEFAULT_TAG
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider
from pratique.sandbox.service import Program, Service

log = structlog.get_logger("pratique")


class Ladder:
    """Every level of this machine, for one event loop.

    Args:
        warm: how many workers of a kind wait for work.
        most: how many of a kind may be at work at a time.
        image: name or digest of the containers' image.
        engine: where a container engine listens, or None for what the environment says.
    """

    def __init__(
        self, *, warm: int = 2, most: int = 4, image: str = DEFAULT_TAG, engine: str | None = None
    ) -> None:
        self._warm = warm
        self._most = most
        self._image = image
        self._host = engine
        self._providers: dict[Level, Provider] = {}
        self._tidied: set[Level] = set()
        self._tidying = asyncio.Lock()

    async def open(self, levels: Iterable[Level] = ()) -> list[str]:
        """Remove what dead runs left, and try the levels that will be needed; return a line for each removal.

        Raises:
            SandboxUnavailableError: a level cannot be had, with the reason.
        """
        told = []
        for level in levels:
            told += await self._tidy(level)
            sandbox = await self.acquire(Spec(level=level, minimum=level))
            await sandbox.aclose()
        return told

    async def acquire(self, spec: Spec) -> Sandbox:
        """Give a fresh sandbox of the level.

        Raises:
            SandboxUnavailableError: with the reason, when this machine cannot give what is asked.
        """
        if spec.level.rank < spec.minimum.rank:
            raise SandboxUnavailableError(f"the policy demands {spec.minimum}, {spec.level} is asked for")
        await self._tidy(spec.level)
        return await self.provider(spec.level).acquire(spec)

    async def run(
        self,
        work: Work,
        *,
        level: Level,
        minimum: Level | None = None,
        limits: Limits | None = None,
        grants: Grants | None = None,
        stdin: bytes = b"",
        emit: Emit | None = None,
        call: HostCall | None = None,
    ) -> Result:
        """Run one work in a fresh sandbox of the level; see `backend.Sandbox.run`.

        Raises:
            SandboxUnavailableError: as `acquire`.
        """
        chosen, granted = limits or Limits(), grants or Grants()
        # Only what is fixed when a worker starts is part of what is asked for: one pool serves many limits.
        fixed = Limits(disk=chosen.disk)
        if level is Level.CONTAINER:
            fixed = Limits(disk=chosen.disk, memory=chosen.memory, pids=chosen.pids)
        spec = Spec(level=level, minimum=minimum or level, network=bool(granted.hosts), limits=fixed)
        sandbox = await self.acquire(spec)
        try:
            return await sandbox.run(work, limits=chosen, grants=granted, stdin=stdin, emit=emit, call=call)
        finally:
            await sandbox.aclose()

    async def serve(self, program: Program, *, level: Level) -> Service:
        """Start a program that stays, in at least this level; see `service`.

        Raises:
            SandboxUnavailableError: the machine, or this version, cannot give it.
        """
        if level is Level.INLINE or level.rank > Level.JAIL.rank:
            raise SandboxUnavailableError(f"level {level} is demanded; a program that stays runs in a jail")
        await self._tidy(Level.JAIL)
        provider = self.provider(Level.JAIL)
        if not isinstance(provider, JailProvider):
            raise SandboxUnavailableError("this ladder's jail runs no program that stays")
        return await provider.serve(program)

    def provider(self, level: Level) -> Provider:
        """The provider of a level, made when it is first asked for.

        Raises:
            SandboxUnavailableError: the level is `inline`.
        """
        if level not in self._providers:
            self._providers[level] = self._make(level)
        return self._providers[level]

    async def aclose(self) -> None:
        """End everything that was started. A second call does nothing."""
        while self._providers:
            await self._providers.popitem()[1].aclose()

    async def _tidy(self, level: Level) -> list[str]:
        """Remove what dead runs left, before the first run of a level; return a line for each."""
        async with self._tidying:
            if level in self._tidied:
                return []
            told = await self.provider(level).reap_orphans()
            self._tidied.add(level)
        for line in told:
            log.warning("left behind", sandbox=line)
        return told

    def _make(self, level: Level) -> Provider:
        if level is Level.RESTRICTED:
            return RestrictedProvider(warm=self._warm, most=self._most)
        if level is Level.JAIL:
            return JailProvider(warm=self._warm, most=self._most)
        if level is Level.CONTAINER:
            return ContainerProvider(warm=self._warm, most=self._most, image=self._image, host=self._host)
        raise SandboxUnavailableError("the level inline isolates nothing, so nothing foreign is run in it")
