"""Promise: what only containers have: the engine may vanish, images are digests, orphans bear a label."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox import interpreter
from pratique.sandbox.backend import Grants, Limits, Spec, Status, Work
from pratique.sandbox.container import ContainerProvider, promises
from pratique.sandbox.engine import LABEL
from pratique.sandbox.probe import probe_all
from tests.sandbox.cases import SMALL
from tests.sandbox.places import PLACES, Dockerd, Place

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # docker's library leaves the socket of a connection that fails to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tidied"),
]

_ODD = 777  # processes; known by it in the engine's list
_SPEC = Spec(level=Level.CONTAINER, minimum=Level.CONTAINER)


class Line:
    """A line to the engine that can be cut: from here, the engine has vanished."""

    def __init__(self, engine: Dockerd, path: Path) -> None:
        self.host = f"unix://{path}"
        self._path = path
        self._engine = engine.host.removeprefix("unix://")
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self._path)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._engine)
        self._writers += [writer, far_writer]
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def line(engine: Dockerd, path: Path) -> AsyncIterator[Line]:
    made = Line(engine, path)
    await made.open()
    try:
        yield made
    finally:
        await made.cut()


async def test_case_32_an_engine_that_vanishes_is_a_failed_run(
    engine: Dockerd, image_built: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    record_property("case", "32|container|stopped")
    async with line(engine, tmp_path / "docker.sock") as cuttable:
        provider = ContainerProvider(warm=0, host=cuttable.host, image=image_built)
        odd = _SPEC.model_copy(update={"limits": Limits(pids=_ODD)})
        sandbox = await provider.acquire(odd)
        run = asyncio.create_task(
            sandbox.run(Work(code="import time\ntime.sleep(20)"), limits=Limits(wall=20), grants=Grants())
        )
        await asyncio.sleep(0.5)
        await cuttable.cut()
        result = await run
        assert (result.status, result.value_json) == (Status.UNAVAILABLE, None), result
        assert "out of reach" in result.error
        await sandbox.aclose()
        with pytest.raises(SandboxUnavailableError, match="out of reach"):
            await provider.acquire(_SPEC)
        await provider.aclose()
    for _ in range(100):
        lost = [about for about in _inspect(engine) if about["HostConfig"]["PidsLimit"] > _ODD]
        if not any(about["State"]["Running"] for about in lost):
            break
        await asyncio.sleep(0.1)
    assert len(lost) == 1
    assert not lost[0]["State"]["Running"], "a container that nobody listens to ends by itself"
    engine.docker("rm", "-f", lost[0]["Id"])


def _inspect(engine: Dockerd) -> list[dict[str, Any]]:
    """All of our containers, as the engine describes them."""
    names = engine.docker("ps", "-aq", "--filter", f"label={LABEL}").stdout.decode().split()
    return [json.loads(engine.docker("inspect", name).stdout)[0] for name in names]


@pytest.mark.parametrize("place_name", [name for name in PLACES if name != "container"])
async def test_case_32_levels_without_an_engine_have_none_to_lose(
    place_name: str, record_property: Callable[[str, Any], None]
) -> None:
    record_property("case", f"32|{place_name}|not claimed")


async def test_a_missing_image_and_a_missing_engine_say_what_helps(engine: Dockerd, tmp_path: Path) -> None:
    provider = ContainerProvider(host=engine.host, image="no-such-image:1")
    with pytest.raises(SandboxUnavailableError, match="pratique sandbox image"):
        await provider.acquire(_SPEC)
    await provider.aclose()
    provider = ContainerProvider(host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailableError, match=r"out of reach: unix://.*/none.sock: No such file"):
        await provider.acquire(_SPEC)
    probe = await provider.probe()
    assert not probe.available
    assert "apt-get install docker.io" in probe.remedy[0]
    await provider.aclose()


@pytest.mark.slow
async def test_doctor_is_right_for_who_may_not_speak_to_the_engine(engine: Dockerd) -> None:
    """As an ordinary user, in a process of its own: there are jails, and no container, with the reason."""
    sources = Path(__file__).parents[2]
    if not interpreter.open_to_all(str(sources / "pyproject.toml")):
        pytest.skip("an ordinary user cannot read this source tree")
    command = [
        *("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin"),
        *(f"DOCKER_HOST={engine.host}", f"PYTHONPATH={sources}:{':'.join(sys.path)}", "HOME=/nonexistent"),
        *(interpreter.find().path, "-m", "pratique", "doctor", "--json"),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    told = {(probe["level"], probe["backend"]): probe for probe in json.loads(done.stdout)}
    assert told["jail", "bubblewrap"]["available"]
    assert told["jail", "bubblewrap"]["details"]["as"] == "an ordinary user"
    container = told["container", "docker"]
    assert not container["available"]
    assert container["reason"].endswith("Permission denied")
    assert container["remedy"] == [
        "let this user speak to it (the group `docker` is as good as root), or name another: DOCKER_HOST"
    ]


async def test_doctor_is_right_with_an_engine(
    engine: Dockerd, image_built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    probe = next(probe for probe in await probe_all() if probe.level is Level.CONTAINER)
    assert probe.available, probe
    assert probe.guarantees == promises(gvisor=False)
    assert probe.details["interpreter"] == image_built
    assert probe.details["kernel"].startswith("this machine's")
    assert "runsc" in probe.remedy[-1]


async def test_orphans_are_known_by_their_label_and_only_they_are_removed(
    engine: Dockerd, image_built: str, containers: ContainerProvider
) -> None:
    names = {}
    for label in ("pratique-999999999-1", "somebody-else"):
        made = engine.docker("create", "--label", f"{LABEL}={label}", image_built)
        names[label] = made.stdout.strip().decode()
    told = await containers.reap_orphans()
    left = engine.docker("ps", "-aq", "--no-trunc").stdout.decode().split()
    assert len(told) == 1
    assert names["pratique-999999999-1"] not in left
    assert names["somebody-else"] in left
    engine.docker("rm", "-f", names["somebody-else"])


async def test_a_container_is_hardened_as_the_engine_sees_it(engine: Dockerd, container: Place) -> None:
    async with container.sandbox():
        running = engine.docker("ps", "-q", "--filter", f"label={LABEL}").stdout.decode().split()
        host = [json.loads(engine.docker("inspect", name).stdout)[0] for name in running]
    assert host
    for about in host:
        options = about["HostConfig"]
        assert (options["NetworkMode"], options["ReadonlyRootfs"], options["CapDrop"]) == (
            "none",
            True,
            ["ALL"],
        )
        assert "no-new-privileges" in options["SecurityOpt"]
        assert options["Memory"] == options["MemorySwap"] > 0
        assert options["PidsLimit"] > 0
        assert not options["Binds"]
        assert not options["Privileged"]
        assert about["Config"]["User"] == "65534:65534"
        assert about["Image"].startswith("sha256:")


async def test_nothing_is_left_when_a_provider_closes(engine: Dockerd, image_built: str) -> None:
    provider = ContainerProvider(warm=2, host=engine.host, image=image_built)
    await provider.warm_up(Spec(level=Level.CONTAINER, minimum=Level.CONTAINER, limits=SMALL))
    mine = "ancestor=" + image_built
    assert engine.docker("ps", "-q", "--filter", mine).stdout
    before = set(engine.docker("ps", "-aq", "--filter", mine).stdout.split())
    await provider.aclose()
    after = set(engine.docker("ps", "-aq", "--filter", mine).stdout.split())
    assert len(before - after) == 2


@pytest.mark.slow
async def test_who_is_cancelled_while_a_container_is_made_leaves_none(
    engine: Dockerd, image_built: str
) -> None:
    provider = ContainerProvider(warm=0, most=1, host=engine.host, image=image_built)
    mine = "ancestor=" + image_built
    before = set(engine.docker("ps", "-aq", "--filter", mine).stdout.split())
    await (await provider.acquire(_SPEC)).aclose()
    for moment in range(0, 40, 3):
        acquiring = asyncio.create_task(provider.acquire(_SPEC))
        await asyncio.sleep(moment / 1000)
        acquiring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await acquiring).aclose()
    await provider.aclose()
    assert set(engine.docker("ps", "-aq", "--filter", mine).stdout.split()) <= before
