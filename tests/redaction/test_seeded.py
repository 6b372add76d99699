"""Promise: what was seeded is in the vault and nowhere else: no log, no trace, no error, no record, no
notification, no export."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson
import pytest
import structlog

from pratique.approvals.notices import EVENTS, Outbox
from pratique.errors import ToolError
from pratique.ledger.segments import seal_segment
from pratique.logs import configure_logs
from pratique.redaction import Redaction
from pratique.runtime import Runtime
from pratique.sessions.trace import trace
from pratique.settings import Settings
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from tests.house import SECRET, House, opened, records

SEEDS = {
    "keys": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "cards": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "phones": "+49 30 901820",
    "emails": "seeded@leak.example",
}
ALL = "; ".join(SEEDS.values())


def _leaky() -> Tool:
    @tool("desk.leaky", tier="write", sources={"*": "untrusted"})
    async def leaky(_: ToolContext, how: str, text: str = "") -> Any:
        """Give away what was said."""
        structlog.get_logger("test").warning(
            "leaking", text=text, nested={"of": [text]}, error=ToolError(text)
        )
        if how == "error":
            raise ToolError(f"the bank does not know {text}")
        if how == "crash":
            raise ValueError(text)
        return {"said": text, text: 4111111111111111}

    return leaky


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def runtime(house: House) -> Runtime:
    return house.runtime(tools=[_leaky()])


async def _a_run(runtime: Runtime) -> tuple[str, list[str]]:
    """Leak in every way there is; return the session and what the agent was told of what failed."""
    configure_logs("debug", "json", [SECRET])
    inputs = {"ticket": ALL, ALL: 1}
    async with await opened(runtime, request=f"Call {ALL}", inputs=inputs) as session:
        told = [
            (await session.call("desk.leaky", {"how": how, "text": ALL})).error
            for how in ("return", "error", "crash")
        ]
        told.append((await session.call("desk.leaky", {"how": "x", ALL: 1})).error)
        told.append((await session.call("desk.leaky", {"how": [ALL]})).error)
        session.finish(f"I called {ALL}")
        return session.id, told


def _leaks(text: str) -> list[str]:
    return [kind for kind, seed in SEEDS.items() if seed in text]


async def test_no_log_line_holds_a_seed(runtime: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    await _a_run(runtime)
    written = capsys.readouterr()
    assert written.err.count("leaking") == 3
    assert _leaks(written.err + written.out) == []


async def test_no_error_holds_a_seed(runtime: Runtime) -> None:
    _, told = await _a_run(runtime)
    assert told[1] == (
        "the bank does not know [redacted key]; [redacted card]; [redacted IBAN]; [redacted phone]; "
        "[redacted e-mail]"
    )
    assert _leaks("".join(told)) == []


async def test_no_record_and_no_file_holds_a_seed(runtime: Runtime, house: House) -> None:
    await _a_run(runtime)
    ledger = house.ledger()
    assert records(ledger, "call.outcome")
    assert _leaks(orjson.dumps(records(ledger)).decode()) == []
    assert _leaking_files(house.folder) == []


def _leaking_files(folder: Path) -> list[tuple[str, list[str]]]:
    """Look into the bytes of the database, its journal, and whatever else is there."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"ledger.db"} <= {file.name for file in files}
    found = [(file.name, _leaks(file.read_bytes().decode("latin-1"))) for file in files]
    return [(name, kinds) for name, kinds in found if kinds]


async def test_no_trace_holds_a_seed_but_addresses_where_they_were_written_to(
    runtime: Runtime, house: House
) -> None:
    session, _ = await _a_run(runtime)
    ledger = house.ledger()
    found = ledger.read(lambda connection: trace(connection, ledger, session))
    calls = found.pop("tool_calls")
    assert _leaks(orjson.dumps(found).decode()) == []
    assert found["inputs"]["redacted_prompt"].startswith("Call [redacted key]; [redacted card]")
    assert found["user_id"] == "kim@acme.example"
    shown = orjson.dumps(calls).decode()
    assert _leaks(shown) == ["iban", "phones", "emails"]
    assert "4111111111111111" not in shown
    assert _leaks(orjson.dumps([call["error"] for call in calls]).decode()) == []


async def test_no_notification_holds_a_seed(runtime: Runtime) -> None:
    async with await opened(runtime, request=f"Pay {ALL}") as session:
        asked = await session.call("desk.pay", {"to": ALL, "amount": 1})
    assert asked.ticket
    due = Outbox(runtime.ledger, runtime.desk, "https://desk.acme.example").due("webhook", EVENTS)
    assert {"asked"} <= {one.notice.event for one in due}
    assert _leaks("".join(one.notice.model_dump_json() + one.notice.title for one in due)) == []


async def test_no_export_holds_a_seed(runtime: Runtime, tmp_path: Path) -> None:
    """What is exported is records and checkpoints; a value only where somebody names it to be disclosed."""
    await _a_run(runtime)
    sealed = await anyio.to_thread.run_sync(
        seal_segment, runtime.ledger, tmp_path / "bundle", None, "li@acme.example", "full"
    )
    assert sealed.last > 1
    files = {file.name: file.read_bytes() for file in (tmp_path / "bundle").iterdir()}
    texts = [gzip.decompress(data) if name.endswith(".gz") else data for name, data in files.items()]
    assert any(b"call.outcome" in text for text in texts)
    assert _leaks(b"".join(texts).decode("latin-1")) == []


async def test_what_the_trace_hides_is_said_by_the_settings(runtime: Runtime, house: House) -> None:
    session, _ = await _a_run(runtime)
    ledger = house.ledger()
    redaction = Settings(redact=("cards",)).redaction()
    found = ledger.read(lambda connection: trace(connection, ledger, session, redaction))
    assert _leaks(found["inputs"]["redacted_prompt"]) == ["keys", "iban", "phones", "emails"]
    assert Settings().redaction().text(ALL) == Redaction().text(ALL)


async def test_the_vault_still_has_what_was_said(runtime: Runtime) -> None:
    """The redaction is of what leaves: the session itself gets its values back."""
    configure_logs("debug", "json", [SECRET])
    async with await opened(runtime, request=ALL) as session:
        outcome = await session.call("desk.leaky", {"how": "return", "text": ALL})
    assert outcome.value["said"] == ALL
