"""What a guest process takes upon itself between fork and its first own instruction.

Rules:
- Only limits that the kernel keeps, so that nothing which runs later can lift them.
- Hard limits equal soft ones, but for CPU time: the signal comes first, a second later the end.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_LESSER = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_MEMLOCK, 0),
    (resource.RLIMIT_MSGQUEUE, 0),
    (resource.RLIMIT_SIGPENDING, 64),
)

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def dumpable(*, on: bool) -> None:
    """Open or close this process's own /proc entries and memory to others of its uid."""
    _libc.prctl(_PR_SET_DUMPABLE, int(on), 0, 0, 0)


def filter_calls(program: int) -> None:
    """Install the seccomp program that an open file holds, and close it.

    Raises:
        OSError: the kernel refused it.
    """
    with os.fdopen(program, "rb") as file:
        code = file.read()
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = _Program(len(code) // 8, ctypes.addressof(buffer))
    asked = _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if asked or _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (process 1 is that anyway)."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def limit(limits: "dict[str, Any]", spare: int, *, own_users: bool) -> None:
    """Set the resource limits of a run; `limits` are the fields of `backend.Limits`.

    Args:
        limits: what the run may take.
        spare: tasks of ours that count for the same user: the relay's.
        own_users: whether this user namespace is the run's alone. Elsewhere the kernel would count every
            process of this uid on the machine; there a control group or the watch keeps the number.
    """
    seconds = max(1, math.ceil(limits["cpu"]))
    _set(resource.RLIMIT_CPU, seconds, seconds + 1)
    if limits.get("address_space", True):  # a service's runtime reserves far more than it uses
        _set(resource.RLIMIT_AS, limits["memory"])
    _set(resource.RLIMIT_FSIZE, limits["disk"])
    _set(resource.RLIMIT_NOFILE, limits["open_files"])
    if own_users:
        # The supervisor is a process of this user namespace too.
        _set(resource.RLIMIT_NPROC, limits["pids"] + 1 + spare)
    for which, most in _LESSER:
        # It fails only where the kernel (gVisor's) does not have one, and then nothing needs holding.
        with contextlib.suppress(ValueError):
            _set(which, most)


def detach() -> None:
    """Leave the supervisor's session and its signal settings."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    dumpable(on=True)


def close_all_but(keep: "set[int]") -> None:
    """Close every descriptor that is not standard or named."""
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 4096)


def _set(which: int, soft: int, hard: "int | None" = None) -> None:
    wanted = soft if hard is None else hard
    most = resource.getrlimit(which)[1]
    # A machine that allows less than was asked for keeps its word, not ours.
    ceiling = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(which, (min(soft, ceiling), ceiling))
