"""What the sandbox ladder costs, as ratios in one run: `python -m benchmarks sandbox`.

Rules:
- Each figure is a median; what it is compared with runs in the same process, interleaved, on the same load.
- The engine is the one that `DOCKER_HOST` names, or the usual one. Where neither answers, root starts one of
  its own for the time, as the tests do.
- A jail with a warm worker is measured against a bare subprocess of the same interpreter, a warm container
  against `docker run --rm` with the same options of isolation.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import docker

from benchmarks.table import Row
from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import interpreter, mark
from pratique.sandbox.backend import Grants, Limits, Provider, Spec, Work
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.engine import Engine
from pratique.sandbox.guest import python as guest_python
from pratique.sandbox.guest import restricted as guest_restricted
from pratique.sandbox.image import DEFAULT_TAG, build
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider

WORK = Work(code="inputs['a'] + 1", inputs=b'{"a": 1}')
CODE = "total = 0\nfor row in inputs['rows']:\n    total = total + row['amount'] * 0.19\nround(total, 2)"
ROWS = {"rows": [{"amount": number} for number in range(20)]}


async def once(provider: Provider, level: Level) -> float:
    """One run of a trivial work in a fresh sandbox, in milliseconds."""
    spec = Spec(level=level, minimum=level)
    started = time.perf_counter()
    sandbox = await provider.acquire(spec)
    try:
        result = await sandbox.run(WORK, limits=Limits(), grants=Grants())
    finally:
        await sandbox.aclose()
    assert result.value_json == b"2", result
    return (time.perf_counter() - started) * 1e3


def bare(command: list[str]) -> float:
    """One run of a bare process, in milliseconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # the command is this file's own
    return (time.perf_counter() - started) * 1e3


async def interleave(
    ours: Callable[[], Awaitable[float]],
    theirs: Callable[[], float],
    rounds: int,
    warm_up: Callable[[], Awaitable[None]],
) -> tuple[list[float], list[float]]:
    """Measure both in turns; each time when the workers that were used have been replaced."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(await ours())
        other.append(await asyncio.to_thread(theirs))
        await warm_up()
    return mine, other


def compared(what: str, mine: list[float], other: list[float], limit: float, against: str) -> Row:
    """Return a figure, what it is compared with, and the ratio."""
    ours, theirs = statistics.median(mine), statistics.median(other)
    worst = sorted(mine)[int(len(mine) * 0.99) - 1]
    return Row(
        what,
        f"{ours:.2f} ms, p99 {worst:.2f}; {against} {theirs:.2f} ms",
        f"{ours / theirs:.3f}",
        f"< {limit:g}",
        ours / theirs < limit,
    )


async def sustained(provider: Provider, level: Level, calls: int) -> float:
    """Calls per second when many callers wait all the time."""
    started = time.perf_counter()
    await asyncio.gather(*(once(provider, level) for _ in range(calls)))
    return calls / (time.perf_counter() - started)


async def jail(rounds: int, calls: int) -> list[Row]:
    """The jail against a bare subprocess; its cold start, its throughput, its idle cost."""
    provider = JailProvider(warm=3, most=4)
    spec = Spec(level=Level.JAIL, minimum=Level.JAIL)
    first = await once(provider, Level.JAIL)
    await provider.warm_up(spec)
    mine, other = await interleave(
        partial(once, provider, Level.JAIL),
        partial(bare, bare_python()),
        rounds,
        partial(provider.warm_up, spec),
    )
    none_warm = JailProvider(warm=0, most=4)
    await once(none_warm, Level.JAIL)
    cold = statistics.median([await once(none_warm, Level.JAIL) for _ in range(10)])
    rate = await sustained(provider, Level.JAIL, calls)
    await provider.warm_up(spec)
    idle = idle_memory(is_worker) / 3
    await none_warm.aclose()
    await provider.aclose()
    median = statistics.median(mine)
    return [
        compared("jail, warm worker", mine, other, 1, "bare subprocess"),
        Row("jail, warm worker, median", f"{rounds} runs", f"{median:.2f} ms", "5 ms", median <= 5),
        Row("jail, cold worker", "10 runs", f"{cold:.1f} ms", ""),
        Row("jail, first of all", "files staged", f"{first:.1f} ms", ""),
        Row("jail, sustained", f"{calls} at once, 4 at work", f"{rate:.0f} calls/s", ""),
        Row("jail, an idle worker", "private memory", f"{idle:.1f} MiB", ""),
    ]


def is_worker(command: bytes) -> bool:
    """Whether a process is one of a jail's worker."""
    return command.endswith(f"{mark.mine()}-worker".encode())


def is_in_container(command: bytes) -> bool:
    """Whether a process is one of ours in a container."""
    return b"from guest.mux import main" in command


