"""Servers that others wrote: the official SDK's, in both versions on both ways, and the reference servers."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pratique.errors import OutcomeUnknownError
from pratique.model import Level
from pratique.proxy.bounds import Bounds
from pratique.proxy.child import ChildServer, child
from pratique.proxy.connection import ServerConnection
from pratique.proxy.link import Opener
from pratique.proxy.remote import RemoteServer, remote
from pratique.sandbox.ladder import Ladder
from pratique.tools.hosts import Network
from tests.proxy.conftest import sent
from tests.proxy.test_hostile import until
from tests.servers.machine import end, free_port, greets
from tests.servers.machine import until as at_last
from tests.servers.npm import installed

SDK = Path(__file__).parent.parent / "servers" / "sdk_server.py"
VERSION = "2026.8.31"
BOUNDS = Bounds(start=20, ending=1)
SLOW = pytest.mark.slow

Way = tuple[Opener, str]


@pytest.fixture(scope="module")
def over_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The SDK's server at an address, and its journal."""
    port, journal = free_port(), tmp_path_factory.mktemp("sdk") / "journal"
    words = [sys.executable, str(SDK), str(port), str(journal)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        at_last(lambda: greets(port), "the server's start")
        yield f"http://127.0.0.1:{port}/mcp", journal
    finally:
        end(process)


@pytest_asyncio.fixture(params=["stdio", "http"])
async def way(
    request: pytest.FixtureRequest, tmp_path: Path, ladder: Ladder
) -> AsyncIterator[tuple[Opener, Path]]:
    """How the SDK's server is reached, and where it writes what happens to it."""
    if request.param == "http":
        url, journal = request.getfixturevalue("over_http")
        yield partial(remote, RemoteServer(url=url, private=True), Network(), "sdk", BOUNDS), journal
        return
    journal = tmp_path / "journal"
    server = ChildServer(command=(sys.executable, str(SDK), "-", str(journal)), level=Level.INLINE)
    yield partial(child, server, ladder, "sdk", BOUNDS), journal


@pytest_asyncio.fixture(params=["2026-07-28", "legacy", "auto"])
async def sdk(request: pytest.FixtureRequest, way: tuple[Opener, Path]) -> AsyncIterator[ServerConnection]:
    connection = ServerConnection("sdk", way[0], BOUNDS, mode=request.param)
    yield connection
    await connection.aclose()


def text_of(result: dict[str, Any]) -> str:
    return "".join(str(part["text"]) for part in result["content"] if part["type"] == "text")


async def test_the_sdks_server_in_both_versions_on_both_ways(sdk: ServerConnection) -> None:
    tools = {tool["name"]: tool for tool in await sdk.definitions()}
    assert {"add", "fail", "large", "wait", "grow"} <= set(tools)
    assert tools["add"]["description"] == "Add two numbers."
    assert tools["add"]["inputSchema"]["required"] == ["a", "b"]
    added = await sent(sdk, "add", {"a": 2, "b": 3}, timeout=10)
    assert added["structuredContent"] == {"result": 5}
    failed = await sent(sdk, "fail", {}, timeout=10)
    assert failed["isError"] is True
    unknown = await sent(sdk, "no-such-tool", {}, timeout=10)
    assert unknown["isError"] is True
    large = await sent(sdk, "large", {"size": 1_000_000}, timeout=10)
    assert len(text_of(large)) == 1_000_000
    sums = await asyncio.gather(*(sent(sdk, "add", {"a": n, "b": n}, timeout=20) for n in range(30)))
    assert [found["structuredContent"]["result"] for found in sums] == [2 * n for n in range(30)]


@pytest.mark.parametrize("version", ["2026-07-28", "legacy"])
async def test_a_call_that_nobody_waits_for_any_more_is_cancelled_in_the_server(
    way: tuple[Opener, Path], version: str
) -> None:
    opener, journal = way
    journal.unlink(missing_ok=True)
    sdk = ServerConnection("sdk", opener, BOUNDS, mode=version)
    await sdk.definitions()
    with pytest.raises(OutcomeUnknownError):
        await sent(sdk, "wait", {}, timeout=1.0)
    await until(lambda: journal.exists() and journal.read_text() == "cancelled")
    await sdk.aclose()


async def kept(sdk: ServerConnection) -> list[dict[str, Any]]:
    """Return a list that is given again: news of it are heard by now."""
    async with asyncio.timeout(10):
        before = await sdk.definitions()
        while True:
            await asyncio.sleep(
                0.1
            )  # a stream for news opens when it opens; a list from before counts as old
            again = await sdk.definitions(max_age=3600)
            if again is before:
                return before
            before = again


@pytest.mark.parametrize("version", ["auto", "legacy"])
async def test_news_of_a_changed_list_arrives_on_every_way(way: tuple[Opener, Path], version: str) -> None:
    sdk = ServerConnection("sdk", way[0], BOUNDS, mode=version)
    try:
        await kept(sdk)
        grown = await sent(sdk, "grow", {}, timeout=10)  # it lists first: what is kept is from before
        name = grown["structuredContent"]["result"]
        async with asyncio.timeout(10):  # the word comes on a stream of its own, maybe after the answer
            while name not in {tool["name"] for tool in await sdk.definitions(max_age=3600)}:  # noqa: ASYNC110  # it tells when it likes
                await asyncio.sleep(0.02)
    finally:
        await sdk.aclose()


@pytest.fixture
def documents() -> Iterator[Path]:
    """A folder with one document, which everybody may read."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "order.txt").write_text("Order 4711: two chairs")
        Path(folder).chmod(0o755)
        yield Path(folder)


Npm = Callable[..., ServerConnection]


@pytest_asyncio.fixture
async def npm(ladder: Ladder) -> AsyncIterator[Npm]:
    """Give what connects to a reference server."""
    made: list[ServerConnection] = []

    def to(name: str, *words: str, level: Level, lent: tuple[str, ...] = ()) -> ServerConnection:
        folder = installed(f"@modelcontextprotocol/server-{name}", VERSION)
        script = folder / "node_modules" / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
        server = ChildServer(command=("node", str(script), *words), level=level, paths=(str(folder), *lent))
        made.append(ServerConnection(name, partial(child, server, ladder, name, BOUNDS), BOUNDS))
        return made[-1]

    yield to
    for connection in made:
        await connection.aclose()


@pytest.fixture(params=[Level.INLINE, Level.JAIL])
def level(request: pytest.FixtureRequest) -> Level:
    if request.param is Level.JAIL:
        request.getfixturevalue("a_jail")
    return Level(request.param)


@SLOW
async def test_the_reference_file_server_reads_what_it_was_given(
    npm: Npm, level: Level, documents: Path
) -> None:
    server = npm("filesystem", str(documents), level=level, lent=(str(documents),))
    names = {tool["name"] for tool in await server.definitions()}
    assert {"read_text_file", "write_file", "list_directory"} <= names
    read = await sent(server, "read_text_file", {"path": str(documents / "order.txt")}, timeout=20)
    assert text_of(read) == "Order 4711: two chairs"
    refused = await sent(server, "read_text_file", {"path": "/etc/hostname"}, timeout=20)
    assert refused["isError"] is True
    written = await sent(
        server, "write_file", {"path": str(documents / "new.txt"), "content": "x"}, timeout=20
    )
    assert written.get("isError", False) is (level is Level.JAIL)


@SLOW
async def test_the_reference_server_that_has_everything(npm: Npm, level: Level) -> None:
    server = npm("everything", level=level)
    names = {tool["name"] for tool in await server.definitions()}
    assert {"echo", "get-sum"} <= names
    assert text_of(await sent(server, "echo", {"message": "hello"}, timeout=20)) == "Echo: hello"
    assert "5" in text_of(await sent(server, "get-sum", {"a": 2, "b": 3}, timeout=20))


@SLOW
async def test_the_reference_memory_server_remembers_within_its_life(npm: Npm) -> None:
    server = npm("memory", level=Level.INLINE)
    entity = {"name": "order 4711", "entityType": "order", "observations": ["two chairs"]}
    await sent(server, "create_entities", {"entities": [entity]}, timeout=20)
    found = await sent(server, "search_nodes", {"query": "chairs"}, timeout=20)
    assert found["structuredContent"]["entities"] == [entity]
