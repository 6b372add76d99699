"""What one kind of worker is started with, and the command lines that start it.

Rules:
- Pure: a plan in, a command out. Whoever reads this file has read all that a jail can see.
- The environment is empty from the start: a cleared one could still be read in /proc/1/environ.
- Everything is mounted read-only but three folders, each of a fixed size.
- What is lent is mounted last, so that it is seen even beneath a folder that is the jail's own.
- Namespaces are demanded, never tried: a machine that cannot give one gives no jail.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pratique.model import Value
from pratique.sandbox.backend import Limits
from pratique.sandbox.guest.relay import PORT
from pratique.sandbox.interpreter import Interpreter

GUEST_UID = 1000  # inside; it is an unused id outside
HOST_UID = 65533  # outside, when we are root: no account has it, so nothing on the machine is its own
WORK = "/work"
GUEST = "/pratique"

# Systems with a merged /usr have links here, older ones folders.
SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs of the system read to start at all; no secret, no account, no resolver.
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/mime.types",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",  # noqa: S108  # the jail's own
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Plan(Value):
    """One kind of worker.

    Attributes:
        staged: the host's folder with the guest's files.
        uid: the user to become outside first, or None when we have no right to (and no need).
        limits: fixes the sizes of the writable folders.
        lent: files and folders of the machine that can be read inside, under their own names.
    """

    interpreter: Interpreter
    staged: str
    uid: int | None
    network: bool
    restricted: bool
    limits: Limits
    lent: tuple[str, ...] = ()


class Descriptors(Value):
    """The inherited descriptors of a worker, by use; -1 where there is none."""

    control: int
    channel: int
    dial: int
    info: int
    seccomp: int


def bubblewrap(plan: Plan, fds: Descriptors, program: str, label: str) -> list[str]:
    """The command of a worker in fresh namespaces."""
    setting = {
        "control": fds.control,
        "channel": fds.channel,
        "dial": fds.dial,
        "work": WORK,
        "read_only": ["/"],  # the jail's own root: all of it is read-only and meant to be seen
        "read_write": [WORK, "/tmp", "/dev/shm"],  # noqa: S108  # the jail's own
        "devices": list(DEVICES),
        "first": True,
        "alone": True,
        "own_folders": True,
        "hands_out": False,
        "network": plan.network,
        "restricted": plan.restricted,
        "seccomp": -1,  # bubblewrap installs it
    }
    return [
        program,
        *("--die-with-parent", "--as-pid-1", "--info-fd", str(fds.info), "--seccomp", str(fds.seccomp)),
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
        *("--unshare-cgroup-try", "--uid", str(GUEST_UID), "--gid", str(GUEST_UID), "--hostname", "jail"),
        *_system(plan.interpreter),
        *("--ro-bind", plan.staged, GUEST, "--proc", "/proc", "--dev", "/dev"),
        *_writable(plan.limits),
        *(word for path in plan.lent for word in ("--ro-bind", path, path)),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORK),
        *_variables(WORK, network=plan.network),
        *_python(plan.interpreter, GUEST, setting, label),
    ]


def bare(plan: Plan, fds: Descriptors, work: str, label: str) -> list[str]:
    """The command of a worker without namespaces: Landlock and seccomp only."""
    files = [*_SYSTEM_FILES, *SYSTEM_FOLDERS, "/usr", *DEVICES, plan.staged, plan.interpreter.prefix]
    setting = {
        "control": fds.control,
        "channel": fds.channel,
        "dial": -1,
        "work": work,
        "read_only": files,
        "read_write": [work],
        "devices": list(DEVICES),
        "first": False,
        "alone": False,
        "own_folders": False,
        "hands_out": False,
        "network": False,
        "restricted": plan.restricted,
        "seccomp": fds.seccomp,
    }
    return _python(plan.interpreter, plan.staged, setting, label)


def bare_environment(work: str) -> dict[str, str]:
    """The variables of a worker without namespaces, whose only writable folder is its work folder."""
    return {**ENVIRONMENT, "HOME": work, "TMPDIR": work}


def _python(interpreter: Interpreter, staged: str, setting: dict[str, object], label: str) -> list[str]:
    """Start the supervisor. `label` is for those who look at processes; `-I -S` reads no user's files."""
    start = (
        f"import sys; sys.path.insert(0, {staged!r}); from guest.supervisor import main; main(sys.argv[1])"
    )
    return [interpreter.path, "-I", "-S", "-c", start, json.dumps(setting), label]


def _system(interpreter: Interpreter) -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for folder in SYSTEM_FOLDERS:
        if Path(folder).is_symlink():
            arguments += ["--symlink", str(Path(folder).readlink()), folder]
        elif Path(folder).is_dir():
            arguments += ["--ro-bind", folder, folder]
    for path in _SYSTEM_FILES:
        arguments += ["--ro-bind-try", path, path]
    if not interpreter.prefix.startswith("/usr"):
        arguments += ["--ro-bind", interpreter.prefix, interpreter.prefix]
    return arguments


def _writable(limits: Limits) -> list[str]:
    sizes = ((limits.disk, WORK), (max(limits.disk // 4, 4096), "/tmp"), (1 << 20, "/dev/shm"))  # noqa: S108
    return [word for size, path in sizes for word in ("--size", str(size), "--tmpfs", path)]


def _variables(home: str, *, network: bool) -> list[str]:
    variables = {**ENVIRONMENT, "HOME": home}
    if network:
        proxy = f"http://127.0.0.1:{PORT}"
        variables |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
    pairs: Sequence[tuple[str, str]] = sorted(variables.items())
    return [word for name, value in pairs for word in ("--setenv", name, value)]
