"""Limits that hold for all processes of a run together, where the machine grants a control group.

Rules:
- Granted means: named to us. A group that nobody gave us belongs to somebody who manages it, so none is
  looked for.
- One group for each worker, beneath the granted one, removed with it.
- Version 2 has one tree; version 1 one per controller, and then a folder for each is named.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
"""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import mark
from pratique.sandbox.backend import Limits

VARIABLE = "PRATIQUE_CGROUP"
_OWN_TASKS = 4  # bubblewrap and the supervisor
_OWN_MEMORY = 24 << 20  # their pages, where they were charged to the group
_REMOVE_PATIENCE = 1.0


@dataclass(frozen=True)
class Used:
    """What a group took: its peak in bytes, and whether the kernel ended something of it for memory."""

    memory_peak: int
    oom: bool


class Grant:
    """Folders beneath which we may make groups.

    Args:
        folders: one of version 2, or of version 1 one with `memory` and one with `pids`.

    Raises:
        SandboxUnavailableError: a folder is not there, cannot be written, or lacks its controller.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = tuple(Path(folder) for folder in folders)
        self.unified = len(self.folders) == 1 and (self.folders[0] / "cgroup.controllers").exists()
        try:
            if self.unified:
                (self.folders[0] / "cgroup.subtree_control").write_text("+memory +pids")
            trial = Group(self.folders, unified=self.unified)
            try:
                trial.limit(Limits())
            finally:
                trial.remove()
        except OSError as error:
            raise SandboxUnavailableError(
                f"the control group {', '.join(folders)} cannot be used: {error.strerror} ({error.filename})"
            ) from error

    def make(self, pids: Sequence[int]) -> "Group":
        """Make a group and move these processes into it.

        Raises:
            OSError: the machine refuses.
        """
        group = Group(self.folders, unified=self.unified)
        try:
            group.add(pids)
        except BaseException:
            group.remove()
            raise
        return group

    def reap(self) -> list[str]:
        """Remove the groups of dead runs; return a line for each."""
        told = []
        for folder in self.folders:
            for path in folder.iterdir():
                if path.is_dir() and mark.is_orphan(path.name):
                    Group((), unified=self.unified, paths=(path,)).remove()
                    told.append(f"removed the control group {path} of a run that is dead")
        return told


class Group:
    """One worker's group."""

    def __init__(self, parents: Sequence[Path], *, unified: bool, paths: Sequence[Path] = ()) -> None:
        name = f"{mark.mine()}-{secrets.token_hex(6)}"
        self._unified = unified
        self._paths = tuple(paths) or tuple(parent / name for parent in parents)
        for path in self._paths:
            path.mkdir(exist_ok=bool(paths))

    def add(self, pids: Sequence[int]) -> None:
        """Move processes here; what they start later is born here."""
        for path in self._paths:
            for pid in pids:
                (path / "cgroup.procs").write_text(str(pid))

    def limit(self, limits: Limits) -> None:
        """Set the limits. Files in the run's own folders count as memory too."""
        memory = limits.memory + limits.disk + limits.disk // 4 + _OWN_MEMORY
        if self._unified:
            self._write("memory.max", memory)
            self._write("memory.swap.max", 0, must=False)
            self._write("memory.oom.group", 1, must=False)
        else:
            self._write("memory.limit_in_bytes", memory)
            self._write("memory.memsw.limit_in_bytes", memory, must=False)
        self._write("pids.max", limits.pids + _OWN_TASKS)

    def used(self) -> Used:
        """Read what the group took so far."""
        if self._unified:
            events = dict(line.split() for line in self._read("memory.events").splitlines())
            return Used(int(self._read("memory.peak") or 0), int(events.get("oom_kill", 0)) > 0)
        control = dict(line.split() for line in self._read("memory.oom_control").splitlines())
        return Used(int(self._read("memory.max_usage_in_bytes") or 0), int(control.get("oom_kill", 0)) > 0)

    def kill(self) -> None:
        """Kill everything in the group."""
        if self._unified and (self._paths[0] / "cgroup.kill").exists():
            self._write("cgroup.kill", 1, must=False)
            return
        for path in self._paths:
            with contextlib.suppress(OSError):
                for pid in (path / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    def remove(self) -> None:
        """Kill what is left and remove the group. What the kernel still holds is left to the next reaping."""
        self.kill()
        until = time.monotonic() + _REMOVE_PATIENCE
        for path in self._paths:
            while time.monotonic() < until:
                try:
                    path.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)  # the last process is leaving; it takes the kernel a moment
                else:
                    break

    def _write(self, name: str, value: int, *, must: bool = True) -> None:
        for path in self._paths:
            if (path / name).exists():
                (path / name).write_text(str(value))
                return
        if must:
            raise FileNotFoundError(2, "the controller is not there", name)

    def _read(self, name: str) -> str:
        for path in self._paths:
            with contextlib.suppress(OSError):
                return (path / name).read_text()
        return ""


def granted() -> Grant | None:
    """Return the grant that the environment names, if any.

    Raises:
        SandboxUnavailableError: it names one that cannot be used: never silently without.
    """
    text = os.environ.get(VARIABLE, "")
    return _tried(text) if text else None


@cache
def _tried(text: str) -> Grant:
    """A grant is tried once; one that was refused is tried again."""
    return Grant(text.split(","))
