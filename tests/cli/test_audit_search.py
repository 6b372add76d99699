"""`pratique audit search`: one line a call for people, records for programs."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from pratique.cli import app
from pratique.cli.audit import print_calls
from pratique.cli.console import console
from tests.house import House, opened
from tests.outside import REQUEST, THIEF, Border, preset


@pytest.fixture
async def config(empty_house: House) -> Path:
    """The settings of a house in which a mail asked for money."""
    border = Border()
    empty_house.apply(preset("provenance"))
    async with empty_house.runtime(tools=border.tools()) as runtime:
        session = await opened(runtime, request=REQUEST)
        await session.call("post.read", {"mail": "7"})
        await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
    path = empty_house.folder.parent / "pratique.toml"
    path.write_text(f'folder = "{empty_house.folder}"\n')
    return path


READ = ["email:7#body,", "email:7#from"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console took its width when it was made: perhaps by another test."""
    monkeypatch.setattr(console, "width", 200)


def searched(config: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["audit", "search", "-c", str(config), *options])


def as_json(config: Path, *options: str) -> Any:
    return orjson.loads(searched(config, *options, "--json").stdout)


async def test_people_see_who_asked_for_what_and_whose_text_it_carried(config: Path) -> None:
    lines = searched(config, "--source", "email:7#body").stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[3:] == ["support", "post.read", "allow", "done", "none", *READ]
    assert lines[2].split()[3:] == ["support", "bank.pay", "ask", "asked", "sink", "email:7#body"]


async def test_programs_get_the_records_themselves(config: Path) -> None:
    [found] = as_json(config, "--decision", "ask", "--agent", "support", "--tool", "bank.*", "-n", "1")
    assert (found["type"], found["lineage"]) == ("approval.proposed", ["email:7#body"])


async def test_times_are_days_or_moments_in_utc(config: Path) -> None:
    assert len(as_json(config, "--since", "2026-09-21")) == 2
    assert as_json(config, "--until", "2026-09-21") == []
    assert len(as_json(config, "--since", "2026-09-21T00:00Z", "--until", "2026-09-22T00:00:00Z")) == 2


@pytest.mark.parametrize(
    "options", [("--decision", "maybe"), ("--since", "yesterday"), ("-n", "0"), ("--until", "2026-13-01")]
)
async def test_what_cannot_be_searched_by_is_said(config: Path, options: tuple[str, ...]) -> None:
    refused = searched(config, *options)
    assert refused.exit_code == 2
    assert options[0].lstrip("-") in refused.output


async def test_calls_are_found_by_the_person_on_whose_behalf_they_were_made(config: Path) -> None:
    assert len(as_json(config, "--user", "kim@acme.example")) == 2
    assert as_json(config, "--user", "mo@acme.example") == []
    assert as_json(config, "--user", "kim@acme.example", "--tool", "desk.*") == []


def test_of_many_sources_the_wanted_one_is_named_and_the_rest_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [f"email:{number}" for number in range(5)]
    record = {
        "seq": 6,
        "ts_us": 0,
        "type": "call.outcome",
        "agent": "support",
        "tool": "mail.list",
        "effect": "allow",
        "outcome": "done",
        "taint": "none",
        "lineage": many,
        "ticket": "",
    }
    print_calls([record], "email:3")
    assert capsys.readouterr().out.splitlines()[1].split()[8:] == ["email:3,", "email:0,", "and", "3", "more"]
