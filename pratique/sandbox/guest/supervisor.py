"""Process 1 of a jail: waits for one job, starts the guest, keeps the limits, reports, and ends.

Rules:
- One job, then the end: with process 1 everything in the jail dies.
- The guest is a child that has neither the control socket nor a way into this process; one byte on the
  socket that gave it the job says that its code has returned, and ends the run at once.
- What is reported here is for the record; the host enforces time and output itself.
"""

# pathlib would cost every start of a worker its import.
# ruff: noqa: PTH120, PTH103, PTH123, PTH101

import contextlib
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from . import confine, frames, handout, landlock, python, relay, watch

_JOB_LIMIT = 256 << 20
_NOT_STARTED = 127
_KILL_ROUNDS = 20
_DONE = b"D"
_NONE = -1

Runner = Callable[["dict[str, Any]", python.Channel], int]


class Setting(NamedTuple):
    """How this worker was started; see `pratique.sandbox.worker`."""

    control: int
    channel: int
    dial: int
    work: str
    read_only: "list[str]"
    read_write: "list[str]"
    devices: "list[str]"
    first: bool  # process 1 of a namespace, with whose end everything ends
    alone: bool  # its pid namespace has no other processes than this run's (and, above us, our own process 1)
    own_folders: bool  # the writable folders are this run's alone, of a fixed size
    hands_out: bool  # files are sent out by us, because the host cannot look into the folder
    network: bool
    restricted: bool
    seccomp: int


class Guest(NamedTuple):
    """The guest's process, and the socket on which it waits for the job and says that it is done."""

    pid: int
    order: socket.socket


class Seen(NamedTuple):
    """What the watch over the guest saw: the limit that was passed (or nothing), the peaks, how it ended."""

    limit: str
    memory: int
    tasks: int
    done: bool  # its code has returned, by its own word
    ended: bool  # its process has ended


def main(text: str) -> None:
    """Serve one job. `text` is the setting as JSON."""
    setting = Setting(**json.loads(text))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # process 1 takes no signals but those it asked for
    confine.adopt_orphans()
    os.chdir(setting.work)
    if setting.seccomp >= 0:
        confine.filter_calls(setting.seccomp)
    guest = _fork_guest(setting)
    os.close(setting.channel)
    control = socket.socket(fileno=setting.control)
    _rehearse(guest.pid)
    _ready(control, setting)
    confine.dumpable(on=False)
    job = _receive(control)
    if job is not None:
        _serve(job, control, setting, guest)
    os._exit(0)


def _rehearse(pid: int) -> None:
    """Do once, while nobody waits, what every job needs: the second time takes a fraction of the first."""
    json.loads(json.dumps({"limits": {}, "files": [], "wall": 0.5}))
    watch.load()
    watch.peak(pid)
    watch.cpu(pid)
    resource.getrusage(resource.RUSAGE_CHILDREN)
    gc.freeze()


def _rights(setting: Setting) -> int:
    """Prepare what the guest may still open; the host has checked that the kernel can keep it."""
    ports = [relay.PORT] if setting.network else []
    return landlock.prepare(setting.read_only, setting.read_write, setting.devices, ports)


def _ready(control: socket.socket, setting: Setting) -> None:
    """Tell the host, and hand it the work folder while nobody else has touched it."""
    fds = [os.open(setting.work, os.O_PATH | os.O_DIRECTORY)]
    if setting.first:
        # Whoever holds these takes their ends apart; it is slow, and this process's end need not wait for it.
        fds += [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
    about = {"python": sys.version.split()[0], "landlock": landlock.abi()}
    socket.send_fds(control, [frames.pack(frames.READY, json.dumps(about).encode())], fds)
    for fd in fds:
        os.close(fd)


def _receive(control: socket.socket) -> "dict[str, Any] | None":
    """Wait for the job, then put its files in place. None: the host has no job and is gone."""
    try:
        job: dict[str, Any] = json.loads(frames.receive(control, _JOB_LIMIT)[1])
        job["given"] = {}
        for file in job["files"]:
            data = frames.receive(control, _JOB_LIMIT)[1]
            _place(file["path"], data, executable=file["executable"])
            job["given"][file["path"]] = handout.mark(data)
    except frames.FrameError:
        return None
    except OSError as error:
        limit = "disk" if error.errno == errno.ENOSPC else ""
        return {"broken": f"its files cannot be put into the work folder: {error.strerror}", "limit": limit}
    return job


def _place(path: str, data: bytes, *, executable: bool) -> None:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o755 if executable else 0o644)