def idle_memory(is_ours: Callable[[bytes], bool]) -> float:
    """Private memory of all waiting workers, in MiB: what would be free without them."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if is_ours(path.read_bytes().rstrip(b"\0")):
                lines = (path.parent / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        except OSError:
            continue
    return total / 1024


async def restricted(rounds: int) -> list[Row]:
    """The restricted level in its jail, and what the language policy itself costs."""
    provider = RestrictedProvider(warm=2, most=4)
    spec = Spec(level=Level.RESTRICTED, minimum=Level.RESTRICTED)
    await provider.warm_up(spec)
    ours = partial(once, provider, Level.RESTRICTED)
    mine, other = await interleave(
        ours, partial(bare, bare_python()), rounds, partial(provider.warm_up, spec)
    )
    await provider.aclose()
    compiled = guest_restricted.compile_code(CODE)
    names = guest_restricted.globals_for_code()
    compiling = [_timed(lambda: guest_restricted.compile_code(CODE)) for _ in range(200)]
    running = [_timed(lambda: guest_python.execute(compiled, {**names, "inputs": ROWS})) for _ in range(200)]
    return [
        compared("restricted, warm worker", mine, other, 1, "bare subprocess"),
        Row("restricted, compile", "200 runs", f"{statistics.median(compiling):.3f} ms", ""),
        Row("restricted, run compiled code", "200 runs", f"{statistics.median(running):.3f} ms", ""),
    ]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


async def container(host: str | None, image: str, rounds: int) -> list[Row]:
    """The warm container against `docker run --rm` of the same image."""
    provider = ContainerProvider(warm=2, most=2, host=host, image=image)
    spec = Spec(level=Level.CONTAINER, minimum=Level.CONTAINER)
    try:
        await provider.warm_up(spec)
    except SandboxUnavailableError as error:
        return [Row("container", f"not measured: {error}", "", "< 0.033")]
    command = [
        *("docker", *(("-H", host) if host else ()), "run", "--rm", "--network=none", "--read-only"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65534", "--log-driver=none"),
        *("--pids-limit=40", "--memory=300m", "--entrypoint=python3"),
        *(str(provider.image), "-I", "-S", "-c", "pass"),
    ]
    ours = partial(once, provider, Level.CONTAINER)
    mine, other = await interleave(ours, lambda: bare(command), rounds, partial(provider.warm_up, spec))
    rate = await sustained(provider, Level.CONTAINER, 20)
    await provider.warm_up(spec)
    idle = idle_memory(is_in_container) / 2
    await provider.aclose()
    none_warm = ContainerProvider(warm=0, most=2, host=host, image=image)
    cold = statistics.median([await once(none_warm, Level.CONTAINER) for _ in range(5)])
    await none_warm.aclose()
    median = statistics.median(mine)
    return [
        compared("container, warm", mine, other, 1 / 30, "docker run --rm"),
        Row("container, warm, median", f"{len(mine)} runs", f"{median:.2f} ms", "5 ms", median <= 5),
        Row("container, cold", "5 runs", f"{cold:.0f} ms", ""),
        Row("container, an idle one", "private memory, without the engine's own", f"{idle:.1f} MiB", ""),
        Row("container, sustained", "20 at once, 2 at work", f"{rate:.1f} calls/s", ""),
    ]


@contextmanager
def an_engine() -> Iterator[tuple[str | None, str]]:
    """Yield where an engine listens and an image in it: the usual one, else one that is started for this."""
    try:
        docker.from_env().close()
    except docker.errors.DockerException:
        own = None if os.geteuid() or not shutil.which("dockerd") else _start()
    else:
        own = None
    if own is None:
        yield None, DEFAULT_TAG
        return
    try:
        from tests.sandbox.places import base_image, import_base  # noqa: PLC0415  # as in `_start`

        why = own.wait() or import_base(own)
        if why:
            raise SandboxUnavailableError(why)
        with ThreadPoolExecutor(1) as thread:  # the caller holds a running loop
            built = thread.submit(lambda: asyncio.run(_build(own.host, base_image()))).result()
        yield own.host, built
    finally:
        own.stop()


def _start() -> Any:
    """Start the tests' engine; None where their packages (`make bench` installs them) are not there."""
    try:
        from tests.sandbox.places import Dockerd  # noqa: PLC0415  # only who starts an engine needs pytest
    except ImportError:
        return None
    return Dockerd()


async def _build(host: str, base: str) -> str:
    engine = Engine(host)
    try:
        return await build(engine, base=base)
    finally:
        await engine.close()


def bare_python() -> list[str]:
    """The command of a bare process of the jail's interpreter."""
    return [interpreter.find().path, "-I", "-S", "-c", "pass"]


def rows(*, quick: bool = False) -> list[Row]:
    """Measure every level that is here."""
    rounds = 15 if quick else 60

    async def measure() -> list[Row]:
        measured = await jail(rounds, 40 if quick else 200) + await restricted(rounds)
        with an_engine() as (host, image):
            return measured + await container(host, image, max(5, rounds // 4))

    try:
        return asyncio.run(measure())
    except SandboxUnavailableError as error:
        return [Row("sandbox", f"not measured: {error}", "", "")]
