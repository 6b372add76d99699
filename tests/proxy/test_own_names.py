"""A tool of ours that is called like another program's does not run, and what was lawful stays lawful."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import pratique
from pratique.audit.chain import Verdict
from pratique.errors import SettingsError, ToolDeclarationError
from pratique.ledger.door import Ledger
from pratique.ledger.verification import verify_file
from pratique.model import Status
from pratique.proxy.pins import Pins
from pratique.runtime import Runtime
from pratique.settings import Settings
from tests.proxy.listed import CONFIG
from tests.proxy.told import Told


@pratique.tool("files.look", tier="read")
async def look(_: pratique.ToolContext) -> str:
    """Look."""
    return "x"


@pratique.tool("files.move", tier="egress")
async def move(_: pratique.ToolContext) -> str:
    """Move."""
    return "x"


@pytest.mark.parametrize("by", ["this process", "another"])
async def test_a_server_that_is_added_meanwhile_stops_our_tools_of_its_name_and_the_log_stays_lawful(
    by: str, tmp_path: Path
) -> None:
    told = Told(tmp_path)
    (tmp_path / "pratique.toml").write_text("")
    async with pratique.open_runtime(told.settings, tools=[look, move]) as runtime:
        session = await runtime.open_session(agent="support", user="kim@acme.example", request="look")
        for name in ("files.move", "files.look"):
            assert (await session.call(name, {})).status is Status.DONE
        with _ledger(by, runtime) as ledger:
            Pins(ledger).add("files", CONFIG, "files-server", "ana@acme.example")
        for name in ("files.move", "files.look"):
            outcome = await session.call(name, {})
            assert outcome.status is Status.DENIED
            assert "mcp remove files" in str(outcome.error)
        path = runtime.ledger.path
    assert verify_file(path).verdict is not Verdict.BROKEN
    with pytest.raises(ToolDeclarationError, match="pratique mcp remove files"):
        pratique.open_runtime(told.settings, tools=[look, move])


@contextmanager
def _ledger(by: str, runtime: Runtime) -> Iterator[Ledger]:
    """Give the runtime's own ledger, or another on the same files, as another process has."""
    if by == "this process":
        yield runtime.ledger
        return
    with closing(Ledger(runtime.ledger.path.parent)) as other:
        yield other


def test_no_server_has_our_own_name(tmp_path: Path) -> None:
    (tmp_path / "pratique.toml").write_text('[servers.pratique]\nurl = "https://mcp.example/"\n')
    with pytest.raises(SettingsError, match="our own name"):
        Settings.load(tmp_path / "pratique.toml")
