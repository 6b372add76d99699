"""`pratique audit erase`: what it shows, whom it asks, and what is left."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from pratique.app import local_login
from pratique.cli import app
from pratique.cli.console import console
from pratique.ledger.door import Ledger
from tests.house import POLICY, House, opened, records

KIM = ("--subject", "kim@acme.example")


@pytest.fixture
async def config(house: House) -> Path:
    """The settings of a house in which a note was written for kim."""
    async with house.runtime() as runtime:
        session = await opened(runtime)
        await session.call("desk.note", {"text": "a"}, call_id="c1")
        await session.aclose()
    path = house.folder.parent / "pratique.toml"
    path.write_text(f'folder = "{house.folder}"\n')
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)


def run(config: Path, *words: str, say: str = "") -> Result:
    return CliRunner().invoke(app, ["audit", "erase", "-c", str(config), *words], input=say)


def erased(house: House) -> list[str]:
    with Ledger(house.folder) as ledger:
        return [record["asked_by"] for record in records(ledger, "erase")]


async def test_it_shows_what_goes_and_asks(config: Path, house: House) -> None:
    result = run(config, *KIM, "--reason", "they asked", say="n\n")
    assert result.exit_code == 1
    assert result.stdout.startswith("values of 4 records in 1 sessions")
    assert erased(house) == []
    result = run(config, *KIM, "--reason", "they asked", say="y\n")
    assert result.exit_code == 0
    assert "no page of it keeps what was deleted" in result.stdout
    assert erased(house) == [local_login()]


async def test_one_call_of_a_session(config: Path, house: House) -> None:
    with Ledger(house.folder) as ledger:
        session = records(ledger, "session.open")[0]["session"]
    result = run(config, "--call", f"{session}:c1", "--reason", "a slip", "--yes")
    assert (result.exit_code, result.stdout.split(" in ")[0]) == (0, "values of 2 records")
    again = run(config, "--call", f"{session}:c1", "--reason", "a slip", "--yes")
    assert (again.exit_code, "nothing to erase" in again.stderr) == (1, True)


@pytest.mark.parametrize("words", [(), (*KIM, "--call", "s_1"), (*KIM, "--yes")])
async def test_what_is_not_said_is_asked_for(config: Path, words: tuple[str, ...]) -> None:
    assert run(config, *words).exit_code == 2


async def test_a_policy_that_names_a_group_makes_it_a_proposal(config: Path, house: House) -> None:
    house.apply(POLICY + '\n[erasure]\napprovers = "leads"\n')
    result = run(config, *KIM, "--reason", "they asked", "--yes")
    assert result.exit_code == 0
    assert "another person, of leads, agrees" in result.stdout
    (waiting,) = orjson.loads(run(config, "--list", "--json").stdout)
    assert waiting["asked_by"] == local_login()
    refused = run(config, "--approve", waiting["id"], "--yes")
    assert (refused.exit_code, "another person must agree" in refused.stderr) == (2, True)
    assert erased(house) == []
