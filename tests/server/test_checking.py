"""The server asks other programs' servers by itself what they list, and goes on if one cannot be had."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from pratique.audit.chain import Verdict
from pratique.ledger.verification import verify_file
from pratique.proxy.pins import Pins
from pratique.server.app import create_app
from pratique.server.checking import checking
from pratique.settings_sections import ServerSettings
from tests.house import records
from tests.proxy.listed import entry
from tests.proxy.told import Told, approve


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110  # what another process does sets no event
            await asyncio.sleep(0.01)


async def test_what_changes_is_in_quarantine_before_anybody_calls(tmp_path: Path) -> None:
    told = Told(tmp_path / "told")
    told.configure('\n[servers.broken]\ncommand = ["/nonexistent"]\nruns_in = "inline"\n')
    async with told.runtime() as runtime:
        elsewhere = runtime.registry.elsewhere
        assert elsewhere is not None
        pins = Pins(runtime.ledger)
        with capture_logs() as said:
            async with checking(elsewhere, 0.01)():
                await until(lambda: bool(pins.tools()))
                approve(runtime)
                told.lists(entry(description="another"))
                await until(lambda: pins.find("files.read").state == "changed")
        assert [one["tool"] for one in records(runtime.ledger, "mcp.seen")] == ["files.read"] * 2
        lost = {line["server"] for line in said if line["event"] == "a server could not be checked"}
        assert lost == {"broken"}
        assert told.calls == []
        path = runtime.ledger.path
    assert verify_file(path).verdict is not Verdict.BROKEN


@pytest.mark.parametrize("hours", [0, 24])
async def test_the_server_looks_at_its_start_if_it_is_told_to(tmp_path: Path, hours: float) -> None:
    told = Told(tmp_path / "told")
    async with told.runtime() as runtime:
        app = create_app(runtime, ServerSettings(check_hours=hours), close=False)
        async with app.router.lifespan_context(app):
            if hours:
                await until(lambda: bool(Pins(runtime.ledger).tools()))
            running = {task.get_name() for task in asyncio.all_tasks()}
            assert ("pratique-checking" in running) is bool(hours)
        assert "pratique-checking" not in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("hours", [-1, float("inf"), float("nan")])
def test_an_interval_that_is_none_is_refused(hours: float) -> None:
    with pytest.raises(ValidationError):
        ServerSettings(check_hours=hours)
