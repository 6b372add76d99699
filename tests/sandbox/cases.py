"""The 36 cases: what hostile code tries, what a place must have promised to be tried with it, what holds it.

Rules:
- An attack that gets through returns, or prints, a word that begins with ESCAPED; anything else that it does
  is judged by `holds`.
- `needs` are the promises without which an attack is not claimed to be stopped.
- Each is bounded by limits that would hold a worse one: none can hurt the machine that it is tried on.
"""

# Code that is run is kept on the lines that it reads best on.
# ruff: noqa: E501

from collections.abc import Callable
from dataclasses import dataclass, field

from pratique.sandbox.backend import Guarantee, Limits, Result, Status

G = Guarantee
SMALL = Limits(wall=3, cpu=2, memory=128 << 20, pids=24, output=65536, result=65536, disk=4 << 20, files=200)
SHORT = SMALL.model_copy(update={"wall": 1.0})

Holds = Callable[[Result], bool]


def no_escape(result: Result) -> bool:
    """Nothing got through, whatever else happened."""
    told = (result.value_json or b"") + result.stdout + result.stderr
    return b"ESCAPED" not in told


def refused(result: Result) -> bool:
    """The language policy, or Python without the missing names, said no."""
    return no_escape(result) and result.status is Status.ERROR and bool(result.error)


def limit(*names: str) -> Holds:
    """One of these limits stopped it, or it was held without reaching one."""
    return lambda result: no_escape(result) and result.status is not Status.OK and result.limit in names


def status(*words: Status) -> Holds:
    return lambda result: no_escape(result) and result.status in words


@dataclass(frozen=True)
class Attack:
    """One thing to try.

    Attributes:
        code: what runs; `plain` is left out where only the language is tried.
        restricted: what runs at the level restricted; None: the same code.
    """

    name: str
    code: str
    needs: frozenset[Guarantee] = frozenset()
    holds: Holds = no_escape
    limits: Limits = SMALL
    restricted: str | None = None


@dataclass(frozen=True)
class Case:
    number: int
    title: str
    attacks: tuple[Attack, ...] = field(default=())


def language(*codes: str) -> tuple[Attack, ...]:
    """Code that the language policy refuses; the other levels promise nothing about the language."""
    needs = frozenset({G.LANGUAGE})
    return tuple(Attack(f"{number}", code, needs, refused) for number, code in enumerate(codes, 1))


def plain(
    name: str, code: str, *needs: Guarantee, holds: Holds = no_escape, limits: Limits = SMALL
) -> Attack:
    """Code that needs the whole language. At the level restricted, the language already refuses it."""
    return Attack(name, code, frozenset(needs), holds, limits)


_BINDERS = (
    "_getattr_ = 1",
    "def _getattr_(a, b): pass",
    "class _getattr_: pass",
    "import math as _getattr_",
    "from math import pi as _getattr_",
    "for _getattr_ in [1]: pass",
    "[0 for _getattr_ in [1]]",
    "(lambda _getattr_: 1)(2)",
    "def f(*_getattr_): pass",
    "def f(**_getattr_): pass",
    "def f(*, _getattr_=1): pass",
    "def f(_getattr_, /): pass",
    "(_getattr_ := 1)",
    "a, _getattr_ = 1, 2",
    "[*_getattr_] = [1]",
    "try:\n    1 / 0\nexcept ZeroDivisionError as _getattr_: pass",
    "with open('x') as _getattr_: pass",
    "global _getattr_\n_getattr_ = 1",
    "def f():\n    global _write_\n    _write_ = 1",
    "del _getattr_",
    "_getattr_ += 1",
    "__builtins__ = {}",
    "printed = 1",
)

_FRAMES = (
    "(x for x in [1]).gi_frame.f_globals",
    "g = (x for x in [1])\ng.gi_code",
    "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    e.__traceback__.tb_frame",
    "def f(): pass\nf.func_globals",
    "def f(): pass\nf.f_back",
    "def f(): pass\nf.cr_frame",
    "def f(): pass\nf.ag_frame",
)

_IMPORTS = tuple(
    f"import {name}"
    for name in (
        *("os", "sys", "subprocess", "importlib", "ctypes", "builtins", "socket", "io", "inspect", "gc"),
        *(
            "operator",
            "types",
            "typing",
            "contextlib",
            "dataclasses",
            "enum",
            "csv",
            "pickle",
            "json.decoder",
        ),
    )
)
_PIVOTS = (
    *_IMPORTS,
    "import json\njson.codecs",
    "import re\nre.enum",
    "import statistics\nstatistics.sys",
    "import uuid\nuuid.os",
    "import datetime\ndatetime.sys",
    "import base64\nbase64.binascii",
    "from json import codecs",
    "from random import _os",
    "__import__('os')",
)

