"""Calls a tool's body as stage 5 does: validated arguments, and a context with what the tool declared."""

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from pratique.audit.canonical import canonical
from pratique.model import CLEAN, Call, Request, Subject, Taint
from pratique.tools.context import ToolContext, World
from pratique.tools.registry import Tool

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    roots = {name: tmp_path / name for name in ("maildir", "drafts", "outbox", "tickets", "files")}
    for root in roots.values():
        root.mkdir()
    for name in ("cur", "new", "tmp"):
        (roots["maildir"] / name).mkdir()
    return World(roots)


@pytest.fixture
def run(world: World) -> Run:
    """`await run(tool, call_id="c1", user=…, session=…, **args)` gives the tool's result.

    The result must be JSON within the tool's own limit, as stage 6 demands.
    """

    async def run(
        tool: Tool,
        /,
        *,
        call_id: str = "c1",
        session: str = "s1",
        user: str = "kim@acme.example",
        **args: Any,
    ) -> Any:
        valid = tool.arguments.model_validate_json(orjson.dumps(args))
        call = _call(
            tool,
            args,
            Subject(session=session, trace_id="t", agent="support", tenant="default", user=user),
            call_id,
        )
        async with ToolContext(call, world) as context:
            result = tool.function(context, **{name: getattr(valid, name) for name in tool.names})
            result = await result if inspect.isawaitable(result) else result
        return orjson.loads(canonical(result, most_bytes=tool.capability.result_limit))

    return run


def _call(tool: Tool, args: dict[str, Any], subject: Subject, call_id: str) -> Call:
    body = canonical(args, most_bytes=2**24)
    request = Request(
        subject=subject,
        context=CLEAN,
        call_id=call_id,
        tool=tool.capability.name,
        args_json=body,
    )
    return Call(
        request=request,
        capability=tool.capability,
        args=args,
        label=CLEAN,
        taint=Taint.NONE,
        digest=hashlib.sha256(body).hexdigest(),
    )