def _runner(setting: Setting) -> "tuple[Runner, Callable[[], None]]":
    """Load what the guest will need while there is time: what runs a job, and what rehearses one."""
    if not setting.restricted:
        return lambda job, channel: python.run(job["code"], job["inputs"].encode(), channel), python.rehearse
    from . import restricted  # noqa: PLC0415  # only these workers have the library

    def run(job: "dict[str, Any]", channel: python.Channel) -> int:
        return restricted.run(job["code"], job["inputs"].encode(), channel, job["calls"])

    return run, restricted.rehearse


def _serve(job: "dict[str, Any]", control: socket.socket, setting: Setting, guest: Guest) -> None:
    """Run the job to its end and report it."""
    if "broken" in job:
        frames.send_json(control, frames.EXIT, job)
        return
    if setting.network:
        _start_relay(setting)
    started = time.monotonic()
    with contextlib.suppress(OSError):  # a guest that was killed from outside is found dead below
        frames.send_json(guest.order, frames.JOB, job)
    seen = _watch(guest, job["limits"], started, control, setting)
    hands_out = setting.hands_out and job["artifacts"]
    if seen.done and setting.alone and not hands_out:
        figures = _figures(guest.pid, seen)
        _kill_all(setting)  # what is left of them ends while the report travels
        frames.send_json(control, frames.EXIT, figures)
        return
    kills = seen.limit not in {"", "disk"} or not seen.ended or not setting.first
    if kills:
        _kill_all(setting)
    report = _settle(guest.pid, seen, job["limits"], everything=kills and setting.alone)
    if not hands_out or report["limit"]:
        frames.send_json(control, frames.EXIT, report)
        return
    found = handout.collect(job["limits"], job["given"])
    names = {"files": [path for path, _ in found.files], "skipped": found.skipped}
    frames.send_json(control, frames.EXIT, {**report, **names})
    for _, data in found.files:
        frames.send(control, frames.FILE, data)


def _figures(pid: int, seen: Seen) -> "dict[str, Any]":
    """Report on a guest that is done and still there to be looked at."""
    now = watch.load()
    return {
        "rc": 0,
        "limit": seen.limit,
        "memory": max(seen.memory, now.memory, watch.peak(pid)),
        "tasks": max(seen.tasks, now.tasks),
        "cpu": max(now.cpu, watch.cpu(pid)),
    }


def _settle(pid: int, seen: Seen, limits: "dict[str, Any]", *, everything: bool) -> "dict[str, Any]":
    """Take what has ended away, and report on it."""
    rc = _reap(pid, everything=everything)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "rc": 0 if seen.done else rc,
        "limit": seen.limit or ("" if seen.done else _by_signal(rc, limits)),
        "memory": max(seen.memory, used.ru_maxrss << 10),
        "tasks": seen.tasks,
        "cpu": used.ru_utime + used.ru_stime,
    }


def _start_relay(setting: Setting) -> None:
    dial = socket.socket(fileno=setting.dial)
    with relay.listen() as listener:
        relay.fork(listener, dial)
    dial.close()


