"""`pratique audit replay` and what `policy diff` and `policy apply` say of the past."""

import hashlib
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785
from typer.testing import CliRunner, Result

from pratique.audit.note import Verifier, parse_note
from pratique.cli import app
from pratique.cli.console import console
from tests.house import ALLOW_ALL, PEOPLE, POLICY, Clock, House, opened


@pytest.fixture
async def config(house: House, clock: Clock) -> Path:
    """The settings of a house in which a payment was asked for, and a note written, a minute ago."""
    clock.now_us = time.time_ns() // 1000 - 60_000_000
    async with house.runtime() as runtime:
        session = await opened(runtime)
        await session.call("desk.pay", {"to": "mo", "amount": 5})
        await session.call("desk.note", {"text": "a"})
    path = house.folder.parent / "pratique.toml"
    path.write_text(f'folder = "{house.folder}"\npolicy = "policy.toml"\n')
    (path.parent / "policy.toml").write_text(POLICY)
    (path.parent / "lax.toml").write_text(PEOPLE + ALLOW_ALL)
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "-c", str(config)])


def replayed(config: Path, *options: str) -> Result:
    return run(config, "audit", "replay", *options)


async def test_people_see_what_would_have_been_let_through(config: Path) -> None:
    result = replayed(config, "--policy", str(config.parent / "lax.toml"))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("2 decisions of log_")
    assert "1  would have been let through" in lines[2]
    assert any(line.split()[:5] == ["1", "ask", "allow", "desk.pay", "desk"] for line in lines)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "newly-allowed"], 1),
        (["--fail-on", "newly-denied"], 0),
        (["--fail-on", "newly-denied", "--fail-on", "newly-allowed"], 1),
        (["--fail-on", "newly-allowed", "--since", "2027-01-01"], 0),
    ],
)
async def test_ci_fails_on_what_it_names(config: Path, options: list[str], code: int) -> None:
    assert replayed(config, "--policy", str(config.parent / "lax.toml"), *options).exit_code == code


async def test_programs_get_a_signed_report_that_anyone_can_check(config: Path, house: House) -> None:
    report: dict[str, Any] = orjson.loads(replayed(config, "--json").stdout)
    digest = report.pop("digest")
    note = parse_note(report.pop("signature"))
    assert digest == hashlib.sha256(rfc8785.dumps(report)).hexdigest()
    assert note.text == f"pratique replay report v1\n{report['log']}\n{digest}\n"
    public = Verifier.parse((house.folder / "keys" / "log.pub").read_text().strip())
    assert public in note.signed_by([public])
    assert report["counts"]["same"] == report["decisions"] == 2
    assert list(report["recorded"]) == [report["target"]] == [hashlib.sha256(POLICY.encode()).hexdigest()]


async def test_a_policy_that_is_not_there_is_said_in_one_line(config: Path) -> None:
    result = replayed(config, "--policy", "nowhere.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


async def test_a_diff_says_what_it_would_have_meant(config: Path) -> None:
    result = run(config, "policy", "diff", "in-force", str(config.parent / "lax.toml"), "--replay")
    assert "1  would have been let through" in result.stdout
    assert "1  would have been let through" not in run(config, "policy", "diff", "--replay").stdout


async def test_an_apply_says_it_before_it_asks(config: Path) -> None:
    (config.parent / "policy.toml").write_text(PEOPLE + ALLOW_ALL)
    result = run(config, "policy", "apply", "--no-input")
    assert result.exit_code == 1
    assert "of the last 31 days' 2 decisions" in result.stdout
    assert "1  would have been let through" in result.stdout
