"""What the reading verbs say to people: readable, one word for one thing, and help that teaches."""

import re
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pratique.app import open_runtime
from pratique.cli import app
from pratique.cli.console import console, print_json
from pratique.errors import PolicyError, SettingsError
from pratique.model import Status
from tests.house import Clock, House, opened


def leaves(command: object, path: str = "") -> list[str]:
    """Return the name of every verb: `policy who-can`."""
    below = getattr(command, "commands", None)
    if below is None:
        return [path]
    return [leaf for name, one in below.items() for leaf in leaves(one, f"{path} {name}".strip())]


VERBS = leaves(get_command(app))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)


@pytest.fixture
async def config(house: House, clock: Clock) -> Path:
    """The settings of a house in which a call waits for a person."""
    clock.now_us = time.time_ns() // 1000
    async with house.runtime() as runtime:
        session = await opened(runtime)
        await session.call("desk.mail")
        pending = await session.call("desk.pay", {"to": "mo@acme.example", "amount": 5})
        assert pending.status is Status.PENDING
    path = house.folder.parent / "pratique.toml"
    path.write_text(f'folder = "{house.folder}"\n')
    return path


def said(*words: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == exit_code, result.output
    return result.output


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str) -> None:
    help_text = said(*verb.split(), "--help").split("Usage:", 1)[1].split("\n", 1)[1]
    assert f"pratique {verb}" in help_text


def test_help_names_no_type_for_what_takes_no_value() -> None:
    command = [sys.executable, "-m", "pratique", "policy", "apply", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "--only-tighter" in shown
    assert "bool" not in shown


async def test_what_waits_is_pending_in_the_list_as_in_the_outcome(config: Path) -> None:
    first, second = said("approvals", "list", "-c", str(config)).splitlines()[-2:]
    assert first.split()[-1] == "pending"
    assert second.split()[-1] == "left"  # how much time there is


async def test_a_record_reads_as_lines_and_as_it_is_stored(config: Path) -> None:
    shown = said("audit", "show", "3", "-c", str(config))
    first, *rest = shown.splitlines()
    assert first.startswith("3  call.outcome  20")
    assert [line.split()[0] for line in rest[:4]] == ["agent", "tool", "tier", "effect"]
    label = r"^label_out +confidentiality confidential, integrity untrusted, sources desk.mail:c_"
    assert re.search(label, shown, re.MULTILINE)
    assert rest[-1].split()[0] == "v"
    stored = orjson.loads(said("audit", "show", "3", "-c", str(config), "--json"))
    assert (stored["seq"], stored["tool"]) == (3, "desk.mail")


@pytest.mark.parametrize(
    ("settings", "policy", "error"),
    [
        ("tols = []", "", SettingsError),
        ('folder = "ledger"', "[agnts.x]", PolicyError),
        (
            'folder = "ledger"',
            '[agents.a]\nowner = "x@y.example"\n[[test]]\nagent = "a"\ntool = "b"\nexpect = "allow"',
            PolicyError,
        ),
        ('folder = "ledger"', None, SettingsError),
    ],
)
def test_a_mistake_in_the_configuration_leaves_nothing_behind(
    tmp_path: Path, settings: str, policy: str | None, error: type[Exception]
) -> None:
    (tmp_path / "pratique.toml").write_text(settings)
    if policy is not None:
        (tmp_path / "policy.toml").write_text(policy)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as found:
        open_runtime(tmp_path / "pratique.toml")
    assert "Errno" not in str(found.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_settings_file_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    shown = said("trace", "list", "-c", str(tmp_path / "gone.toml"), exit_code=2)
    assert "gone.toml: No such file or directory" in shown
    assert "Errno" not in shown


def test_json_on_a_terminal_hides_and_moves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": "x\u202ey\u180b\u0338\u3164", "b": "pay 10 to א 20", "c": "Grüße 日本 😀"}
    print_json(value)
    shown = capsys.readouterr().out
    assert orjson.loads(shown) == value
    assert not set("\u202e\u180b\u0338\u3164א") & set(shown)
    assert "Grüße 日本 😀" in shown