def _fork_guest(setting: Setting) -> Guest:
    """Start the guest's process and let it give up its rights now, while nobody waits."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Guest(pid, ours)
    rc = _NOT_STARTED
    try:
        channel = python.Channel(socket.socket(fileno=setting.channel))
        runner, rehearse = _runner(setting)
        ruleset = _rights(setting) if landlock.abi() else -1
        confine.detach()
        confine.close_all_but({setting.channel, theirs.fileno(), ruleset} - {-1})
        if ruleset >= 0:
            landlock.restrict(ruleset)
        rehearse()
        me = os.getpid()
        rc = _obey(theirs, setting, runner, channel)
        if rc == 0 and os.getpid() == me:  # a copy of it that ran to its end as well says nothing
            with contextlib.suppress(OSError):  # the code may have closed whatever it found
                theirs.send(_DONE)
                theirs.recv(1)  # the end comes from the supervisor, which looks at what it took before
    finally:
        os._exit(rc)


def _obey(order: socket.socket, setting: Setting, runner: Runner, channel: python.Channel) -> int:
    """Wait for the job, take its limits upon this process, and run it."""
    try:
        job = json.loads(frames.receive(order, _JOB_LIMIT)[1])
        os.environ.update(job["env"])
        spare = relay.THREADS if setting.network else 0
        confine.limit(job["limits"], spare, own_users=setting.first)
        return _run(job, runner, channel)
    except BaseException as error:  # noqa: BLE001  # a guest that cannot start must say so and end
        with contextlib.suppress(BaseException):
            channel.problem("NotStarted", f"{type(error).__name__}: {error}", 0)
        return _NOT_STARTED


def _run(job: "dict[str, Any]", runner: Runner, channel: python.Channel) -> int:
    """Run code here, or become the program."""
    if job["argv"]:
        os.execvpe(job["argv"][0], job["argv"], os.environ)  # noqa: S606  # what a jail is for
    python.unicode_streams()
    return runner(job, channel)


def _watch(
    guest: Guest, limits: "dict[str, Any]", started: float, control: socket.socket, setting: Setting
) -> Seen:
    """Wait for the guest; look at the whole run now and then, until it has ended or passed a limit."""
    memory = tasks = 0
    limit, done = "", False
    # Only a tmpfs of this run's own can be counted.
    folders = [os.open(path, os.O_PATH) for path in setting.read_write] if setting.own_folders else []
    handle = _handle(guest.pid)
    ends = {handle, control.fileno()} - {_NONE}
    word = {guest.order.fileno()}
    ended = False
    tick = limits.get("tick", watch.TICK)
    while not ends.intersection(ready := select.select([*ends, *word], [], [], tick)[0]):
        if ready:
            if _says_done(guest.order):
                done = True
                break
            word.clear()  # it has become a program, or is about to end
            continue
        ended = handle == _NONE and _has_ended(guest.pid)
        if ended:
            break
        now = watch.load()
        memory, tasks = max(memory, now.memory), max(tasks, now.tasks)
        limit = _passed(now, limits, started, setting) or watch.full(folders, limits["files"])
        if limit and limit != "disk":  # a full disk is the guest's to handle; it hurts nobody
            break
    limit = limit or watch.full(folders, limits["files"])
    return Seen(limit, memory, tasks, done, ended or handle in ready)


def _handle(pid: int) -> int:
    """Return a descriptor that can be read when a process has ended; none where the kernel has none."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return _NONE


def _has_ended(pid: int) -> bool:
    """Look whether a child has ended, and leave it to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _says_done(order: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return order.recv(1) == _DONE
    return False


def _passed(now: watch.Load, limits: "dict[str, Any]", started: float, setting: Setting) -> str:
    """Name the limit that the run has passed, if any."""
    if time.monotonic() - started >= limits["wall"]:
        return "wall"
    if now.cpu > limits["cpu"]:
        return "cpu"
    if now.tasks > limits["pids"] + (relay.THREADS if setting.network else 0):
        return "pids"
    if now.memory > limits["memory"] and watch.exact_memory(now.pids) > limits["memory"]:
        return "memory"
    return ""


def _by_signal(rc: int, limits: "dict[str, Any]") -> str:
    """Name the limit whose signal ended the guest, if one did."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if rc == -signal.SIGXCPU or (rc == -signal.SIGKILL and used.ru_utime + used.ru_stime >= limits["cpu"]):
        return "cpu"
    return ""


def _kill_all(setting: Setting) -> None:
    """Kill every descendant, those that are born meanwhile too."""
    if setting.alone:
        # The kernel spares us and process 1, and finishes no fork of a process that a signal waits for.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        return
    for _ in range(_KILL_ROUNDS):
        pids = watch.load().pids
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, they start no others
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        if not pids:
            return


def _reap(pid: int, *, everything: bool) -> int:
    """Take the guest's exit code, and whatever else has ended by now, or (they were killed) all there is."""
    rc = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0 if everything else os.WNOHANG)[0]:
            pass
    return rc
