"""Fixtures: a house in a temporary folder, its clock, and one open runtime."""

import asyncio
import gc
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog._config import BoundLoggerLazyProxy

from pratique.ledger.door import Ledger
from pratique.runtime import Runtime
from pratique.sandbox.backend import Probe
from pratique.sandbox.jail import JailProvider
from tests.house import POLICY, Clock, Desk, House
from tests.servers.machine import demand, lacking


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-cases", action="store_true", help="write docs/reference/sandbox-cases.md anew")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """What a test set up for logging ends with it: loggers remember what they were first used under."""
    yield
    if not structlog.is_configured():
        return
    structlog.reset_defaults()
    for name, module in list(sys.modules.items()):
        log = getattr(module, "log", None) if name.startswith("pratique.") else None
        if isinstance(log, BoundLoggerLazyProxy):
            vars(log).pop("bind", None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty, migrated ledger: copying it is faster than making one."""
    folder = tmp_path_factory.mktemp("template") / "ledger"
    Ledger(folder).close()
    return folder


@pytest.fixture(scope="session")
def a_jail() -> None:
    """Go on only where this machine gives a jail; bubblewrap is installed if that may be done."""
    demand("bwrap", "bubblewrap")
    probe = asyncio.run(_probe())
    if not probe.available:
        lacking(probe.reason)


async def _probe() -> Probe:
    provider = JailProvider(warm=0)
    try:
        return await provider.probe()
    finally:
        await provider.aclose()


def tidy() -> None:
    """Collect what docker's library left, without a word about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def tidied() -> Iterator[None]:
    """docker's library leaves the socket of a connection that fails to the garbage collector: collect it."""
    yield
    tidy()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def empty_house(tmp_path: Path, template: Path, clock: Clock, desk: Desk) -> Iterator[House]:
    """A house without a policy."""
    folder = tmp_path / "house"
    shutil.copytree(template, folder)
    with House(folder, clock, desk) as made:
        yield made


@pytest.fixture
def house(empty_house: House) -> House:
    """A house with the usual policy in force."""
    empty_house.apply(POLICY)
    return empty_house


@pytest.fixture
def ledger(empty_house: House) -> Ledger:
    return empty_house.ledger()


@pytest.fixture
def runtime(house: House) -> Runtime:
    return house.runtime()
