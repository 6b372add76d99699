"""Says what this machine can give, level by level, by a trial of each (`pratique.sandbox.trial`)."""

import time

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import trial
from pratique.sandbox.backend import Probe, Provider, Spec
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider


async def probe_all() -> list[Probe]:
    """Probe every level, weakest first. Launches one worker of each and removes it."""
    fallback = JailProvider(warm=0)
    try:
        weakest = await probe_landlock(fallback)
    finally:
        await fallback.aclose()
    providers: list[Provider] = [RestrictedProvider(warm=0), JailProvider(warm=0), ContainerProvider(warm=0)]
    return [inline(), weakest, *[await _probe(provider) for provider in providers]]


def inline() -> Probe:
    """What the lowest level is: no isolation at all, so it is always there."""
    nothing = "tools run in Pratique's own process; only for code that you wrote"
    return Probe(level=Level.INLINE, backend="inline", available=True, details={"isolation": nothing})


async def probe_landlock(provider: JailProvider) -> Probe:
    """Launch what is left where namespaces are forbidden, and report it as the weaker thing that it is."""
    started = time.monotonic()
    try:
        sandbox = await provider.acquire_without_namespaces(Spec(level=Level.INLINE, minimum=Level.INLINE))
    except SandboxUnavailableError as problem:
        return trial.refused(
            Level.INLINE, "landlock", str(problem), ("a kernel with Landlock ABI 4 (Linux 6.7)",), started
        )
    return await trial.look(sandbox, "landlock", started)


async def _probe(provider: Provider) -> Probe:
    try:
        return await provider.probe()
    finally:
        await provider.aclose()
