"""`ctx.sandbox`: where a tool runs the code that it was handed, and what the record says of it.

Rules:
- A tool's own function is host code, trusted by whoever registered it. What it was handed runs here: at the
  level that the tool declares or the policy demands, whichever is higher, and never below it.
- The hosts that the tool declares are all that the code reaches, its `timeout` is all the time there is.
- Code that was stopped is an error with one line of why. What ran is in the call's record, however it ended.
- The code may call the tools that the tool declares in `calls`, and each is a governed call of the same
  session. The run's clock goes on meanwhile: a call gets no more time, and no more patience with people, than
  the run has left.
"""

import asyncio
import math
import time
from typing import Any, Protocol

from pratique.audit.canonical import LARGEST_INTEGER
from pratique.capabilities.labels import join
from pratique.errors import SandboxStoppedError, ToolError
from pratique.model import CLEAN, Capability, Label, Level, Outcome
from pratique.model import Status as CallStatus
from pratique.sandbox.backend import Emit, Grants, Limits, Result, Status, Work
from pratique.sandbox.ladder import Ladder

SHORTEST = 0.05
"""Seconds that a run gets at least: a tool whose time is over hears it from the sandbox, in its words."""

HANDOVER = 0.5
"""Seconds that are left to code, at least, to hear that a person did not answer in time."""

_LONGEST = 3600.0
_PORTS = (80, 443)
_ENDED_BY_ITSELF = {Status.OK, Status.ERROR}


class CodeCalls(Protocol):
    """What makes the governed calls that one run's code asks for. The runtime gives one to each call."""

    async def __call__(self, tool: str, args: Any, patience: float) -> Outcome:
        """Make a call on behalf of the code.

        Args:
            tool: the tool's name; it is one that the running tool declared.
            args: what the code gave, as JSON values.
            patience: seconds to wait for a person, at most.
        """
        ...


class Sandboxed:
    """One call's way into the ladder.

    Attributes:
        level: where the code runs.
        record: what ran, in words and whole numbers, for the call's record; empty before anything did.
        given: the label of all that the code was given by tools that it called.

    Args:
        ladder: what gives sandboxes.
        capability: the tool's declaration.
        level: the higher of what the tool declares and what the policy demands.
        code_calls: makes the calls that the code asks for; None where there is no session.
    """

    def __init__(
        self, ladder: Ladder, capability: Capability, level: Level, code_calls: CodeCalls | None = None
    ) -> None:
        self.level = level
        self.given: Label = CLEAN
        self._code_calls, self._calls = code_calls, 0
        self.record: dict[str, int | str] = {}
        self._ladder, self._capability = ladder, capability
        self._ends = time.monotonic() + capability.timeout
        self._runs = 0

    async def run(
        self,
        work: Work,
        *,
        limits: Limits | None = None,
        stdin: bytes = b"",
        emit: Emit | None = None,
        alone: bool = False,
    ) -> Result:
        """Run a work to its end, in a fresh sandbox.

        Args:
            work: Python code or a program.
            limits: what it may take; time beyond what is left of the tool's `timeout` is not given.
            stdin: bytes for its standard input.
            emit: told of output as it comes.
            alone: grant none of the hosts and calls that the tool declares: they are for the tool itself.

        Returns:
            How it ended by itself: `ok`, or `error` when the code raised or exited with another code than 0.

        Raises:
            SandboxStoppedError: a limit or somebody stopped it; uncaught, the call fails with the reason.
            SandboxUnavailableError: this machine cannot give the level.
        """
        self._runs += 1
        self._note({"level": self.level.value, "status": "unavailable"})
        try:
            ran = await self._ladder.run(
                work,
                level=self.level,
                limits=self._bounded(limits),
                grants=Grants() if alone else _grants(self._capability),
                stdin=stdin,
                emit=emit,
                call=None if alone or self._code_calls is None else self._call,
            )
        except asyncio.CancelledError:
            self._note({"level": self.level.value, "status": "cancelled"})
            raise
        self._note(facts(ran))
        if ran.status not in _ENDED_BY_ITSELF:
            raise SandboxStoppedError(f"{ran.error} ({ran.status}, in a {ran.level})")
        return ran

    async def _call(self, name: str, args: Any) -> Any:
        """Answer one call of the code: the tool's value, as the agent would be shown it.

        Raises:
            ToolError: it was denied, waits for a person, or failed; the code is told why.
        """
        if self._code_calls is None:
            raise ToolError(f"{name} cannot be called from here")
        self._calls += 1
        outcome = await self._code_calls(name, args, self._ends - time.monotonic() - HANDOVER)
        self.given = join(self.given, outcome.label)
        if outcome.status is CallStatus.PENDING:
            raise ToolError(f"{name}: {outcome.error}; this run does not wait for it, its agent may")
        if outcome.status is not CallStatus.DONE:
            raise ToolError(f"{name}: {outcome.error}")
        return outcome.value

    def _bounded(self, limits: Limits | None) -> Limits:
        """Return the limits with no more time than the tool has left."""
        left = min(max(self._ends - time.monotonic(), SHORTEST), _LONGEST)
        if limits is None:
            return Limits(wall=left, cpu=left)
        return limits.model_copy(update={"wall": min(limits.wall, left), "cpu": min(limits.cpu, left)})

    def _note(self, ran: dict[str, int | str]) -> None:
        calls = {"calls": self._calls} if self._capability.calls else {}
        self.record = {**ran, "runs": self._runs, **calls}


def facts(ran: Result) -> dict[str, int | str]:
    """Return what a record says of a run: where, with which limits, what it took, how it ended."""
    said: dict[str, int | str] = {
        "level": ran.level.value,
        "backend": ran.backend,
        "interpreter": ran.interpreter,
        "status": ran.status.value,
        "stopped_by": ran.limit,
        "truncated": int(ran.truncated),
        "wall_us": _microseconds(ran.usage.wall),
        "cpu_us": _microseconds(ran.usage.cpu),
        "memory_peak": _whole(ran.usage.memory_peak),
        "pids_peak": _whole(ran.usage.pids_peak),
        "limit_wall_us": _microseconds(ran.limits.wall),
        "limit_cpu_us": _microseconds(ran.limits.cpu),
    }
    for name in ("memory", "pids", "output", "result", "disk", "files"):
        said[f"limit_{name}"] = _whole(getattr(ran.limits, name))
    if ran.rc is not None:
        said["exit"] = _whole(ran.rc)
    return said


def _grants(capability: Capability) -> Grants:
    """Return what the tool declares; a host without a port is granted the ports of http and https."""
    return Grants(
        hosts=_pairs(capability.hosts),
        private_hosts=_pairs(capability.private),
        calls=frozenset(capability.calls),
    )


def _pairs(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        pair for host in hosts for pair in ([host] if ":" in host else [f"{host}:{port}" for port in _PORTS])
    )


def _microseconds(seconds: float) -> int:
    return _whole(int(seconds * 1_000_000)) if math.isfinite(seconds) else 0


def _whole(number: int) -> int:
    """Return the number as far as a record can hold it: some of them are told by the inside."""
    return max(-LARGEST_INTEGER, min(int(number), LARGEST_INTEGER))
