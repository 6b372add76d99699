"""A trial of a sandbox: launch one for real, look around in it, and say what it gives.

Rules:
- A level is available when a worker started, ran a line, and was found to be where it should be. A version
  number or a setting proves nothing.
- What is missing is told with the reason and the step that allows it.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import orjson

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import cgroup
from pratique.sandbox.backend import Grants, Guarantee, Limits, Probe, Provider, Sandbox, Spec, Work
from pratique.sandbox.guest import landlock

Remedy = Callable[[str], tuple[str, ...]]
"""Why a launch was refused → the steps that allow it."""

_LIMITS = Limits(wall=10, cpu=5)
# What the worker says about the place that it is in.
_LOOK = """
import os
try:
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
except OSError:
    names, status = [], {}
{
    "uid": os.getuid(),
    "processes": len(names),
    "environment": sorted(os.environ),
    "seccomp": status.get("Seccomp", "").strip(),
    "capabilities": status.get("CapEff", "").strip(),
}
"""
_CGROUP_REMEDY = (
    f"name a control group that Pratique may use: {cgroup.VARIABLE}=/sys/fs/cgroup/... "
    "(systemd: `Delegate=yes` and `DelegateSubgroup=main`)"
)


async def launch(provider: Provider, level: Level, backend: str, spec: Spec, remedy: Remedy) -> Probe:
    """Acquire a sandbox, run the looking code in it, and report; or say why not and what helps."""
    started = time.monotonic()
    try:
        sandbox = await provider.acquire(spec)
    except SandboxUnavailableError as problem:
        return refused(level, backend, str(problem), remedy(str(problem)), started)
    return await look(sandbox, backend, started)


async def look(sandbox: Sandbox, backend: str, started: float) -> Probe:
    """Run the looking code in a sandbox that was just acquired, end it, and report."""
    code = _LOOK if sandbox.level is not Level.RESTRICTED else "{}"
    try:
        result = await sandbox.run(Work(code=code), limits=_LIMITS, grants=Grants())
    finally:
        await sandbox.aclose()
    if result.value_json is None:
        return refused(sandbox.level, backend, f"a trial ran and failed: {result.error}", (), started)
    seen: dict[str, Any] = orjson.loads(result.value_json)
    wrong = _contradictions(seen, sandbox.guarantees)
    if wrong:
        return refused(sandbox.level, backend, f"a trial found its walls missing: {wrong}", (), started)
    lacks = _lacks(sandbox)
    return Probe(
        level=sandbox.level,
        backend=backend,
        available=True,
        guarantees=sandbox.guarantees,
        lacks=lacks,
        remedy=(_CGROUP_REMEDY,) if "mem_total" in lacks and backend != "docker" else (),
        details=_details(seen, result.interpreter, backend),
        took=time.monotonic() - started,
    )


def _contradictions(seen: dict[str, Any], promised: frozenset[Guarantee]) -> str:
    """What a worker saw that contradicts its promises."""
    if not seen:
        return ""
    wrong = []
    if seen["uid"] == 0:
        wrong.append("it is root")
    if Guarantee.KILL_TREE in promised and not 0 < seen["processes"] <= 4:  # noqa: PLR2004  # its own and ours
        wrong.append(f"it sees {seen['processes']} processes")
    if seen["processes"] and seen["seccomp"] != "2":
        wrong.append("no seccomp filter")
    if seen["processes"] and int(seen["capabilities"] or "0", 16):
        wrong.append("it has capabilities")
    return ", ".join(wrong)


def _lacks(sandbox: Sandbox) -> dict[str, str]:
    """The guarantees that this backend does not give here, with the reason."""
    reasons = {
        Guarantee.MEM_TOTAL: "no control group was granted: each process is bounded, a watch adds them up",
        Guarantee.LANGUAGE: "any code runs; only the level restricted looks at the language",
        Guarantee.PIDS: "without a user namespace the kernel counts all processes of that user",
        Guarantee.DISK: (
            "gVisor bounds the bytes, not how many files"
            if sandbox.level is Level.CONTAINER
            else "without a mount namespace only the size of each file is bounded"
        ),
        Guarantee.KILL_TREE: "without a pid namespace a process that detaches in time can get away",
        Guarantee.HOSTS: "hosts cannot be granted here",
        Guarantee.FRESH: "its folder is removed afterwards, but other places may be shared",
        Guarantee.NO_HOST_PROCESSES: "this kernel's Landlock does not keep signals in (ABI 6 does)",
    }
    missing = set(Guarantee) - sandbox.guarantees
    return {word: reasons.get(word, "this backend cannot promise it") for word in sorted(missing)}


def _details(seen: dict[str, Any], interpreter: str, backend: str) -> dict[str, str]:
    details = {"interpreter": interpreter}
    if backend != "docker":
        details["landlock"] = f"ABI {landlock.abi()}"
        details["as"] = (
            "root, workers drop to a user without rights" if os.geteuid() == 0 else "an ordinary user"
        )
    if seen:
        details["uid inside"] = str(seen["uid"])
    return details


def refused(level: Level, backend: str, reason: str, remedy: tuple[str, ...], started: float) -> Probe:
    """Return the report on a level that this machine does not give."""
    return Probe(
        level=level,
        backend=backend,
        available=False,
        reason=reason,
        remedy=remedy,
        took=time.monotonic() - started,
    )
