"""A server of the official SDK. Usage: sdk_server.py [PORT]; without a port, on standard streams."""

import asyncio
import itertools
import logging
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("reference")
GROWN = itertools.count(1)
JOURNAL = Path(sys.argv[2]) if len(sys.argv) > 2 else None


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no such order")


@server.tool()
async def wait(context: Context) -> str:
    """Tell how it goes on, for an hour."""
    try:
        for minute in range(60):
            await context.report_progress(minute, 60)
            if JOURNAL is not None:
                JOURNAL.write_text("waiting")
            await asyncio.sleep(60)
    except asyncio.CancelledError:
        if JOURNAL is not None:
            JOURNAL.write_text("cancelled")
        raise
    return "done"


@server.tool()
def large(size: int) -> str:
    """Return much."""
    return "x" * size


@server.tool()
async def grow(context: Context) -> str:
    """Get another tool, say so, and return its name."""
    name = f"more-{next(GROWN)}"

    def more() -> str:
        return "more"

    server.add_tool(more, name=name, description="Came later.")
    await context.session.send_tool_list_changed()  # as 2025-11-25 has it
    await context.notify_tools_changed()  # as 2026-07-28 has it
    return name


if __name__ == "__main__":
    logging.disable()
    if len(sys.argv) > 1 and sys.argv[1] != "-":
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