_SYSCALLS = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def closed(number, *arguments):
    answer = libc.syscall(number, *arguments)
    return answer == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)
"""

_CONNECT = """
import socket
def reached(family, kind, address):
    try:
        with socket.socket(family, kind) as sock:
            sock.settimeout(1)
            if kind == socket.SOCK_DGRAM:
                sock.sendto(b'x', address)
            else:
                sock.connect(address)
        return 'ESCAPED'
    except OSError as error:
        return error.errno
"""

CASES = (
    Case(
        1,
        "dunder chains",
        language(
            "().__class__.__bases__[0].__subclasses__()",
            "(lambda: 0).__globals__",
            "[].__reduce_ex__(2)",
            "''.__class__.__mro__",
            "x = 1\nx.__class__ = int",
        ),
    ),
    Case(
        2,
        "str.format and format_map",
        language(
            "'{0.__class__}'.format(1)",
            "'{a.__class__}'.format_map({'a': 1})",
            "str.format('{0.__class__}', 1)",
            "f = 'x'.format\nf()",
            "list(map(str.format, ['{0.__class__}'], [1]))",
        ),
    ),
    Case(
        3,
        "subclasses of Formatter",
        language(
            "import string\nstring.Formatter().format('{0.__class__}', 1)",
            "from string import Formatter",
            "import string\nclass F(string.Formatter): pass",
        ),
    ),
    Case(4, "frames and code objects", language(*_FRAMES)),
    Case(
        5,
        "attrgetter",
        language(
            "from operator import attrgetter",
            "getattr(1, '__class__')",
            "import functools\nfunctools.operator",
            "type(1)",
        ),
    ),
    Case(6, "shadowing the guards", language(*_BINDERS)),
    Case(
        7,
        "names that normalise (NFKC)",
        language(
            "().__\N{MATHEMATICAL BOLD SMALL C}lass__",
            "().\N{FULLWIDTH LOW LINE}_class__",
            "\N{FULLWIDTH LOW LINE}getattr\N{FULLWIDTH LOW LINE} = 1",
            "def f(): pass\nf.func_\N{MATHEMATICAL BOLD SMALL G}lobals",
        ),
    ),
    Case(
        8,
        "except*, match, async",
        language(
            "try:\n    1 / 0\nexcept* ZeroDivisionError: pass",
            "match 1:\n    case _: pass",
            "async def f(): pass",
            "class C(metaclass=int): pass",
        ),
    ),
    Case(9, "pivots through imports", language(*_PIVOTS)),
    Case(
        10,
        "poisoning a module",
        language(
            "import math\nmath.pi = 3",
            "import json\njson.dumps = None",
            "import math\ndel math.pi",
            "from datetime import date\ndate.today = 1",
            "setattr(1, 'a', 2)",
        ),
    ),
    Case(
        11,
        "changing the host's objects",
        (
            plain(
                "inputs and replies",
                "reply = call('t')\nreply['list'].append(1)\nreply['new'] = 2\ninputs['list'].append(1)\n"
                "'ESCAPED' if call('t') == reply else 'copies'",
            ),
        ),
    ),
    Case(
        12,
        "unpacking and % on what the host gave",
        (
            plain(
                "unpacked",
                "def f(*a, **k): return [list(a), k]\n"
                "r = call('t')\n[str(call)[:9] != '', '%(list)s' % r, {**r}, [*r], f(*r, **r), ''.join(r)]",
            ),
        ),
    ),
    Case(
        13,
        "swallowing every exception",
        (
            plain(
                "loop",
                "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
                G.WALL,
                holds=limit("wall", "cpu"),
                limits=SHORT,
            ),
        ),
    ),
    Case(
        14,
        "a sum that holds the GIL",
        (
            plain(
                "pow",
                "9 ** (10 ** 8)\n1",
                G.WALL,
                holds=limit("wall", "cpu", "memory"),
                limits=SHORT,
            ),
        ),
    ),
    Case(
        15,
        "a returned object with a bomb in __eq__",
        (
            plain(
                "eq",
                "class B:\n    def __eq__(self, other): raise SystemExit('ESCAPED')\n    __hash__ = None\nB()",
                holds=refused,
            ),
            plain(
                "str subclass",
                "class S(str):\n    def __str__(self): return 'ESCAPED'\n    def __len__(self): return 1 << 60\nS('a')",
                holds=lambda result: result.status is Status.ERROR or result.value_json == b'"a"',
            ),
        ),
    ),
    Case(
        16,
        "parser depth, NUL",
        (
            plain("brackets", "(" * 100_000, holds=lambda r: r.status is not Status.OK),
            plain("minus", "-" * 100_000 + "1", holds=lambda r: r.status is not Status.OK),
            plain("attributes", "a" + ".a" * 100_000, holds=lambda r: r.status is not Status.OK),
            plain("nul", "a = 1\0\nb", holds=lambda r: r.status is not Status.OK),
        ),
    ),
    Case(
        17,
        "SystemExit",
        (
            plain("code 7", "raise SystemExit(7)", holds=refused),
            plain(
                "code 0",
                "raise SystemExit(0)",
                holds=lambda r: r.status is Status.OK and r.value_json == b"null",
            ),
            plain("os._exit", "import os\nos._exit(0)", holds=refused),
        ),
    ),
    Case(
        18,
        "memory, one and many processes",
        (
            plain(
                "one",
                "x = b'x' * (1 << 30)\n'ESCAPED'",
                G.MEM_PROCESS,
                holds=limit("memory"),
            ),
            plain(
                "many",
                "import os, time\nfor _ in range(10):\n    if os.fork() == 0:\n"
                "        x = bytearray(os.urandom(1 << 20)) * 60\n        time.sleep(2)\n        os._exit(0)\n"
                "time.sleep(2)\n'ESCAPED'",
                G.MEM_TOTAL,
                holds=status(Status.OOM, Status.ERROR, Status.KILLED),
            ),
        ),
    ),
    Case(
        19,
        "fork and thread bombs",
        (
            plain(
                "forks",
                "import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n            time.sleep(2)\n"
                "            os._exit(0)\n        n += 1\nexcept OSError: pass\n'ESCAPED' if n > 40 else n",
                G.PIDS,
            ),
            plain(
                "threads",
                "import threading, time\nn = 0\ntry:\n    while n < 500:\n"
                "        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n        n += 1\n"
                "except RuntimeError: pass\n'ESCAPED' if n > 40 else n",
                G.PIDS,
            ),
            plain(
                "bomb",
                "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
                G.PIDS,
                holds=limit("wall", "cpu", "pids"),
                limits=SHORT,
            ),
        ),
    ),
    Case(
        20,
        "SIGSTOP, sleep",
        (
            plain(
                "stop",
                "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n'ESCAPED'",
                G.WALL,
                holds=lambda r: r.limit == "wall" or r.status is Status.ERROR,
                limits=SHORT,
            ),
            plain(
                "stop all",
                "import os, signal\nfor pid in (1, os.getppid(), 0, -1):\n    try: os.kill(pid, signal.SIGSTOP)\n"
                "    except OSError: pass\n",
                G.WALL,
                G.NO_HOST_PROCESSES,
                holds=lambda r: r.status is not Status.OK or no_escape(r),
                limits=SHORT,
            ),
            plain("sleep", "import time\ntime.sleep(30)", G.WALL, holds=limit("wall", ""), limits=SHORT),
        ),
    ),
    Case(21, "a daemon in a new session"),
    Case(
        22,
        "floods of output, invalid UTF-8",
        (
            plain("stdout", "while True: print('x' * 1000)", G.OUTPUT, holds=limit("output")),
            plain(
                "stderr",
                "import sys\nwhile True: sys.stderr.write('x' * 1000)",
                G.OUTPUT,
                holds=lambda r: r.limit == "output" or refused(r),
            ),
            plain(
                "bytes",
                "import os\nos.write(1, bytes(range(256)) * 10)\n1",
                G.OUTPUT,
                holds=lambda r: r.status is Status.ERROR or len(r.stdout) == 2560,  # as written
            ),
            plain("result", "'x' * 1_000_000", G.OUTPUT, holds=limit("result")),
        ),
    ),
    Case(
        23,
        "disk by size, count, inodes, shm",
        (
            plain(
                "size",
                "import os\nn = 0\ntry:\n    for i in range(100):\n        with open(f'f{i}', 'wb') as f:\n"
                "            for _ in range(10):\n                n += f.write(b'x' * 100_000)\n                f.flush()\n"
                "except OSError: pass\n'ESCAPED' if n > 5_000_000 else n",
                G.DISK,
            ),
            plain(
                "count",
                "import time\nfor i in range(100_000): open(f'f{i}', 'w').close()\ntime.sleep(1)\n'ESCAPED'",
                G.DISK,
                holds=lambda r: r.limit == "files" or refused(r),
            ),
            plain(
                "elsewhere",
                "n = 0\nfor folder in ('/dev/shm', '/tmp', '/var/tmp', '/run', '/', '/dev'):\n    try:\n"
                "        with open(folder + '/f', 'wb') as f:\n            for _ in range(1000):\n"
                "                n += f.write(b'x' * 100_000)\n                f.flush()\n    except OSError: pass\n"
                "'ESCAPED' if n > 8_000_000 else n",
                G.DISK,
            ),
            plain(
                "memory files",
                "import os\ntry:\n    fds = [os.memfd_create(str(i)) for i in range(50)]\n"
                "    'ESCAPED'\nexcept OSError: 'closed'",
                G.FEW_SYSCALLS,
            ),
        ),
    ),
    Case(24, "links, FIFOs and races in the work folder"),
    Case(25, "`..` and absolute paths"),
    Case(26, "environment, /proc/1, leaked descriptors"),
    Case(
        27,
        "ptrace, process_vm, kill(-1)",
        (
            plain(
                "trace",
                _SYSCALLS
                + "'held' if closed(101, 16, 1, 0, 0) and closed(310, 1, 0, 0, 0, 0, 0) else 'ESCAPED'",
                G.FEW_SYSCALLS,
            ),
            plain("kill", "import os\nos.kill(-1, 9)\n'done'", G.NO_HOST_PROCESSES),
            plain(
                "supervisor's memory",
                "import os\nfound = []\nfor pid in (1, os.getppid()):\n    try: open(f'/proc/{pid}/mem', 'r+b')\n"
                "    except OSError: continue\n    found.append('ESCAPED')\nfound",
                G.NO_HOST_PROCESSES,
            ),
        ),
    ),
    Case(28, "TCP, UDP, UNIX and abstract sockets, docker.sock"),
    Case(
        29,
        "user namespaces, mount, io_uring, bpf",
        (
            plain(
                "calls",
                _SYSCALLS
                + "open_ = [n for n in (272, 165, 425, 321, 298, 246, 250, 155, 161, 308, 428, 323)\n"
                "         if not closed(n, 0, 0, 0, 0, 0)]\nopen_ += [] if closed(272, 0x10000000) else ['userns']\n"
                "'ESCAPED ' + str(open_) if open_ else 'held'",
                G.FEW_SYSCALLS,
            ),
            plain(
                "clone",
                _SYSCALLS
                + "'held' if closed(56, 0x10000000 | 17, 0, 0, 0, 0) and closed(435, 0, 88) else 'ESCAPED'",
                G.FEW_SYSCALLS,
            ),
        ),
    ),
    Case(
        30,
        "/proc/sys as root",
        (
            plain(
                "write",
                "import os\nfound = [str(os.getuid())] if os.getuid() == 0 else []\n"
                "for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger',\n"
                "             '/sys/kernel/uevent_helper', '/sys/fs/cgroup/memory/cgroup.procs'):\n"
                "    try: open(path, 'w').close()\n    except OSError: continue\n    found.append('ESCAPED ' + path)\nfound",
                G.NO_HOST_FILES,
            ),
        ),
    ),
    Case(31, "what one call left, seen by the next"),
    Case(32, "the engine vanishes in mid-run"),
    Case(33, "cancellation kills the tree; orphans are reaped"),
    Case(
        34,
        "pickle, deep JSON, NaN, big numbers",
        (
            plain("nan", "float('nan')", holds=refused),
            plain("infinity", "[1e999]", holds=refused),
            plain("deep", "x = []\nfor _ in range(100): x = [x]\nx", holds=limit("result")),
            plain(
                "very deep",
                "x = []\nfor _ in range(100_000): x = [x]\nx",
                holds=lambda r: r.status is not Status.OK,
            ),
            plain("big", "10 ** 30", holds=limit("result")),
            plain("bytes", "b'\\x80\\x04K\\x01.'", holds=refused),
            plain("itself", "x = []\nx.append(x)\nx", holds=refused),
            plain("keys", "{(1, 2): 3}", holds=refused),
        ),
    ),
    Case(35, "a poisoned worker, a stale pool"),
    Case(36, "creating configuration files that are absent"),
)
