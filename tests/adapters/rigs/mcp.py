"""An MCP client with a scripted model: what it saves is how far it is, and the tickets that it was given.

A client that nobody sits before: it gets tickets, and asks for them when it is resumed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import mcp_types as types

from pratique.adapters.executor import Caller
from pratique.adapters.mcp.server import KEY_META
from pratique.adapters.mcp.shown import TICKET_TOOL
from tests.adapters.clients import LEGACY, MODERN, client_of, text_of
from tests.adapters.rigs.rig import Rig, Step, ToolCall, Turn


class _McpRig(Rig):
    mode = MODERN

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(script)
        self._at = 0
        self._waiting: dict[str, str] = {}  # call id → ticket
        self._beats: list[float] = []

    async def start(self, session: Caller) -> Turn:
        async with client_of(session, self.mode) as client:
            return await self._go(client)

    async def resume(self, session: Caller) -> Turn:
        async with client_of(session, self.mode) as client:
            for call_id, ticket in list(self._waiting.items()):
                result = await client.call_tool(TICKET_TOOL, {"ticket": ticket})
                self._take(call_id, result)
            if not self._waiting:
                self._at += 1
            return await self._go(client)

    async def altered(self, session: Caller, args: dict[str, Any]) -> Turn:
        """Ask again under the same key, with other arguments."""
        changed = [[call._replace(args=args) for call in step] for step in self.script]
        async with client_of(session, self.mode) as client:
            for call in changed[self._at]:
                self._take(call.id, await self._ask(client, call))
        return Turn(tuple(self._waiting.values()), "")

    def saved(self) -> Any:
        return {"_at": self._at, "_waiting": dict(self._waiting)}

    async def _go(self, client: Any) -> Turn:
        while self._at < len(self.script) and not self._waiting:
            step = self.script[self._at]
            for call, result in zip(
                step, await asyncio.gather(*(self._ask(client, call) for call in step)), strict=True
            ):
                self._take(call.id, result)
            if not self._waiting:
                self._at += 1
        return Turn(tuple(self._waiting.values()), "" if self._waiting else "done")

    async def _ask(self, client: Any, call: ToolCall) -> types.CallToolResult:
        meta: Any = {KEY_META: call.id}
        options = {"progress_callback": self._beat} if self.streamed else {}
        given = {"meta": cast(types.RequestParamsMeta, meta), **options}
        return cast(types.CallToolResult, await client.call_tool(call.tool, call.args, **given))

    async def _beat(self, progress: float, *_: Any) -> None:
        self._beats.append(progress)

    def _take(self, call_id: str, result: types.CallToolResult) -> None:
        """Remember what the model was told; a call that waits stays the client's business."""
        meta = result.meta or {}
        if meta.get("pratique/status") == "pending":
            self._waiting[call_id] = str(meta["pratique/ticket"])
        else:
            self._waiting.pop(call_id, None)
        self.heard[call_id] = text_of(result)


class ModernRig(_McpRig):
    """The specification of 2026-07-28."""


class LegacyRig(_McpRig):
    """The handshake of 2025-11-25."""

    mode = LEGACY
