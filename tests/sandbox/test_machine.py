"""Promise: what the machine gives is used, what it does not is said; nothing is left behind on it."""

# Code that is run is kept on the lines that it reads best on; preparations may block.
# ruff: noqa: E501, ASYNC220, ASYNC240

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from typer.testing import CliRunner

from pratique.cli import app
from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import cgroup, interpreter, mark, orphans, staging
from pratique.sandbox.backend import Grants, Guarantee, Limits, Spec, Status, Work
from pratique.sandbox.guest import landlock
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider, demand_version
from pratique.sandbox.seccomp import GROUPS, program
from tests.sandbox.cases import SMALL
from tests.sandbox.places import Place

_JAIL = Spec(level=Level.JAIL, minimum=Level.JAIL)
_SOURCES = [path for path in sys.path if path.endswith("site-packages")] + [str(Path(__file__).parents[2])]


@pytest.fixture
def group() -> Iterator[str]:
    """Control groups that were made for this test, and are named to Pratique."""
    roots = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/pids")]
    if not all((root / "cgroup.procs").exists() for root in roots):
        pytest.skip("control groups of version 1 are not mounted here")
    folders = [root / f"pratique-tests-{os.getpid()}" for root in roots]
    try:
        for folder in folders:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    yield ",".join(map(str, folders))
    for folder in folders:
        for left in [path for path in folder.iterdir() if path.is_dir()]:
            left.rmdir()
        folder.rmdir()


async def test_a_granted_control_group_bounds_all_processes_together(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cgroup.VARIABLE, group)
    provider = JailProvider(warm=0)
    sandbox = await provider.acquire(_JAIL)
    assert Guarantee.MEM_TOTAL in sandbox.guarantees
    code = (
        "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n"
        "        x = bytearray(os.urandom(1 << 20)) * 60\n        time.sleep(3)\n        os._exit(0)\ntime.sleep(3)"
    )
    result = await sandbox.run(Work(code=code), limits=SMALL, grants=Grants())
    assert (result.status, result.limit) == (Status.OOM, "memory"), result
    await sandbox.aclose()
    await provider.aclose()
    assert not [path for folder in group.split(",") for path in Path(folder).iterdir() if path.is_dir()]


async def test_a_control_group_that_cannot_be_used_is_an_error_not_a_shrug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(cgroup.VARIABLE, "/sys/fs/cgroup/no-such-group")
    provider = JailProvider(warm=0)
    with pytest.raises(SandboxUnavailableError, match="cannot be used"):
        await provider.acquire(_JAIL)
    await provider.aclose()


async def test_without_bubblewrap_there_is_no_jail_and_no_weaker_one_unasked() -> None:
    provider = JailProvider(warm=0, bubblewrap="/nonexistent/bwrap")
    with pytest.raises(SandboxUnavailableError, match="cannot be started"):
        await provider.acquire(_JAIL)
    probe = await provider.probe()
    assert (probe.available, probe.guarantees) == (False, frozenset())
    assert probe.reason
    sandbox = await provider.acquire(Spec(level=Level.JAIL, minimum=Level.INLINE))
    assert sandbox.level is Level.INLINE, "what is weaker says so"
    result = await sandbox.run(Work(code="1"), limits=SMALL, grants=Grants())
    assert (result.backend, result.level) == ("landlock", Level.INLINE)
    await sandbox.aclose()
    await provider.aclose()


