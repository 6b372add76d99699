"""Promise: each of the 36 cases is stopped at every level that claims it."""

# Code that is run is kept on the lines that it reads best on.
# The blocking calls are a test's own preparations.
# ruff: noqa: E501, ASYNC240

import asyncio
import contextlib
import json
import os
import secrets
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from pratique.sandbox.backend import File, Grants, Guarantee, Status, Work
from tests.sandbox.cases import CASES, SMALL, Attack, no_escape
from tests.sandbox.conftest import SECRET
from tests.sandbox.places import Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

G = Guarantee
Record = Callable[[str, Any], None]

_ATTACKS = [
    pytest.param(case.number, attack, id=f"{case.number}-{attack.name}".replace(" ", "-"))
    for case in CASES
    for attack in case.attacks
]


def claim(record_property: Record, place: Place, number: int, *needs: Guarantee) -> None:
    """Note for the table whether the place claims this; where it does not, there is nothing to try."""
    missing = sorted(set(needs) - place.guarantees)
    word = "not claimed" if missing else "stopped"
    record_property("case", f"{number}|{place.name}|{word}")
    if missing:
        pytest.skip(f"{place.name} does not claim {', '.join(missing)}")


@pytest.mark.parametrize(("number", "attack"), _ATTACKS)
async def test_an_attack_is_held(place: Place, number: int, attack: Attack, record_property: Record) -> None:
    claim(record_property, place, number, *attack.needs)
    kept = {"list": [1], "text": "a"}

    async def tool(_name: str, _arguments: Any) -> Any:
        return kept

    result = await place.run(
        Work(code=attack.code, inputs=json.dumps(kept).encode()),
        limits=attack.limits,
        grants=Grants(calls=frozenset({"t"})),
        call=tool,
    )
    # At the level restricted the language refuses most of them before anything runs: that holds them too.
    held = attack.holds(result) or (place.name == "restricted" and result.status is Status.ERROR)
    assert held, result
    assert no_escape(result), result
    assert kept == {"list": [1], "text": "a"}


async def test_case_21_a_daemon_does_not_outlive_its_run(place: Place, record_property: Record) -> None:
    claim(record_property, place, 21, G.KILL_TREE)
    marker = f"4{secrets.randbelow(10**9)}"
    code = (
        "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        for fd in range(3): os.close(fd)\n        os.execvp('sleep', ['sleep', '{marker}'])\n"
        "    os._exit(0)\nimport time; time.sleep(0.2); 1"
    )
    await place.code(code, limits=SMALL)
    # An engine answers for a removed container a moment before its last process is gone.
    with anyio.move_on_after(5):
        while _running(marker):  # noqa: ASYNC110  # a process of another kind: nothing would wake us
            await anyio.sleep(0.05)
    assert not _running(marker)


async def test_case_24_only_plain_files_come_out(place: Place, record_property: Record) -> None:
    claim(record_property, place, 24)
    code = (
        "import os\nopen('good.txt', 'w').write('good')\nos.mkdir('sub')\nopen('sub/deep.txt', 'w').write('deep')\n"
        "os.symlink('/etc/hostname', 'link')\nos.symlink('/', 'root')\nos.symlink('sub', 'folder')\n"
        "os.mkfifo('fifo')\nos.link('good.txt', 'hard')\nopen('big', 'wb').write(b'x' * 3_000_000)\n"
        "open('odd\\n\\udcff', 'w').write('odd')\n"
        "for kind in (0o020000, 0o060000):\n    try: os.mknod('dev', kind | 0o600, os.makedev(1, 3))\n"
        "    except OSError: pass\n'ok'"
    )
    limits = SMALL.model_copy(update={"artifact_bytes": 100_000})
    work = Work(code=code, artifacts=True, files=(File(path="given.txt", data=b"given"),))
    result = await place.run(work, limits=limits)
    if place.name == "restricted":
        assert result.status is Status.ERROR
        return
    assert result.status is Status.OK, result
    got = {artifact.path: artifact.data for artifact in result.artifacts}
    assert got.pop("sub/deep.txt") == b"deep"
    odd = [name for name in got if name.startswith("odd")]
    assert got.pop(odd[0]) == b"odd" if odd else True
    assert got == {}, "links, FIFOs, devices, hard links, large and unchanged files stay inside"


async def test_case_24_a_race_in_the_folder_leaks_nothing(place: Place, record_property: Record) -> None:
    claim(record_property, place, 24)
    code = (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    while True:\n"
        "        os.symlink('/etc/passwd', 'x')\n        os.rename('x', 'race')\n"
        "        open('y', 'w').close()\n        os.rename('y', 'race')\nimport time\ntime.sleep(0.1)\n1"
    )
    result = await place.run(Work(code=code, artifacts=True), limits=SMALL)
    assert not any(b"root:" in artifact.data for artifact in result.artifacts)


