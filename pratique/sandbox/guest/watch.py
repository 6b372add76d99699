"""Adds up what all processes of a run take, for limits that the kernel keeps per process only.

Rules:
- The run is every descendant of this process, its own orphans included (they come back to it).
- Resident memory is counted fast; only when that is too much is the shared part taken off (PSS).
- This looks 40 times a second. It bounds what a run can do in the meantime, it is not a kernel limit: a
  cgroup is, where there is one.
"""

# pathlib would cost every start of a worker its import.
# ruff: noqa: PTH208, PTH123

import contextlib
import os
import resource
import time

TICK = 0.025
_DEAD = b"ZX"
_SCHEDULED = 2
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Load:
    """What a run takes now. Times are seconds, memory is bytes; `pids` are those that live."""

    def __init__(self, memory: int, cpu: float, tasks: int, pids: "list[int]") -> None:
        self.memory = memory
        self.cpu = cpu
        self.tasks = tasks
        self.pids = pids


def load() -> Load:
    """Look at every descendant of this process."""
    stats = _stats()
    ours = _descendants(os.getpid(), stats)
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = reaped.ru_utime + reaped.ru_stime + sum(sum(stats[pid][1:5]) for pid in ours) / _TICKS
    memory = sum(stats[pid][6] for pid in ours) * _PAGE
    living = [pid for pid in ours if not stats[pid][7]]
    return Load(memory, cpu, sum(stats[pid][5] for pid in ours), living)


def peak(pid: int) -> int:
    """Return the most memory that a process had at one time; 0 where the kernel does not say."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def cpu(pid: int) -> float:
    """Return the CPU seconds of one process, finer than the kernel's ticks; 0 where it has no such clock."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | _SCHEDULED)  # clock_getcpuclockid(3), as the kernel reads it
    return 0.0


def exact_memory(pids: "list[int]") -> int:
    """Add up the processes' memory with shared pages counted once; a process that hides counts in full."""
    return sum(_proportional(pid) for pid in pids)


def full(folders: "list[int]", files: int) -> str:
    """Say which limit of the folders (open descriptors) is used up: `disk`, `files`, or nothing."""
    made = 0
    for folder in folders:
        found = os.fstatvfs(folder)
        if found.f_blocks and found.f_bavail == 0:
            return "disk"
        made += found.f_files - found.f_ffree
    return "files" if made > files + 2 * len(folders) else ""


def _stats() -> "dict[int, tuple[int, ...]]":
    """Map each process to (parent, four CPU times, threads, resident pages, whether it is dead)."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"/proc/{name}/stat", "rb") as file,
            ):
                # The name of a process may hold anything, spaces and brackets too: read behind the last one.
                words = file.read().rpartition(b")")[2].split()
                numbers = [int(words[place]) for place in (1, 11, 12, 13, 14, 17, 21)]
                found[int(name)] = (*numbers, words[0] in _DEAD)
    return found


def _descendants(root: int, stats: "dict[int, tuple[int, ...]]") -> "list[int]":
    children: dict[int, list[int]] = {}
    for pid, numbers in stats.items():
        children.setdefault(numbers[0], []).append(pid)
    found: list[int] = []
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, ())
    return found


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
