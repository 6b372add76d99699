"""Connections to the hostile server, each ended with its test."""

import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pratique.model import Level
from pratique.proxy.bounds import Bounds
from pratique.proxy.child import ChildServer, child
from pratique.proxy.connection import ServerConnection, StaleListingError
from pratique.sandbox.ladder import Ladder

HOSTILE = Path(__file__).parent.parent / "servers" / "hostile.py"
BOUNDS = Bounds(start=30, listing=30, ending=0.5, message_bytes=1 << 20)

Connect = Callable[..., ServerConnection]


async def sent(
    server: ServerConnection,
    name: str,
    arguments: dict[str, Any],
    *,
    timeout: float = 20.0,  # noqa: ASYNC109
    patience: float | None = None,
) -> dict[str, Any]:
    """List and call, as the proxy does; nothing is compared. `patience` is for the list."""
    while True:
        listed = await server.listed(timeout=patience)
        try:
            return await server.call(name, arguments, listed=listed, timeout=timeout)
        except StaleListingError:
            continue


class Journal:
    """What the hostile server wrote down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    @property
    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.lines if line.startswith("start ")]

    def count(self, begin: str) -> int:
        return sum(line.startswith(begin) for line in self.lines)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest_asyncio.fixture
async def ladder() -> AsyncIterator[Ladder]:
    made = Ladder()
    yield made
    await made.aclose()


@pytest_asyncio.fixture
async def connect(journal: Journal, ladder: Ladder) -> AsyncIterator[Connect]:
    """Give what connects to the hostile server in a mode; everything is closed in the end."""
    made: list[ServerConnection] = []

    def to(
        what: str, *, level: Level = Level.INLINE, bounds: Bounds = BOUNDS, **declared: Any
    ) -> ServerConnection:
        variables = {"JOURNAL": str(journal.path)} if level is Level.INLINE else {}
        if level is not Level.INLINE:
            declared["paths"] = (str(HOSTILE), *declared.get("paths", ()))
        declared.setdefault(
            "command",
            (sys.executable if level is Level.INLINE else "python3", "-I", "-S", str(HOSTILE), what),
        )
        server = ChildServer(level=level, **{"variables": variables, **declared})
        made.append(ServerConnection("hostile", partial(child, server, ladder, "hostile", bounds), bounds))
        return made[-1]

    yield to
    for connection in made:
        await connection.aclose()