async def test_case_25_paths_do_not_lead_out(place: Place, record_property: Record, tmp_path: Path) -> None:
    claim(record_property, place, 25, G.NO_HOST_FILES)
    for path in ("../x", "/etc/x", "a/../../x", "a//b", "", ".", "a\0b"):
        with pytest.raises(ValidationError):
            File(path=path, data=b"")
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret.txt"
    secret.write_text("ESCAPED")
    secret.chmod(0o644)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & stat.S_IXOTH == 0 and str(folder).startswith("/tmp/"):  # noqa: S108  # pytest's
            folder.chmod(0o755)
    code = (
        f"paths = ['{secret}', '../..{secret}', '/proc/1/root{secret}', '/proc/self/cwd/../..{secret}',\n"
        "         '/etc/shadow', '/root/.bashrc', '/proc/1/cwd/etc/shadow']\nfound = []\nfor path in paths:\n"
        "    try: found.append('ESCAPED' + open(path).read())\n    except OSError: pass\nfound"
    )
    result = await place.code(code, limits=SMALL)
    assert no_escape(result), result


async def test_case_26_nothing_of_the_host_is_left_lying(place: Place, record_property: Record) -> None:
    claim(record_property, place, 26, G.NO_HOST_FILES)
    code = (
        "import glob, os\nseen = [repr(dict(os.environ))]\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
        "    try: seen.append(open(path, 'rb').read().decode('latin-1'))\n    except OSError: pass\n"
        "fds = []\nfor fd in range(256):\n    try: fds.append([fd, os.fstat(fd).st_mode])\n    except OSError: pass\n"
        "{'seen': seen, 'fds': fds}"
    )
    result = await place.code(code, limits=SMALL)
    assert SECRET.encode() not in (result.value_json or b"") + result.stdout
    if place.name == "restricted":
        assert result.status is Status.ERROR
        return
    told = json.loads(result.value_json or b"null")
    kinds = {stat.S_IFMT(mode) for _, mode in told["fds"]}
    assert kinds <= {stat.S_IFIFO, stat.S_IFSOCK}, "only pipes and our own sockets are open inside"
    assert len(told["fds"]) <= 5


async def test_case_27_the_host_survives_signals_to_all(place: Place, record_property: Record) -> None:
    claim(record_property, place, 27, G.NO_HOST_PROCESSES)
    code = (
        "import os\nreached = 0\nfor pid in range(2, 40000, 7):\n    try: os.kill(pid, 0)\n"
        f"    except OSError: continue\n    reached += 1\ntry: os.kill({os.getpid()}, 9)\nexcept OSError: pass\nreached"
    )
    result = await place.code(code, limits=SMALL)
    assert result.status is Status.ERROR or int(result.value_json or b"0") <= 2


async def test_case_28_no_socket_leads_out(place: Place, record_property: Record) -> None:
    claim(record_property, place, 28, G.NO_NET)
    name = f"pratique-{secrets.token_hex(6)}"
    path = f"/tmp/{name}.sock"  # noqa: S108  # a place that everybody could reach
    listeners = [socket.socket(family) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX)]
    addresses: tuple[Any, ...] = (("127.0.0.1", 0), f"\0{name}", path)
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen()
    Path(path).chmod(0o777)
    port = listeners[0].getsockname()[1]
    code = (
        "import socket\nS, D, U = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_UNIX\nfound = []\n"
        f"tries = [(socket.AF_INET, S, ('127.0.0.1', {port})), (socket.AF_INET, D, ('127.0.0.1', 53)),\n"
        f"         (U, S, '\\0{name}'), (U, S, '{path}'), (U, D, '{path}'), (U, S, '/var/run/docker.sock'),\n"
        "         (socket.AF_INET, S, ('1.1.1.1', 443)), (socket.AF_INET6, S, ('::1', 80)),\n"
        "         (socket.AF_INET, S, ('169.254.169.254', 80)), (socket.AF_NETLINK, socket.SOCK_RAW, (0, 0))]\n"
        "for family, kind, address in tries:\n    try:\n        with socket.socket(family, kind) as sock:\n"
        "            sock.settimeout(1)\n            sock.connect(address)\n"
        "            if kind == S or family == U: found.append('ESCAPED ' + repr(address))\n"
        "    except OSError: pass\n"
        "try:\n    a, b = socket.socketpair(U, D)\n"
        f"    a.connect('{path}')\n    found.append('ESCAPED pair')\nexcept OSError: pass\nfound"
    )
    try:
        result = await place.code(code, limits=SMALL)
    finally:
        for listener in listeners:
            listener.close()
        Path(path).unlink()
    assert no_escape(result), result
    assert result.status is (Status.ERROR if place.name == "restricted" else Status.OK), result


