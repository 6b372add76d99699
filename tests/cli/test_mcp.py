"""`pratique mcp serve` as a process, as an MCP client starts it: over a ledger here, and over a server."""

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from pratique.adapters.mcp.shown import TICKET_TOOL
from pratique.ledger import queries
from pratique.runtime import Runtime
from pratique.tools.context import World
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry
from tests.adapters.clients import LEGACY, MODERN, text_of, ticket_of
from tests.house import answer, until
from tests.server.process import Place, served


def started(place: Place, *arguments: str, era: str, log: Path, **environment: str) -> Any:
    """Return a client of `pratique mcp serve`; enter it."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "pratique", "mcp", "serve", *arguments],
        cwd=place.folder,
        env={**place.environment(), **environment},
    )
    return _Started(parameters, era, log)


class _Started(AbstractAsyncContextManager[Client]):
    def __init__(self, parameters: StdioServerParameters, era: str, log: Path) -> None:
        self._log = log.open("w")
        self._client = Client(stdio_client(parameters, errlog=self._log), mode=era)

    async def __aenter__(self) -> Client:
        return await self._client.__aenter__()

    async def __aexit__(self, *error: Any) -> None:  # noqa: PYI036  # handed on as they come
        await self._client.__aexit__(*error)
        self._log.close()


_INITIALIZE: dict[str, Any] = {
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
_INITIALIZED = {"method": "notifications/initialized"}
_NOTE: dict[str, Any] = {
    "id": 2,
    "method": "tools/call",
    "params": {"name": "desk_note", "arguments": {"text": "x", "seconds": 60}},
}
WHO = ("--agent", "support", "--user", "kim@acme.example")


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_over_a_ledger_here_a_waiting_call_goes_on_in_the_next_process(
    tmp_path: Path, era: str
) -> None:
    place, log = Place(tmp_path / "place"), tmp_path / "stderr"
    async with started(place, *WHO, "--request", "Pay mo.", era=era, log=log) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} >= {"desk_look", TICKET_TOOL}
        assert '"seen":"x"' in text_of(await client.call_tool("desk_look", {"text": "x"}))
        ticket = ticket_of(await client.call_tool("desk_pay", {"to": "mo", "amount": 5}))
    said = log.read_text()
    assert "--session" in said, said
    session = said.split("--session ")[1].split()[0]
    with place.ledger() as ledger:  # as an approver's own process would
        answer(Runtime(ledger, Registry([]), Executor(World({}, {}))), ticket)
    async with started(place, "--session", session, era=era, log=log) as client:
        result = await client.call_tool(TICKET_TOOL, {"ticket": ticket})
    assert '"paid":5' in text_of(result)
    assert len(place.effects()) == 1


@pytest.mark.slow
async def test_a_session_without_open_questions_ends_with_the_input(tmp_path: Path) -> None:
    place, log = Place(tmp_path / "place"), tmp_path / "stderr"
    async with started(place, *WHO, era=MODERN, log=log) as client:
        await client.call_tool("desk_note", {"text": "x"})
    with place.ledger() as ledger:
        kinds = [record["type"] for record in ledger.read(lambda c: queries.last_records(c, 100))]
    assert "session.close" in kinds
    assert len(place.effects()) == 2


@pytest.mark.slow
async def test_over_a_server_it_calls_with_a_key(tmp_path: Path) -> None:
    place, log = Place(tmp_path / "place"), tmp_path / "stderr"
    key = place.key()
    with served(place) as server:
        over = ("--url", server.url, "--key", "env:DESK_KEY")
        async with started(place, *WHO, *over, era=MODERN, log=log, DESK_KEY=key) as client:
            assert '"noted":"x"' in text_of(await client.call_tool("desk_note", {"text": "x"}))
            assert TICKET_TOOL in text_of(await client.call_tool("desk_pay", {"to": "mo", "amount": 5}))


@pytest.mark.slow
async def test_a_signal_ends_it_with_what_runs_on_record(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    command = [sys.executable, "-m", "pratique", "mcp", "serve", *WHO]
    async with await anyio.open_process(
        command, cwd=place.folder, env=place.environment(), stderr=None
    ) as process:
        assert process.stdin is not None
        for message in (_INITIALIZE, _INITIALIZED, _NOTE):
            await process.stdin.send(orjson.dumps({"jsonrpc": "2.0", **message}) + b"\n")
        await until(lambda: bool(place.effects()), seconds=60)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 128 + signal.SIGTERM
    with place.ledger() as ledger:
        found = ledger.read(lambda c: queries.last_records(c, 100))
    assert [record["outcome"] for record in found if record["type"] == "call.outcome"] == ["unknown"]
    assert "session.close" in [record["type"] for record in found]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--agent and --user"),
        ((*WHO, "--url", "http://127.0.0.1:9", "--key", "pratique_x"), "env:NAME"),
        ((*WHO, "--url", "http://127.0.0.1:9", "--key", "env:NOT_SET"), "env:NAME"),
        (("--session", "s_nobody"), "not there"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    answer = Place(tmp_path / "place").run("mcp", "serve", *arguments, stdin=-3)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
