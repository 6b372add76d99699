"""How what a Pratique made is recognised as its own, and as left behind when that Pratique is dead.

Rules:
- A mark names the process that owns a thing by number and start time: numbers come again, pairs don't.
- Only what bears a mark of a dead owner is ever removed.
"""

import os
from functools import cache
from pathlib import Path

_WORD = "pratique"
_PARTS = 3
_START_TIME = 19  # the field of /proc/PID/stat, counted behind the name


@cache
def _mine(pid: int) -> str:
    return f"{_WORD}-{pid}-{_started(pid)}"


def mine() -> str:
    """Return this process's mark. It has no characters that paths or labels mind."""
    return _mine(os.getpid())


def is_orphan(text: str) -> bool:
    """Whether a text begins with the mark of a process that is gone."""
    parts = text.split("-")
    if len(parts) < _PARTS or parts[0] != _WORD or not (parts[1].isdigit() and parts[2].isdigit()):
        return False
    return _started(int(parts[1])) != int(parts[2])


def _started(pid: int) -> int:
    """When a process started, in ticks since boot; 0 when there is none."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(words[_START_TIME])
