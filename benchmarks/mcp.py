"""What a call costs an MCP client through Pratique, against a bare server of the official SDK.

Both servers are processes of their own, on standard input and output or over Streamable HTTP; the client is
the same. The bare one answers as many bytes and decides nothing. The governed one is `pratique mcp serve`, or
`/mcp` of a server, where every request shows its key: each call is decided, run, and on disk in the chain
before it is answered. The two take turns.

The last row goes the other way: a tool of that bare server, called through the proxy of a runtime in this
process, against the same call by the SDK's client. Before each call the proxy asks what the server lists.
"""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server as BareServer
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import pratique
from benchmarks.calls import POLICY
from benchmarks.http import Server, server
from benchmarks.table import Row
from pratique.model import Status, Tier
from pratique.proxy.pins import Pins

CALLS, QUICK, ROUNDS = 150, 40, 3
ERAS = {"2026-07-28": "2026-07-28", "2025-11-25": "legacy"}
ARGUMENTS = {"customer": "8821"}
SCHEMA = {"type": "object", "properties": {"customer": {"type": "string"}}}
PROXIED = """
[agents.support]
owner = "ana@acme.example"

[[allow]]
id = "bare"
to = "support"
tools = ["bare.*"]
taint = "sink"
"""


def rows(*, quick: bool = False) -> list[Row]:
    """Return one row for each transport and each era of the protocol."""
    calls = QUICK if quick else CALLS
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policy.toml").write_text(POLICY)
        (Path(folder) / "pratique.toml").write_text('tools = ["benchmarks.calls"]\nlog_level = "error"\n')
        found = [asyncio.run(_on_pipes(Path(folder), name, mode, calls)) for name, mode in ERAS.items()]
    with _bare_over_http() as bare, server("governed") as governed:
        for name, mode in ERAS.items():
            found.append(asyncio.run(_over_http(bare, governed, name, mode, calls)))
    with tempfile.TemporaryDirectory() as folder:
        found.append(asyncio.run(_through_the_proxy(Path(folder), calls)))
    return found


async def _through_the_proxy(folder: Path, calls: int) -> Row:
    started = _started("benchmarks.mcp")
    command = json.dumps([started.command, *started.args])
    (folder / "policy.toml").write_text(PROXIED)
    (folder / "pratique.toml").write_text(
        f'log_level = "error"\n[servers.bare]\ncommand = {command}\nruns_in = "inline"\n'
        f'environment = {{ PYTHONPATH = "{(started.env or {})["PYTHONPATH"]}" }}\n'
    )
    runtime = pratique.open_runtime(folder / "pratique.toml", logs=True)
    async with runtime, Client(stdio_client(started, errlog=sys.stderr)) as plain:
        elsewhere, pins = runtime.registry.elsewhere, Pins(runtime.ledger)
        assert elsewhere is not None
        await elsewhere.check("bare")
        pins.approve("bare.crm_lookup", pins.find("bare.crm_lookup").seen, Tier.READ, "ana@acme.example")
        async with runtime.session(agent="support", user="kim@acme.example") as session:

            async def ours() -> None:
                outcome = await session.call("bare.crm_lookup", ARGUMENTS)
                assert outcome.status is Status.DONE, outcome

            async def theirs() -> None:
                result = await plain.call_tool("crm_lookup", ARGUMENTS)
                assert not result.is_error, result

            return await _compared(
                "a read through the proxy, stdio, one after the other", theirs, ours, calls
            )


async def _on_pipes(folder: Path, name: str, mode: str, calls: int) -> Row:
    settings = str(folder / "pratique.toml")
    who = ["--agent", "support", "--user", "kim@acme.example", "--config", settings]
    bare = stdio_client(_started("benchmarks.mcp"), errlog=sys.stderr)
    governed = stdio_client(_started("pratique", "mcp", "serve", *who), errlog=sys.stderr)
    async with Client(bare, mode=mode) as plain, Client(governed, mode=mode) as ours:
        return await _row(f"stdio, {name}", plain, ours, calls)


async def _over_http(bare: str, governed: Server, name: str, mode: str, calls: int) -> Row:
    who = {"Authorization": f"Bearer {governed.key}", "Pratique-User": "kim@acme.example"}
    async with (
        httpx2.AsyncClient(timeout=30) as one,
        httpx2.AsyncClient(timeout=30, headers=who) as other,
        Client(streamable_http_client(bare, http_client=one), mode=mode) as plain,
        Client(streamable_http_client(f"{governed.url}/mcp", http_client=other), mode=mode) as ours,
    ):
        return await _row(f"Streamable HTTP, {name}", plain, ours, calls)


async def _row(how: str, plain: Client, ours: Client, calls: int) -> Row:
    def calling(client: Client) -> Callable[[], Awaitable[None]]:
        async def call() -> None:
            result = await client.call_tool("crm_lookup", ARGUMENTS)
            assert not result.is_error, result

        return call

    return await _compared(
        f"a read over MCP, {how}, one after the other", calling(plain), calling(ours), calls
    )


async def _compared(
    what: str, bare: Callable[[], Awaitable[None]], governed: Callable[[], Awaitable[None]], calls: int
) -> Row:
    taken: dict[str, list[float]] = {"bare": [], "governed": []}
    for call in (bare, governed):
        await _each(call, 20)  # warm
    for _ in range(ROUNDS):
        taken["bare"].append(await _each(bare, calls))
        taken["governed"].append(await _each(governed, calls))
    one, other = (statistics.median(taken[side]) * 1000 for side in ("bare", "governed"))
    return Row(
        what,
        f"bare {one:.2f} ms, governed {other:.2f} ms",
        f"{other - one:+.2f} ms, {other / one:.1f} times",
        "none set",
    )


async def _each(call: Callable[[], Awaitable[None]], calls: int) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - begun) / calls


def _started(module: str, *arguments: str) -> StdioServerParameters:
    root = str(Path(__file__).parents[1])
    return StdioServerParameters(
        command=sys.executable, args=["-m", module, *arguments], env={"PYTHONPATH": root}
    )


@contextmanager
def _bare_over_http() -> Iterator[str]:
    """Give the address of the bare server over HTTP."""
    command = [sys.executable, "-m", "benchmarks.mcp", "http"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # this very program
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def _bare() -> BareServer[Any]:
    async def listed(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="crm_lookup", input_schema=SCHEMA)])

    async def called(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        value = {**(params.arguments or {}), "name": "Kim", "agent": "support"}
        return types.CallToolResult(content=[types.TextContent(text=str(value))], structured_content=value)

    return BareServer("bare", on_list_tools=listed, on_call_tool=called)


async def _speak() -> None:
    bare = _bare()
    async with stdio_server() as (read, write):
        await bare.run(read, write, bare.create_initialization_options())


class _Transport:
    """The protocol's transport as an application: a function would be taken for an endpoint."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


def _serve() -> None:
    manager = StreamableHTTPSessionManager(_bare(), stateless=True)

    @asynccontextmanager
    async def running(_: Any) -> AsyncIterator[None]:
        async with manager.run():
            yield

    app = Starlette(routes=[Route("/mcp", _Transport(manager), methods=["POST"])], lifespan=running)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as ours does
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    _serve() if sys.argv[1:] == ["http"] else asyncio.run(_speak())
