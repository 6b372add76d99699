"""An MCP client, with `pratique mcp serve` as its server."""

import asyncio
import sys
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from person import says_yes
from script import AGENT, ANSWER, REQUEST, STEPS, USER, support_desk

import pratique

PRATIQUE = str(Path(sys.executable).with_name("pratique"))


async def run(runtime: pratique.Runtime, settings: Path) -> str:
    """Run the agent; return its answer."""
    # quick start
    who = ["--agent", AGENT, "--user", USER, "--request", REQUEST, "--config", str(settings)]
    server = StdioServerParameters(command=PRATIQUE, args=["mcp", "serve", *who])
    async with Client(stdio_client(server)) as client:
        for tool, args in STEPS:  # what your model asks for
            result = await client.call_tool(tool, args)
            if ticket := (result.meta or {}).get("pratique/ticket"):
                await says_yes(runtime, ticket)  # a person, at the queue
                result = await client.call_tool("pratique_ticket", {"ticket": ticket})
        # end of quick start
        return "It failed." if result.is_error else ANSWER


async def main() -> None:
    """Run it in a copy of the support example."""
    with support_desk() as settings:
        async with pratique.open_runtime(settings) as runtime:
            print(await run(runtime, settings))


if __name__ == "__main__":
    asyncio.run(main())
