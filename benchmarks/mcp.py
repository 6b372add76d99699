"""What a call costs an MCP client through Pratique, against a bare server of the official SDK.

Both servers are processes of their own on standard input and output; the client is the same. The bare one
answers as many bytes and decides nothing. The governed one is `pratique mcp serve`: each call is decided,
run, and on disk in the chain before it is answered. The two are measured in turn.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server import Server
from mcp.server.stdio import stdio_server

from benchmarks.calls import POLICY
from benchmarks.table import Row

CALLS, QUICK, ROUNDS = 300, 60, 3
ERAS = {"2026-07-28": "2026-07-28", "2025-11-25": "legacy"}
ARGUMENTS = {"customer": "8821"}


def rows(*, quick: bool = False) -> list[Row]:
    """Return one row for each era of the protocol."""
    calls = QUICK if quick else CALLS
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policy.toml").write_text(POLICY)
        (Path(folder) / "pratique.toml").write_text('tools = ["benchmarks.calls"]\nlog_level = "error"\n')
        return [asyncio.run(_row(Path(folder), name, mode, calls)) for name, mode in ERAS.items()]


async def _row(folder: Path, name: str, mode: str, calls: int) -> Row:
    settings = str(folder / "pratique.toml")
    who = ["--agent", "support", "--user", "kim@acme.example", "--config", settings]
    bare = stdio_client(_started("benchmarks.mcp"), errlog=sys.stderr)
    governed = stdio_client(_started("pratique", "mcp", "serve", *who), errlog=sys.stderr)
    taken: dict[str, list[float]] = {"bare": [], "governed": []}
    async with Client(bare, mode=mode) as plain, Client(governed, mode=mode) as ours:
        for _ in range(ROUNDS):
            taken["bare"].append(await _each(plain, calls))
            taken["governed"].append(await _each(ours, calls))
    one, other = (statistics.median(taken[side]) * 1000 for side in ("bare", "governed"))
    return Row(
        f"a read over MCP, stdio, {name}, one after the other",
        f"bare {one:.2f} ms, governed {other:.2f} ms",
        f"{other - one:+.2f} ms, {other / one:.1f} times",
        "none set",
    )


async def _each(client: Client, calls: int) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    for _ in range(calls):
        result = await client.call_tool("crm_lookup", ARGUMENTS)
        assert not result.is_error, result
    return (time.perf_counter() - begun) / calls


def _started(module: str, *arguments: str) -> StdioServerParameters:
    root = str(Path(__file__).parents[1])
    return StdioServerParameters(
        command=sys.executable, args=["-m", module, *arguments], env={"PYTHONPATH": root}
    )


async def _bare() -> None:
    async def listed(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="crm_lookup", input_schema={"type": "object"})])

    async def called(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        value = {**(params.arguments or {}), "name": "Maria"}
        return types.CallToolResult(content=[types.TextContent(text=str(value))], structured_content=value)

    server: Server[Any] = Server("bare", on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(_bare())
