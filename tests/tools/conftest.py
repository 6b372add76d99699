"""Runs a tool as the runtime does between its decision and its record: stages 1 and 5, unchanged."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from pratique.audit.canonical import canonical
from pratique.capabilities.policy import Policy
from pratique.errors import ToolError
from pratique.model import CLEAN, Request, Status, Subject, Unresolved
from pratique.stages.provenance import Provenance
from pratique.stages.resolve import resolve
from pratique.tools.context import World
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry, Tool

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

    Raises ValueError for arguments that do not validate, and ToolError for what the tool refuses. Any other
    exception of the tool's is a failed test.
    """
    executor = Executor(world)

    async def run(
        tool: Tool,
        /,
        *,
        call_id: str = "c1",
        session: str = "s1",
        user: str = "kim@acme.example",
        **args: Any,
    ) -> Any:
        subject = Subject(session=session, trace_id="t", agent="support", tenant="default", user=user)
        args_json = canonical(args, most_bytes=2**24)
        request = Request(
            subject=subject,
            context=CLEAN,
            call_id=call_id,
            tool=tool.capability.name,
            args_json=args_json,
        )
        call = resolve(request, Registry([tool]), Provenance(""), Policy(""))
        if isinstance(call, Unresolved):
            raise ValueError(call.problem)  # noqa: TRY004  # the arguments are wrong, not their type
        result = await executor.run(tool, call)
        if result.status is Status.DONE:
            return orjson.loads(result.value_json)
        assert " raised " not in result.error, result.error
        raise ToolError(result.error)

    return run
