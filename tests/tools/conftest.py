"""Runs a tool as the runtime does between its decision and its record: stages 1 and 5, unchanged."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pratique.audit.canonical import canonical
from pratique.capabilities.policy import Policy
from pratique.errors import ToolError
from pratique.model import CLEAN, Call, Request, Result, Status, Subject, Unresolved
from pratique.stages.provenance import Provenance
from pratique.stages.resolve import resolve
from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry
from tests.postgres import Postgres
from tests.postgres import server as postgres_server
from tests.tools.sqlhouse import SqlHouse, postgres_house, sqlite_house

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    roots = {name: tmp_path / name for name in ("maildir", "drafts", "outbox", "tickets", "files")}
    for root in roots.values():
        root.mkdir()
    for name in ("cur", "new", "tmp"):
        (roots["maildir"] / name).mkdir()
    return World(roots)


KIM = Subject(session="s1", trace_id="t", agent="support", tenant="default", user="kim@acme.example")


def call_of(tool: Tool, args: dict[str, Any], subject: Subject = KIM, call_id: str = "c1") -> Call:
    """Return the call that stage 1 makes of these arguments; ValueError if they do not validate."""
    request = Request(
        subject=subject,
        context=CLEAN,
        call_id=call_id,
        tool=tool.capability.name,
        args_json=canonical(args, most_bytes=2**24),
    )
    call = resolve(request, Registry([tool]), Provenance(""), Policy(""))
    if isinstance(call, Unresolved):
        raise ValueError(call.problem)  # noqa: TRY004  # the arguments are wrong, not their type
    return call


@pytest.fixture
def perform(world: World) -> Run:
    """`await perform(tool, call_id="c1", user=…, session=…, **args)` gives what became of the call.

    Raises ValueError for arguments that do not validate.
    """
    executor = Executor(world)

    async def perform(
        tool: Tool,
        /,
        *,
        call_id: str = "c1",
        session: str = "s1",
        user: str = "kim@acme.example",
        **args: Any,
    ) -> Result:
        subject = Subject(session=session, trace_id="t", agent="support", tenant="default", user=user)
        return await executor.run(tool, call_of(tool, args, subject, call_id))

    return perform


@pytest.fixture
def run(perform: Run) -> Run:
    """`await run(tool, **as above)` gives the tool's result.

    Raises ValueError for arguments that do not validate, and ToolError for what the tool refuses. Any other
    exception of the tool's is a failed test.
    """

    async def run(tool: Tool, /, **args: Any) -> Any:
        result = await perform(tool, **args)
        if result.status is Status.DONE:
            return orjson.loads(result.value_json)
        assert " raised " not in result.error, result.error
        raise ToolError(result.error)

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def sql_house(request: pytest.FixtureRequest, tmp_path: Path) -> SqlHouse:
    """The same small database on each backend."""
    if request.param == "sqlite":
        return sqlite_house(tmp_path)
    running: Postgres = request.getfixturevalue("postgres")
    return postgres_house(running)