async def test_a_bubblewrap_that_fails_is_quoted(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    provider = JailProvider(warm=1, bubblewrap=str(fake), uid=os.geteuid())
    with pytest.raises(SandboxUnavailableError, match="uid map: Permission denied"):
        await provider.acquire(_JAIL)
    await provider.aclose()


async def test_a_level_above_the_provider_s_own_is_refused() -> None:
    for provider in (JailProvider(warm=0), RestrictedProvider(warm=0)):
        with pytest.raises(SandboxUnavailableError, match="is asked for"):
            await provider.acquire(Spec(level=Level.CONTAINER, minimum=Level.CONTAINER))
        await provider.aclose()


async def test_the_restricted_level_runs_code_only() -> None:
    provider = RestrictedProvider(warm=0)
    sandbox = await provider.acquire(Spec(level=Level.RESTRICTED, minimum=Level.RESTRICTED))
    with pytest.raises(SandboxUnavailableError, match="Python code only"):
        await sandbox.run(Work(argv=("true",)), limits=SMALL, grants=Grants())
    await sandbox.aclose()
    await provider.aclose()
    assert int(demand_version().split(".")[0]) >= 9


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("to", ["2040-01-01", "1999-01-01"])
async def test_a_clock_that_jumps_changes_nothing(place: Place, to: str) -> None:
    code = "import time\ntime.sleep(0.3)\n1"
    if place.name == "restricted":
        code = "for i in range(1_000_000): pass\n1"
    with freeze_time("2030-01-01", real_asyncio=True) as clock:
        task = asyncio.create_task(place.code(code, limits=SMALL))
        await asyncio.sleep(0.05)
        clock.move_to(to)
        assert (await task).status is Status.OK


@pytest.mark.asyncio(loop_scope="session")
async def test_an_ordinary_user_has_jails_too() -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test of this suite runs as an ordinary user already")
    python = "/usr/bin/python3"
    if not interpreter.open_to_all(python) or not all(
        interpreter.open_to_all(f"{path}/.") for path in _SOURCES
    ):
        pytest.skip("an ordinary user cannot read this installation")
    script = (
        "import asyncio, json\nfrom pratique.model import Level\nfrom pratique.sandbox.backend import *\n"
        "from pratique.sandbox.jail import JailProvider\nasync def main():\n    p = JailProvider(warm=0)\n"
        "    s = await p.acquire(Spec(level=Level.JAIL, minimum=Level.JAIL))\n"
        "    w = Work(code=\"import os\\nopen('f', 'w').write('x')\\n[os.getuid(), len(os.listdir('/proc/self/fd'))]\", artifacts=True)\n"
        "    r = await s.run(w, limits=Limits(), grants=Grants())\n    await s.aclose()\n    await p.aclose()\n"
        "    print(r.status, r.value_json, [a.path for a in r.artifacts], r.error)\nasyncio.run(main())"
    )
    command = ["setpriv", "--reuid", "61000", "--regid", "61000", "--clear-groups", python, "-c", script]
    environment = {"PYTHONPATH": ":".join(_SOURCES), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, env=environment, cwd="/", check=False, text=True
    )
    assert done.stdout.startswith("ok b'[1000,"), done.stderr
    assert "['f']" in done.stdout


def test_orphans_are_those_whose_owner_is_gone() -> None:
    assert not mark.is_orphan(mark.mine())
    assert not mark.is_orphan(f"{mark.mine()}-worker")
    assert mark.is_orphan(f"pratique-{os.getpid()}-1-worker"), "the number came again, the start time did not"
    assert mark.is_orphan("pratique-999999999-1-guest-abc")
    for other in ("", "pratique", "somebody-1-2", "pratique-a-b", "pratique-1"):
        assert not mark.is_orphan(other)


def test_orphaned_workers_and_folders_are_removed_and_nothing_else() -> None:
    dead = "pratique-999999999-1"
    sleeper = ["sleep", "60"]
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"{dead}-worker"])
    stranger = subprocess.Popen(sleeper)
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"{mark.mine()}-worker"])
    folder = Path(tempfile.mkdtemp(prefix=f"{dead}-guest-"))
    kept = Path(tempfile.mkdtemp(prefix=f"{mark.mine()}-guest-"))
    try:
        for _ in range(100):
            if len(Path(f"/proc/{orphan.pid}/cmdline").read_bytes().split(b"\0")) > 4:
                break
            time.sleep(0.01)
        told = [*orphans.reap_processes(), *staging.reap()]
        assert any(str(orphan.pid) in line for line in told)
        assert any(str(folder) in line for line in told)
        assert orphan.wait(5) == -9
        assert not folder.exists()
        assert kept.exists()
        assert stranger.poll() is None
        assert ours.poll() is None
    finally:
        for process in (orphan, stranger, ours):
            process.kill()
            process.wait()
        shutil.rmtree(kept)


