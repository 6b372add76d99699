"""Landlock by direct system calls: a process gives up files, TCP ports and signals, for good.

Rules:
- The best ABI that the kernel has; what it lacks is not pretended (`abi()` says which one it is).
- Everything that the ABI can handle is handled, so that a right nobody listed is denied.
- Not covered by any ABI so far: chdir, stat, UNIX sockets with a path. seccomp and mounts see to these.

Source: Documentation/userspace-api/landlock.rst and linux/landlock.h of the kernel.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_PATH, _PORT = 1, 2
_VERSION_FLAG = 1
_NO_NEW_PRIVS = 38

EXECUTE, WRITE, READ, LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FOLDER, _REMOVE, _MAKE_CHAR, _MAKE_FOLDER = 1 << 4, 1 << 5, 1 << 6, 1 << 7
_MAKE_FILE, _MAKE_SOCKET, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_LINK = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15

READ_ONLY = EXECUTE | READ | LIST
# No device nodes and no sockets with a path: a guest has no use for them in its folder.
READ_WRITE = (
    READ_ONLY
    | WRITE
    | _REMOVE_FOLDER
    | _REMOVE
    | _MAKE_FOLDER
    | _MAKE_FILE
    | _MAKE_FIFO
    | _MAKE_LINK
    | _REFER
    | _TRUNCATE
)
_FILE_ONLY = EXECUTE | WRITE | READ | _TRUNCATE | _IOCTL

_HANDLED = ((5, (1 << 16) - 1), (3, (1 << 15) - 1), (2, (1 << 14) - 1), (1, (1 << 13) - 1))
_TCP = 0b11  # bind and connect, ABI 4
_SCOPES = 0b11  # abstract UNIX sockets and signals, ABI 6
_ABI_TCP, _ABI_SCOPES = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


class LandlockError(Exception):
    """The kernel refused; the process is not confined and must not go on."""


def abi() -> int:
    """Return the kernel's Landlock ABI, 0 when it has none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def prepare(
    read_only: Iterable[str], read_write: Iterable[str], devices: Iterable[str], connect: Iterable[int]
) -> int:
    """Build a ruleset and return its descriptor. Paths that do not exist are left out.

    Args:
        read_only: files and folders that may be read and executed.
        read_write: folders that may be changed.
        devices: files that may be read and written, but not removed.
        connect: TCP ports that may be connected to; all others may not, where the ABI knows ports.

    Raises:
        LandlockError: the kernel has no Landlock, or refused a rule.
    """
    version = abi()
    if version < 1:
        raise LandlockError("the kernel has no Landlock")
    files = next(bits for least, bits in _HANDLED if version >= least)
    ports = _TCP if version >= _ABI_TCP else 0
    scopes = _SCOPES if version >= _ABI_SCOPES else 0
    words = [files, ports, scopes][: 1 + (version >= _ABI_TCP) + (version >= _ABI_SCOPES)]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    for path in read_only:
        _allow_path(ruleset, path, READ_ONLY & files)
    for path in read_write:
        _allow_path(ruleset, path, READ_WRITE & files)
    for path in devices:
        _allow_path(ruleset, path, READ | WRITE)
    for port in connect if ports else ():
        rule = struct.pack("=QQ", 0b10, port)
        _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PORT), rule, ctypes.c_uint32(0))
    return ruleset


def restrict(ruleset: int) -> None:
    """Confine this process and all that it will start. There is no way back."""
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise LandlockError("no_new_privs was refused")
    _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _FILE_ONLY
        rule = struct.pack("=Qi", rights, fd)
        _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc.syscall(number, *arguments))
    if answer < 0:
        raise LandlockError(f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return answer