async def test_case_31_nothing_of_a_run_is_seen_by_the_next(place: Place, record_property: Record) -> None:
    claim(record_property, place, 31, G.FRESH)
    mark = secrets.token_hex(8)
    leave = (
        "import os, sys\nfor folder in ('/tmp', '/work', '/dev/shm', '.', '/var/tmp', '/run'):\n"
        f"    try: open(folder + '/{mark}', 'w').write('x')\n    except OSError: pass\nsys.modules['{mark}'] = 1\n1"
    )
    look = (
        f"import os, sys\nfound = ['{mark}' in sys.modules]\n"
        "for folder in ('/tmp', '/work', '/dev/shm', '.', '/var/tmp', '/run'):\n"
        f"    found.append(os.path.exists(folder + '/{mark}'))\n'ESCAPED' if any(found) else 'fresh'"
    )
    await place.code(leave, limits=SMALL)
    result = await place.code(look, limits=SMALL)
    assert no_escape(result), result


async def test_case_33_cancelling_kills_the_tree(place: Place, record_property: Record) -> None:
    claim(record_property, place, 33, G.KILL_TREE)
    marker = f"5{secrets.randbelow(10**9)}"
    code = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
        f"    os.execvp('sleep', ['sleep', '{marker}'])\ntime.sleep(30)"
    )
    if place.name == "restricted":
        code = "import time\nt = time.time()\nwhile time.time() < t + 30: pass"
    before = _children()
    task = asyncio.create_task(place.code(code, limits=SMALL.model_copy(update={"wall": 30.0, "cpu": 30.0})))
    if place.name not in {"restricted", "container"}:
        for _ in range(200):
            if _running(marker):
                break
            await asyncio.sleep(0.02)
    else:
        await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _running(marker)
    assert _children() <= before + 6, "no more than the workers that wait"


async def test_case_35_a_worker_killed_while_it_waits_is_replaced(
    place: Place, record_property: Record
) -> None:
    claim(record_property, place, 35)
    assert (await place.code("1", limits=SMALL)).status is Status.OK
    waiting: list[int] = []
    for _ in range(100):
        waiting = _first_processes_of_containers() if place.name == "container" else _workers()
        if waiting or place.name == "landlock":  # which keeps none warm
            break
        await asyncio.sleep(0.05)
    assert waiting or place.name == "landlock"
    for pid in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    # One that is taken in the very moment of its death is a failed run (`killed`), never a run that is repeated.
    await asyncio.sleep(0.5)
    for _ in range(3):
        result = await place.code("2", limits=SMALL)
        assert result.value_json == b"2", result


async def test_case_36_no_configuration_is_planted(place: Place, record_property: Record) -> None:
    claim(record_property, place, 36, G.NO_HOST_FILES)
    mark = secrets.token_hex(8)
    code = (
        "import os\nfound = []\nhome = os.environ.get('HOME', '/work')\n"
        f"targets = ['/etc/ld.so.preload', '/etc/profile.d/{mark}.sh', '/etc/cron.d/{mark}', '/root/.bashrc',\n"
        f"           '/usr/lib/python3/dist-packages/{mark}.pth', '/usr/lib/python3.11/sitecustomize.py',\n"
        f"           '/usr/local/lib/{mark}.py', '/lib/{mark}', '/bin/{mark}', '/pratique/{mark}',\n"
        f"           '/pratique/guest/sitecustomize.py', '/{mark}', '/var/spool/cron/{mark}', '/home/{mark}']\n"
        "for path in targets:\n    try: open(path, 'w').write('x')\n    except OSError: continue\n"
        "    found.append('ESCAPED ' + path)\n"
        "for name in ('sitecustomize.py', '.bashrc', 'json.py', 'os.py', 'guest.py'):\n"
        "    try: open(home + '/' + name, 'w').write('raise SystemExit(\"ESCAPED\")')\n    except OSError: pass\nfound"
    )
    first = await place.code(code, limits=SMALL)
    second = await place.code("import json\njson.dumps([1])", limits=SMALL)
    assert no_escape(first), first
    assert second.value_json == b'"[1]"', second


def _running(marker: str) -> bool:
    """Whether a process with this argument lives anywhere on the machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def _children() -> int:
    return len(_workers())


def _first_processes_of_containers() -> list[int]:
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _is_mux(path)]


def _is_mux(path: Path) -> bool:
    try:
        return b"from guest.mux import main" in path.read_bytes()
    except OSError:
        return False


def _workers() -> list[int]:
    """Our own workers, by the mark in their last argument."""
    own = f"pratique-{os.getpid()}-".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            continue
        if words[-1].startswith(own) and words[-1].endswith(b"-worker"):
            found.append(int(path.parent.name))
    return found