@pytest.mark.asyncio(loop_scope="session")
async def test_case_33_workers_die_with_the_pratique_that_started_them() -> None:
    script = (
        "import asyncio, os\nfrom pratique.model import Level\nfrom pratique.sandbox.backend import *\n"
        "from pratique.sandbox.jail import JailProvider\nasync def main():\n    p = JailProvider(warm=2)\n"
        "    await p.warm_up(Spec(level=Level.JAIL, minimum=Level.JAIL))\n    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    program_ = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert program_.stdout is not None
    assert await asyncio.to_thread(program_.stdout.readline) == b"ready\n"
    label = f"pratique-{program_.pid}-".encode()
    assert _labelled(label)
    program_.kill()
    program_.wait()
    program_.stdout.close()
    for _ in range(200):
        if not _labelled(label):
            break
        await asyncio.sleep(0.02)
    assert not _labelled(label)
    staging.reap()


def _labelled(label: bytes) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0").split(b"\0")[-1].startswith(label):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_every_group_of_closed_calls_says_why() -> None:
    assert all(group.why and group.calls for group in GROUPS)
    assert len(program(network=False)) % 8 == 0
    assert program(network=False) != program(network=True)


def test_the_kernel_s_landlock_is_known() -> None:
    assert landlock.abi() >= 0


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("tidied")
def test_doctor_tells_the_truth_as_json_and_for_people() -> None:
    told = CliRunner().invoke(app, ["doctor", "--json"])
    probes: list[dict[str, Any]] = json.loads(told.stdout)
    levels = [(probe["level"], probe["backend"]) for probe in probes]
    assert levels[:2] == [("inline", "inline"), ("inline", "landlock")]
    assert [level for level, _ in levels[2:]] == ["restricted", "jail", "container"]
    for probe in probes[1:]:
        assert probe["available"] == bool(probe["guarantees"])
        assert probe["available"] or probe["reason"]
    shown = CliRunner().invoke(app, ["doctor"])
    assert "Sandbox levels" in shown.stdout


@pytest.mark.usefixtures("a_jail")
def test_the_command_runs_and_passes_the_exit_code_on() -> None:
    runner = CliRunner()
    done = runner.invoke(
        app, ["sandbox", "run", "--json", "--level", "jail", "--", "sh", "-c", "echo out; exit 5"]
    )
    assert done.exit_code == 5
    assert json.loads(done.stdout)["stdout"] == "out\n"
    assert runner.invoke(app, ["sandbox", "run", "--level", "inline", "--code", "1"]).exit_code == 126
    assert (
        runner.invoke(app, ["sandbox", "run", "--wall", "0.3", "--code", "while True: pass"]).exit_code == 124
    )
    assert runner.invoke(app, ["sandbox", "run"]).exit_code == 2
    done = runner.invoke(
        app, ["sandbox", "run", "--level", "restricted", "--code", "inputs + 1", "--inputs", "41"]
    )
    assert "42" in done.stdout


def test_limits_that_were_fixed_at_the_start_cannot_grow() -> None:
    async def run() -> Limits:
        provider = JailProvider(warm=0)
        sandbox = await provider.acquire(_JAIL.model_copy(update={"limits": SMALL}))
        result = await sandbox.run(Work(code="1"), limits=Limits(disk=1 << 30), grants=Grants())
        await sandbox.aclose()
        await provider.aclose()
        return result.limits

    assert asyncio.run(run()).disk == SMALL.disk
