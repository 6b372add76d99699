"""What a sandbox is to those who use one: the work, its limits and grants, the result, the two protocols.

Rules:
- A guarantee is a promise with a test behind it. What a backend does not list, it does not promise.
- Each limit has its own word in `Result.limit` and its own message; a status never hides which one it was.
- A result says where it ran (level, backend, interpreter) so that the record can say it too.
- Bytes and seconds throughout. A value from inside is JSON that was parsed, never an object.
"""

import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Protocol

from pydantic import Field, field_validator

from pratique.model import Level, Value
from pratique.sandbox.paths import guest_path


class Guarantee(StrEnum):
    """What a backend promises about the code that runs in it."""

    NO_NET = "no_net"  # no socket leads out, unless hosts were granted
    HOSTS = "hosts"  # granted hosts can be reached, and nothing else
    NO_HOST_FILES = "no_host_files"  # nothing of the host's files but a read-only system
    NO_HOST_PROCESSES = "no_host_processes"  # cannot see, signal or trace a process outside
    FEW_SYSCALLS = "few_syscalls"  # the kernel's riskier calls are closed
    KILL_TREE = "kill_tree"  # at the end no process of it is left, whatever it did
    FRESH = "fresh"  # nothing that an earlier call left can be seen
    WALL = "wall"  # the time limit holds, whatever the code does
    CPU = "cpu"  # CPU seconds are bounded
    MEM_PROCESS = "mem_process"  # memory of each process is bounded by the kernel
    MEM_TOTAL = "mem_total"  # memory of all its processes together is bounded by the kernel
    PIDS = "pids"  # processes and threads are bounded by the kernel
    DISK = "disk"  # bytes and files written are bounded
    OUTPUT = "output"  # what it prints and returns is bounded
    LANGUAGE = "language"  # the code itself is restricted: no names, imports or syntax outside the list


