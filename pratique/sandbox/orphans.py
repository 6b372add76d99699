"""Ends workers whose Pratique is dead. They should have died with it; this is for when they did not.

Rules:
- Known by the mark in their last argument, which names a process that is gone; nothing else is touched.
- Held by descriptor and looked at again before the signal, so that a number that was given to somebody else
  meanwhile is spared.
"""

import contextlib
import os
import signal
from pathlib import Path

from pratique.sandbox import mark


def reap_processes() -> list[str]:
    """Kill orphaned workers; return a line for each."""
    told = []
    for name in (path.name for path in Path("/proc").iterdir()):
        if name.isdigit() and _label(int(name)):
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(int(name))
                try:
                    if _label(int(name)):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        told.append(f"killed the worker {name} of a run that is dead")
                finally:
                    os.close(handle)
    return told


def _label(pid: int) -> bool:
    """Whether a process bears the mark of a dead owner as its last argument."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    last = words[-1].decode(errors="replace")
    return last.endswith("-worker") and mark.is_orphan(last)
