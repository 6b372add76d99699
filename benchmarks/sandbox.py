"""What the sandbox ladder costs, as ratios in one run: `python benchmarks/sandbox.py [--engine HOST]`.

Rules:
- Each figure is a median; what it is compared with runs in the same process, interleaved, on the same load.
- A jail with a warm worker is measured against a bare subprocess of the same interpreter, a warm container
  against `docker run --rm` with the same options of isolation.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import interpreter
from pratique.sandbox.backend import Grants, Limits, Provider, Spec, Work
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.guest import python as guest_python
from pratique.sandbox.guest import restricted as guest_restricted
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
    ours: Callable[[], Awaitable[float]], theirs: Callable[[], float], rounds: int, pause: float
) -> tuple[list[float], list[float]]:
    """Measure both in turns, with a pause in which workers are replaced."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(await ours())
        other.append(await asyncio.to_thread(theirs))
        await asyncio.sleep(pause)
    return mine, other


def told(name: str, mine: list[float], other: list[float], bound: str) -> None:
    """Print a figure, what it is compared with, and the ratio."""
    ours, theirs = statistics.median(mine), statistics.median(other)
    worst = sorted(mine)[int(len(mine) * 0.99) - 1]
    line(
        name,
        f"{ours:8.2f} ms  p99 {worst:7.2f}  against {theirs:8.2f} ms  ratio {ours / theirs:.3f}  ({bound})",
    )


def line(name: str, text: str) -> None:
    """Print one row."""
    print(f"{name:<34} {text}")


async def sustained(provider: Provider, level: Level, calls: int) -> float:
    """Calls per second when many callers wait all the time."""
    started = time.perf_counter()
    await asyncio.gather(*(once(provider, level) for _ in range(calls)))
    return calls / (time.perf_counter() - started)


async def jail(rounds: int) -> None:
    """The jail against a bare subprocess; its cold start, its throughput, its idle cost."""
    command = [interpreter.find().path, "-I", "-S", "-c", "pass"]
    provider = JailProvider(warm=3, most=4)
    spec = Spec(level=Level.JAIL, minimum=Level.JAIL)
    started = time.perf_counter()
    first = await once(provider, Level.JAIL)
    cold = (time.perf_counter() - started) * 1e3
    await provider.warm_up(spec)
    mine, other = await interleave(lambda: once(provider, Level.JAIL), lambda: bare(command), rounds, 0.12)
    told("jail, warm worker", mine, other, "bare subprocess; should be below 1")
    line("jail, first of all (files staged)", f"{cold:8.2f} ms  ({first:.2f} ms of it the run)")
    none_warm = JailProvider(warm=0, most=4)
    await once(none_warm, Level.JAIL)
    line(
        "jail, cold worker",
        f"{statistics.median([await once(none_warm, Level.JAIL) for _ in range(10)]):8.2f} ms",
    )
    line("jail, sustained", f"{await sustained(provider, Level.JAIL, 200):8.1f} calls/s with 4 at work")
    await provider.warm_up(spec)
    line("jail, an idle worker", f"{idle_memory() / 3:8.2f} MiB (private memory of its processes)")
    await none_warm.aclose()
    await provider.aclose()


def idle_memory() -> float:
    """Private memory of all waiting workers, in MiB: what would be free without them."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0").endswith(b"-worker"):
                lines = (path.parent / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        except OSError:
            continue
    return total / 1024


async def restricted(rounds: int) -> None:
    """The restricted level in its jail, and what the language policy itself costs."""
    provider = RestrictedProvider(warm=2, most=4)
    await provider.warm_up(Spec(level=Level.RESTRICTED, minimum=Level.RESTRICTED))
    command = [interpreter.find().path, "-I", "-S", "-c", "pass"]
    mine, other = await interleave(
        lambda: once(provider, Level.RESTRICTED), lambda: bare(command), rounds, 0.15
    )
    told("restricted, warm worker", mine, other, "bare subprocess")
    await provider.aclose()
    compiled = guest_restricted.compile_code(CODE)
    names = guest_restricted.globals_for_code()
    compiling = [_timed(lambda: guest_restricted.compile_code(CODE)) for _ in range(200)]
    running = [_timed(lambda: guest_python.execute(compiled, {**names, "inputs": ROWS})) for _ in range(200)]
    line("restricted, compile", f"{statistics.median(compiling):8.3f} ms")
    line("restricted, run compiled code", f"{statistics.median(running):8.3f} ms")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


async def container(host: str | None, rounds: int) -> None:
    """The warm container against `docker run --rm` of the same image."""
    provider = ContainerProvider(warm=2, most=2, host=host)
    try:
        await provider.warm_up(Spec(level=Level.CONTAINER, minimum=Level.CONTAINER))
    except SandboxUnavailableError as error:
        print(f"container: not measured: {error}")
        return
    command = [
        *("docker", *(("-H", host) if host else ()), "run", "--rm", "--network=none", "--read-only"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65534", "--log-driver=none"),
        *("--pids-limit=40", "--memory=300m", "--entrypoint=python3"),
        *(str(provider.image), "-I", "-S", "-c", "pass"),
    ]
    ours = lambda: once(provider, Level.CONTAINER)  # noqa: E731  # one line of a table
    mine, other = await interleave(ours, lambda: bare(command), rounds, 1.5)
    told("container, warm", mine, other, "docker run --rm; should be below 0.033")
    line(
        "container, sustained",
        f"{await sustained(provider, Level.CONTAINER, 20):8.1f} calls/s with 2 at work",
    )
    await provider.aclose()


async def main(options: argparse.Namespace) -> None:
    """Measure every level that is here."""
    print(f"Python {sys.version.split()[0]} outside, {interpreter.find().path} inside\n")
    await jail(options.rounds)
    await restricted(options.rounds)
    await container(options.engine, max(5, options.rounds // 4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default=None, help="where a container engine listens")
    parser.add_argument("--rounds", type=int, default=60)
    asyncio.run(main(parser.parse_args()))
