"""One suite for every level: the providers live as long as the session, each run gets a fresh sandbox."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import image
from pratique.sandbox.container import ContainerProvider
from pratique.sandbox.engine import Engine
from pratique.sandbox.jail import JailProvider
from pratique.sandbox.restricted import RestrictedProvider
from tests.conftest import tidy
from tests.sandbox import table
from tests.sandbox.places import (
    PLACES,
    Dockerd,
    Place,
    base_image,
    container_place,
    import_base,
    jail_place,
    landlock_place,
    restricted_place,
)
from tests.sandbox.table import Table
from tests.servers.machine import as_root, demand, lacking

# Something that must never be seen inside; set before the first worker starts.
SECRET = "pratique-test-secret-7d1f"
os.environ["SANDBOX_TEST_SECRET"] = SECRET

_TABLE = Table()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "case(number): one of the 36 cases that every level is tried with")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what needs the engine in one process, so that there is one engine; `make check` runs it."""
    here = Path(__file__).parent
    for item in (item for item in items if here in item.path.parents):
        if item.path.name in {"test_container.py", "test_gvisor.py"} or "container" in item.name:
            item.add_marker(pytest.mark.xdist_group("engine"))
            item.add_marker(pytest.mark.slow)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _TABLE.add(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hold the committed table of cases against what ran, or write it anew."""
    if hasattr(session.config, "workerinput"):
        return
    if session.config.getoption("--write-cases"):
        table.path().write_text(_TABLE.text())
    elif _TABLE.disagreements(table.path().read_text()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _TABLE.disagreements(table.path().read_text()):
        terminalreporter.write_line(f"docs/reference/sandbox-cases.md: {line}", red=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def jail() -> AsyncIterator[Place]:
    demand("bwrap", "bubblewrap")
    provider = JailProvider(warm=1, most=4)
    yield jail_place(provider)
    await provider.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def restricted() -> AsyncIterator[Place]:
    demand("bwrap", "bubblewrap")
    provider = RestrictedProvider(warm=1, most=4)
    yield restricted_place(provider)
    await provider.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def landlock() -> AsyncIterator[Place]:
    provider = JailProvider(warm=0, most=4)
    place = landlock_place(provider)
    try:
        async with place.sandbox():
            pass
    except SandboxUnavailableError as error:
        lacking(str(error))
    yield place
    await provider.aclose()


@pytest.fixture(scope="session")
def engine() -> Iterator[Dockerd]:
    """An engine of our own, in folders of our own: whatever runs on this machine is left alone."""
    as_root()
    demand("dockerd", "docker.io")
    demand("docker", "docker-cli")  # newer distributions have it in a package of its own
    dockerd = Dockerd()
    try:
        if why := dockerd.wait() or import_base(dockerd):
            lacking(why)
        yield dockerd
    finally:
        dockerd.stop()
        tidy()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def image_built(engine: Dockerd) -> str:
    host = Engine(engine.host)
    digest = await image.build(host, base=base_image())
    await host.close()
    return digest


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def containers(engine: Dockerd, image_built: str) -> AsyncIterator[ContainerProvider]:
    provider = ContainerProvider(warm=1, most=4, host=engine.host, image=image_built)
    yield provider
    await provider.aclose()


@pytest.fixture(scope="session")
def container(containers: ContainerProvider) -> Place:
    return container_place(containers)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """Every place, one after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture(params=[name for name in PLACES if name != "restricted"])
def open_place(request: pytest.FixtureRequest) -> Place:
    """Every place that runs any code."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found