class Status(StrEnum):
    """How a run ended. Only `ok` has a value that may be used."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    UNAVAILABLE = "unavailable"


class Limits(Value):
    """How much a run may take. Each limit that stops a run is named in `Result.limit`.

    Attributes:
        wall: seconds from the order to the answer.
        cpu: CPU seconds, all processes together.
        memory: bytes, of each process and (where a cgroup or the watch holds) of all together.
        pids: processes and threads at one time.
        output: bytes of standard output and of standard error, each.
        result: bytes of the JSON that the code returns.
        depth: how deep that JSON may nest.
        disk: bytes in the work folder; /tmp has a quarter of it.
        files: files and folders that may be made.
        open_files: descriptors per process.
        artifacts, artifact_bytes: how many files are handed out, and their bytes together.
    """

    wall: float = Field(default=10.0, gt=0, le=3600)
    cpu: float = Field(default=5.0, gt=0, le=3600)
    memory: int = Field(default=256 << 20, ge=32 << 20)
    pids: int = Field(default=32, ge=1, le=4096)
    output: int = Field(default=1 << 20, ge=0)
    result: int = Field(default=1 << 20, ge=64)
    depth: int = Field(default=64, ge=1, le=200)
    disk: int = Field(default=32 << 20, ge=4096)
    files: int = Field(default=1024, ge=1)
    open_files: int = Field(default=128, ge=16, le=4096)
    artifacts: int = Field(default=32, ge=0)
    artifact_bytes: int = Field(default=8 << 20, ge=0)


class Grants(Value):
    """What a run may reach, beyond its own folder. Empty is the rule.

    Attributes:
        hosts: `host:port` pairs. A host that resolves to a private address is refused unless it is named
            in `private_hosts` too.
        private_hosts: pairs of `hosts` that may lie in private, loopback or link-local ranges.
        calls: names of the host's tools that the code may call.
    """

    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    calls: frozenset[str] = frozenset()

    @field_validator("hosts", "private_hosts")
    @classmethod
    def _pairs(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        for pair in pairs:
            host, colon, port = pair.rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004  # a TCP port
                raise ValueError(f"{pair!r} is not host:port")
        return pairs


class File(Value):
    """A file for the work folder: a relative path and its bytes."""

    path: str
    data: bytes = Field(repr=False)
    executable: bool = False

    _inside = field_validator("path")(guest_path)


class Work(Value):
    """What to run: either `code` (Python) or `argv` (a program), never both.

    Attributes:
        code: Python source. It finds `inputs`; what it assigns to `result`, or else its last expression,
            is the value.
        argv: a program of the system and its arguments.
        inputs: JSON bytes for `code`.
        files: put into the work folder before the start.
        env: variables, in addition to the few that every run has.
        artifacts: whether files that the run leaves in its folder are handed out.
    """

    code: str | None = None
    argv: tuple[str, ...] = ()
    inputs: bytes = b"null"
    files: tuple[File, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    artifacts: bool = False

    @field_validator("inputs")
    @classmethod
    def _json(cls, data: bytes) -> bytes:
        json.loads(data)
        return data

    def model_post_init(self, _context: Any) -> None:
        """Refuse a work that is both or neither."""
        if (self.code is None) == (not self.argv):
            raise ValueError("a work is either code or argv")
        if any("\0" in text for text in (*self.argv, *self.env, *self.env.values())):
            raise ValueError("a NUL is in an argument or a variable")


class Usage(Value):
    """What a run took. A figure that the backend cannot measure is 0."""

    wall: float = 0.0
    cpu: float = 0.0
    memory_peak: int = 0
    pids_peak: int = 0


class Artifact(Value):
    """A file that the run left in its folder; it comes from outside, like any result."""

    path: str
    data: bytes = Field(repr=False)


class Skipped(Value):
    """Something in the folder that was not handed out, and why not."""

    path: str
    why: str


class Result(Value):
    """How a run ended and what it gave.

    Attributes:
        limit: the limit that stopped it (a field of `Limits`), or empty.
        error: one line of why, when the status is not `ok`.
        rc: exit code; minus the signal's number when a signal ended it; None when it never started.
        value_json: what the code returned, as JSON bytes that were parsed and bounded.
        truncated: whether output was cut.
        backend: bubblewrap, landlock, docker, ...
        interpreter: what ran it: digest of the interpreter's file, or of the image.
        limits: the limits that were in force.
    """

    status: Status
    level: Level
    backend: str
    interpreter: str
    limits: Limits
    limit: str = ""
    error: str = ""
    rc: int | None = None
    value_json: bytes | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    usage: Usage = Usage()
    artifacts: tuple[Artifact, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class Probe(Value):
    """What this machine can give at one level, learnt by a real launch.

    Attributes:
        reason: why not, when it is not available.
        lacks: guarantees of the level that this machine cannot give, with the reason.
        remedy: how to allow what is missing, one step a line.
        details: facts worth printing (versions, ABI, uid).
    """

    level: Level
    backend: str
    available: bool
    reason: str = ""
    guarantees: frozenset[Guarantee] = frozenset()
    lacks: dict[str, str] = Field(default_factory=dict)
    remedy: tuple[str, ...] = ()
    details: dict[str, str] = Field(default_factory=dict)
    took: float = 0.0


class Spec(Value):
    """What kind of sandbox is asked for.

    Attributes:
        level: where to run.
        minimum: the weakest level that the policy allows; nothing below it is ever given.
        network: whether the run will have hosts granted (such workers are kept apart).
        limits: sizes that are fixed when a worker starts; a run may ask for less, not for more.
    """

    level: Level
    minimum: Level
    network: bool = False
    limits: Limits = Limits()


Emit = Callable[[str, bytes], None]
"""Called with `stdout` or `stderr` and the bytes, as they come."""

HostCall = Callable[[str, Any], Awaitable[Any]]
"""Called with a tool's name and its arguments (JSON values); what it returns goes back as JSON."""


class Sandbox(Protocol):
    """One run's place. Single use: it is taken, it runs one work, and it is gone."""

    @property
    def level(self) -> Level:
        """The level that this place really is."""
        ...

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What it promises on this machine."""
        ...

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
        """Run one work to its end. Cancelling kills the whole tree before it returns.

        Args:
            work: what to run.
            limits: how much it may take.
            grants: what it may reach.
            stdin: bytes for the program's standard input.
            emit: told of output as it comes.
            call: answers the code's calls of tools that `grants.calls` names.

        Returns:
            How it ended. A hostile or broken work is a result, never an exception.

        Raises:
            SandboxUnavailableError: it was used before, or is closed.
        """
        ...

    async def aclose(self) -> None:
        """Kill what runs and take everything away. A second call does nothing."""
        ...


class Provider(Protocol):
    """Makes sandboxes of one backend."""

    async def probe(self) -> Probe:
        """Launch one for real and say what this machine gives."""
        ...

    async def acquire(self, spec: Spec) -> Sandbox:
        """Give a fresh sandbox.

        Raises:
            SandboxUnavailableError: with the reason, when this machine cannot give what is asked.
        """
        ...

    async def reap_orphans(self) -> list[str]:
        """Remove what a dead run of Pratique left behind; return a line for each."""
        ...

    async def aclose(self) -> None:
        """Kill every worker and remove what was made. A second call does nothing."""
        ...
