"""Promise: where the engine offers gVisor, containers have a kernel of their own, and do the same there."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from pratique.model import Level
from pratique.sandbox import image
from pratique.sandbox.backend import Grants, Guarantee, Spec, Status, Work
from pratique.sandbox.container import ContainerProvider, promises
from pratique.sandbox.engine import Engine
from tests.conftest import tidy
from tests.sandbox.cases import SMALL
from tests.sandbox.places import Dockerd, Place, base_image, import_base
from tests.servers.machine import as_root, demand, lacking

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def gvisor_engine() -> Iterator[Dockerd]:
    """An engine that offers runsc; without a network of its own, which no container of ours has."""
    as_root()
    demand("dockerd", "docker.io")
    runsc = {"path": demand("runsc", "runsc"), "runtimeArgs": ["--network=none", "--ignore-cgroups"]}
    dockerd = Dockerd({"runsc": runsc})
    try:
        if why := dockerd.wait() or import_base(dockerd):
            lacking(why)
        yield dockerd
    finally:
        dockerd.stop()
        tidy()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gvisor(gvisor_engine: Dockerd) -> AsyncIterator[Place]:
    host = Engine(gvisor_engine.host)
    digest = await image.build(host, base=base_image())
    await host.close()
    provider = ContainerProvider(warm=1, most=2, host=gvisor_engine.host, image=digest)
    spec = Spec(level=Level.CONTAINER, minimum=Level.CONTAINER)
    sandbox = await provider.acquire(spec)
    kernel = await sandbox.run(Work(argv=("uname", "-v")), limits=SMALL, grants=Grants())
    await sandbox.aclose()
    if kernel.status is not Status.OK:
        await provider.aclose()
        lacking(f"gVisor does not start here: {kernel.error}")
    yield Place("container", provider.acquire, Level.CONTAINER, promises(gvisor=True))
    await provider.aclose()


async def test_the_kernel_is_not_this_machine_s_and_the_result_says_so(gvisor: Place) -> None:
    result = await gvisor.code("import os\nos.uname().version", limits=SMALL)
    assert (result.status, result.backend) == (Status.OK, "docker/runsc")
    assert json.loads(result.value_json or b"null") != os.uname().version


async def test_doctor_says_that_it_is_used(gvisor_engine: Dockerd, gvisor: Place) -> None:
    provider = gvisor.acquire.__self__  # type: ignore[attr-defined]  # a bound method's
    probe = await provider.probe()
    assert probe.available
    assert probe.details["kernel"].startswith("its own")
    assert probe.lacks["disk"] == "gVisor bounds the bytes, not how many files"
    assert gvisor_engine.docker("ps", "-q").stdout


@pytest.mark.parametrize(
    ("code", "status", "limit"),
    [
        ("inputs", Status.OK, ""),
        ("1 / 0", Status.ERROR, ""),
        ("while True: pass", Status.TIMEOUT, "cpu"),
        ("import time\ntime.sleep(60)", Status.TIMEOUT, "wall"),
        ("print('x' * 10_000_000)", Status.OUTPUT_LIMIT, "output"),
        ("x = b'x' * (1 << 30)", Status.OOM, "memory"),
        ("with open('f', 'wb') as f:\n    while True: f.write(b'x' * 65536)", Status.ERROR, "disk"),
        ("import socket\nsocket.create_connection(('1.1.1.1', 443), 1)", Status.ERROR, ""),
    ],
    ids=["value", "error", "cpu", "wall", "output", "memory", "disk", "network"],
)
async def test_limits_and_walls_are_the_same_there(
    gvisor: Place, code: str, status: Status, limit: str
) -> None:
    result = await gvisor.code(code, limits=SMALL)
    assert (result.status, result.limit) == (status, limit), result


async def test_programs_files_and_calls_of_tools_too(gvisor: Place) -> None:
    ran = await gvisor.run(Work(argv=("sh", "-c", "cat; echo out > f; exit 3"), artifacts=True), stdin=b"in")
    assert (ran.rc, ran.stdout, [(file.path, file.data) for file in ran.artifacts]) == (
        3,
        b"in",
        [("f", b"out\n")],
    )

    async def tool(_name: str, arguments: Any) -> Any:
        return arguments

    result = await gvisor.code("call('t', a=1)", grants=Grants(calls=frozenset({"t"})), call=tool)
    assert result.value_json == b'{"a":1}'


async def test_cancelling_ends_it(gvisor: Place, gvisor_engine: Dockerd) -> None:
    task = asyncio.create_task(gvisor.code("import time\ntime.sleep(60)", limits=SMALL))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Guarantee.KILL_TREE in gvisor.guarantees
    assert gvisor_engine.docker("version").returncode == 0
