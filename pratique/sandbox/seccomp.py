"""Builds the seccomp program of a jail: which system calls are closed, group by group, and why.

Rules:
- A deny-list: an allow-list breaks programs that a library's next release uses differently, and is then
  widened in haste. What it must stop is stopped by namespaces and Landlock too; this is the second wall.
- Denied calls fail with EPERM, so that a program can go on; those that C libraries probe for fail with
  ENOSYS, so that they take the older way.
- Calls of another architecture (32-bit, x32) end the process: their numbers would pass as something else.
- libseccomp writes the program (through pyseccomp): it knows each architecture's numbers, and puts the
  check of the architecture first. Only the names are ours.

Source: seccomp(2); the groups follow Docker's default profile, `oci/profiles/seccomp` of moby.
"""

import errno
import tempfile
from functools import cache
from typing import Any, NamedTuple

from pratique.errors import SandboxUnavailableError


class Group(NamedTuple):
    """System calls that are closed for one reason. Names that a machine does not know are left out."""

    why: str
    calls: tuple[str, ...]
    code: int = errno.EPERM


GROUPS = (
    Group(
        "new namespaces open kernel code that only root could reach before",
        ("unshare", "setns"),
    ),
    Group(
        "its flags lie in memory, where a filter cannot look; C libraries fall back to clone",
        ("clone3",),
        errno.ENOSYS,
    ),
    Group(
        "mounts change what a path means",
        (
            *("mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
            *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd"),
            *("swapon", "swapoff"),
        ),
    ),
    Group(
        "io_uring does its work past this filter",
        ("io_uring_setup", "io_uring_enter", "io_uring_register"),
        errno.ENOSYS,
    ),
    Group(
        "programs, modules and counters in the kernel itself",
        (
            *("bpf", "perf_event_open", "init_module", "finit_module", "delete_module", "create_module"),
            *("kexec_load", "kexec_file_load", "iopl", "ioperm", "modify_ldt", "lookup_dcookie", "uselib"),
            *("nfsservctl", "_sysctl", "sysfs", "ustat", "vm86", "vm86old", "personality"),
        ),
    ),
    Group(
        "another process's memory or descriptors",
        (
            *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
            *("move_pages", "migrate_pages"),
        ),
    ),
    Group("keys belong to a user, not to a jail", ("add_key", "request_key", "keyctl")),
    Group(
        "handles open files by number, past every path",
        ("open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark"),
    ),
    Group("a fault held open stretches the kernel's races", ("userfaultfd",)),
    Group(
        "memory that no limit of a process counts",
        (
            *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "shmdt", "msgget", "msgsnd"),
            *("semget", "semop", "semtimedop", "mq_open", "set_mempolicy", "mbind"),
        ),
        errno.ENOSYS,
    ),
    Group(
        "the machine's clock, name and power",
        (
            *("clock_settime", "clock_adjtime", "settimeofday", "adjtimex", "sethostname", "setdomainname"),
            *("reboot", "syslog", "acct", "vhangup"),
        ),
    ),
)

# Kept open only in parts: why, the call, and the argument test that is denied.
_CLONE_NAMESPACES = 0x7E020080  # CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}
_AF_INET, _AF_INET6 = 2, 10
_SOCK_TYPE, _SOCK_OTHERS = 0xF, (2, 3, 4, 5, 6, 10)  # all types but SOCK_STREAM
_INPUT_IOCTLS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into a terminal that is shared


@cache
def program(*, network: bool) -> bytes:
    """Return the BPF program, as `bwrap --seccomp` and prctl(2) take it.

    Args:
        network: whether TCP sockets may be made; where they lead is decided elsewhere.

    Raises:
        SandboxUnavailableError: pyseccomp or libseccomp is missing.
    """
    lib = _library()
    rules = lib.SyscallFilter(lib.ALLOW)
    for group in GROUPS:
        for name in group.calls:
            _deny(lib, rules, group.code, name)
    for flag in (1 << bit for bit in range(32) if _CLONE_NAMESPACES >> bit & 1):
        _deny(lib, rules, errno.EPERM, "clone", lib.Arg(0, lib.MASKED_EQ, flag, flag))
    _deny(lib, rules, errno.EPERM, "prlimit64", lib.Arg(0, lib.NE, 0))
    for request in _INPUT_IOCTLS:
        _deny(lib, rules, errno.EPERM, "ioctl", lib.Arg(1, lib.MASKED_EQ, 0xFFFFFFFF, request))
    _deny_sockets(lib, rules, network=network)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _deny_sockets(lib: Any, rules: Any, *, network: bool) -> None:
    """Leave TCP where hosts were granted, and stream pairs, which lead nowhere else.

    A datagram pair can be connected again, to any socket that has a path; a stream pair cannot.
    """
    not_stream = [lib.Arg(1, lib.MASKED_EQ, _SOCK_TYPE, kind) for kind in _SOCK_OTHERS]
    for kind in not_stream:
        _deny(lib, rules, errno.EACCES, "socketpair", kind)
    if not network:
        _deny(lib, rules, errno.EACCES, "socket")
        return
    # One rule tests each argument once, so the families are closed below, between and above the two.
    families = (lib.Arg(0, lib.LT, _AF_INET), lib.Arg(0, lib.GT, _AF_INET6))
    for family in families:
        _deny(lib, rules, errno.EACCES, "socket", family)
    for between in range(_AF_INET + 1, _AF_INET6):
        _deny(lib, rules, errno.EACCES, "socket", lib.Arg(0, lib.EQ, between))
    for kind in not_stream:
        _deny(lib, rules, errno.EACCES, "socket", kind)


def _deny(lib: Any, rules: Any, code: int, name: str, *tests: Any) -> None:
    """Close one call; one that this machine's architecture or libseccomp does not know cannot be made."""
    if lib.resolve_syscall(lib.system_arch(), name) >= 0:
        rules.add_rule(lib.ERRNO(code), name, *tests)


def _library() -> Any:
    try:
        import pyseccomp  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types; it is an extra
    except (ImportError, RuntimeError, OSError) as error:
        raise SandboxUnavailableError(
            f"no seccomp filter can be made ({error}): install pratique[sandbox] and the system's libseccomp2"
        ) from error
    return pyseccomp
