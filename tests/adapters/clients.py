"""The official MCP client before a session, in both eras of the protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import mcp_types as types
from mcp import Client

from pratique.adapters.mcp.calling import Calling
from pratique.adapters.mcp.server import KEY_META, one_session, tool_server

MODERN, LEGACY = "2026-07-28", "legacy"
KEY = b"k" * 32


@asynccontextmanager
async def client_of(session: Any, era: str, *, every: float = 5.0, **options: Any) -> AsyncIterator[Client]:
    """Give a client before a session; with an `elicitation_callback`, one that opens links.

    Args:
        session: a session, or what has a server of its own (`connected`).
        era: `MODERN` or `LEGACY`.
        every: seconds between two signs of life.
        options: of the client.
    """
    if hasattr(session, "connected"):
        async with session.connected(era, **options) as client:
            yield client
        return
    calling = Calling(session, every=every)
    server = tool_server(
        one_session(calling),
        state_key=KEY,
        audience=session.id,
        link=lambda ticket: f"https://desk.acme.example/queue/{ticket}",
        patience=0.0,
    )
    async with Client(server, mode=era, **options) as client:
        yield client


def meta_of(key: Any) -> types.RequestParamsMeta:
    meta: Any = {KEY_META: key}
    return cast(types.RequestParamsMeta, meta)


def text_of(result: types.CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, types.TextContent))


def ticket_of(result: types.CallToolResult) -> str:
    assert result.meta is not None
    return str(result.meta["pratique/ticket"])
