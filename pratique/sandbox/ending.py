"""What is known at the end of a run, and the judgement on it. Pure: facts in, a result out.

Rules:
- What the host saw itself counts first (time, output, a worker gone), then the kernel's word (signals, the
  cgroup), then the supervisor's report, last the guest's own words.
- A value is a value only when everything else is well.
"""

import signal
from dataclasses import dataclass, field
from typing import Any

from pratique.errors import CanonicalError
from pratique.model import Level
from pratique.sandbox.backend import Artifact, Limits, Result, Skipped, Status, Usage
from pratique.sandbox.values import bounded_json


@dataclass
class Ending:
    """The facts of a run.

    Attributes:
        report: what the supervisor said at the end; None when it could not.
        passed: the limit that the host itself saw passed, or empty.
        value, problem, broken: what the guest said (`Conversation`).
        oom: whether the kernel ended something of it for memory.
        lost: why whoever ran it (a container engine) is out of reach, or empty.
    """

    report: dict[str, Any] | None = None
    passed: str = ""
    value: bytes | None = None
    problem: dict[str, Any] | None = None
    broken: str = ""
    oom: bool = False
    lost: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    wall: float = 0.0
    memory_peak: int = 0
    artifacts: tuple[Artifact, ...] = ()
    skipped: tuple[Skipped, ...] = field(default=())


@dataclass(frozen=True)
class Place:
    """Where it ran, for the record."""

    level: Level
    backend: str
    interpreter: str


_STATUS = {
    "wall": Status.TIMEOUT,
    "cpu": Status.TIMEOUT,
    "memory": Status.OOM,
    "output": Status.OUTPUT_LIMIT,
    "result": Status.OUTPUT_LIMIT,
    "files": Status.KILLED,
    "disk": Status.ERROR,
    "pids": Status.ERROR,
}

# What Python says when the kernel refuses: the guest's words, so they can only explain a failure.
_HINTS = (
    ("MemoryError", "", "memory"),
    ("BlockingIOError", "Resource temporarily unavailable", "pids"),
    ("RuntimeError", "can't start new thread", "pids"),
    ("OSError", "No space left", "disk"),
    ("OSError", "File too large", "disk"),
)


def judge(ending: Ending, limits: Limits, place: Place, *, wants_value: bool) -> Result:
    """Return the result that the facts amount to."""
    status, limit, error = _verdict(ending, limits)
    value: bytes | None = None
    if status is Status.OK and wants_value and ending.value is None:
        status, error = Status.ERROR, "it ended without a result"
    elif status is Status.OK and wants_value and ending.value is not None:
        try:
            value = bounded_json(ending.value, size=limits.result, depth=limits.depth)
        except CanonicalError as bad:
            status, limit, error = Status.ERROR, "result", str(bad)
    report = ending.report or {}
    return Result(
        status=status,
        level=place.level,
        backend=place.backend,
        interpreter=place.interpreter,
        limits=limits,
        limit=limit,
        error=error,
        rc=_whole(report.get("rc")),
        value_json=value,
        stdout=ending.stdout,
        stderr=ending.stderr,
        truncated=ending.truncated,
        usage=_usage(ending, report),
        artifacts=ending.artifacts,
        skipped=ending.skipped,
    )


def text_of(limit: str, limits: Limits) -> str:
    """The one line that a passed limit is told with."""
    return {
        "wall": f"it ran longer than {limits.wall:g} s and was stopped",
        "cpu": f"it used more than {limits.cpu:g} s of CPU time and was stopped",
        "memory": f"it needed more than {limits.memory} bytes of memory",
        "pids": f"it wanted more than {limits.pids} processes and threads",
        "output": f"it printed more than {limits.output} bytes and was stopped",
        "result": f"its result is larger than {limits.result} bytes",
        "disk": f"it wanted to write more than the {limits.disk} bytes of its folder",
        "files": f"it made more than {limits.files} files and was stopped",
    }[limit]


def _verdict(ending: Ending, limits: Limits) -> tuple[Status, str, str]:
    limit = ending.passed or _reported_limit(ending)
    rc = _whole((ending.report or {}).get("rc"))
    if limit in _STATUS and not (limit == "disk" and rc == 0):
        return _STATUS[limit], limit, text_of(limit, limits)
    for told in (_lost(ending), _broken(ending)):
        if told is not None:
            return told
    if rc == 0 and ending.problem is None:
        return Status.OK, "", ""
    return _failure(ending, limits, rc)


def _lost(ending: Ending) -> tuple[Status, str, str] | None:
    """The verdict on a run whose supervisor could not report."""
    if ending.lost:
        return Status.UNAVAILABLE, "", ending.lost
    if ending.report is None:
        return Status.KILLED, "", "its worker was ended from outside"
    return None


def _broken(ending: Ending) -> tuple[Status, str, str] | None:
    """The verdict on a run that did not begin, or did not keep to the protocol."""
    if ending.report is not None and "broken" in ending.report:
        return Status.ERROR, "", str(ending.report["broken"])
    if ending.broken:
        return Status.ERROR, "", f"it broke the protocol with its host: {ending.broken}"
    return None


def _reported_limit(ending: Ending) -> str:
    if ending.oom:
        return "memory"
    limit = (ending.report or {}).get("limit", "")
    return limit if isinstance(limit, str) else ""


def _failure(ending: Ending, limits: Limits, rc: int | None) -> tuple[Status, str, str]:
    problem = ending.problem or {}
    kind, text, line = (problem.get(name) for name in ("kind", "text", "line"))
    for hint_kind, hint_text, limit in _HINTS:
        if kind == hint_kind and hint_text in str(text):
            return _STATUS[limit], limit, text_of(limit, limits)
    if rc is not None and rc < 0:
        status = Status.KILLED if rc == -signal.SIGKILL else Status.ERROR
        return status, "", f"it was ended by signal {_signal(-rc)}"
    if problem:
        return Status.ERROR, "", _words(str(kind)[:80], str(text)[:2000], line)
    return Status.ERROR, "", f"it ended with exit code {rc}"


def _words(kind: str, text: str, line: object) -> str:
    """One line of what went wrong. A refusal names its lines itself."""
    if kind == "Refused":
        return text.replace("\n", "; ")
    where = f" (line {line})" if isinstance(line, int) and line and "line" not in text else ""
    return f"{kind}: {text}{where}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _usage(ending: Ending, report: dict[str, Any]) -> Usage:
    memory = max(ending.memory_peak, _whole(report.get("memory")) or 0)
    cpu = report.get("cpu", 0.0)
    return Usage(
        wall=ending.wall,
        cpu=cpu if isinstance(cpu, float) else 0.0,
        memory_peak=memory,
        pids_peak=_whole(report.get("tasks")) or 0,
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
