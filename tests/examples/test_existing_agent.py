"""The how-to "Add Pratique to an existing agent": its files run, and what it shows is cut from them."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "existing_agent"
PAGE = ROOT / "docs" / "how-to" / "add-to-an-agent.md"
ACCOUNT = "PT50 0002 0123 1234 5678 9015 4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "copied"))


@pytest.mark.parametrize(
    ("name", "answered"),
    [
        ("with_langchain", "approve"),
        ("with_pydantic_ai", "approve"),
        ("with_openai_agents", "approve"),
        ("with_langchain", "reject"),
    ],
)
def test_it_waits_for_a_person_and_goes_on(folder: Path, name: str, answered: str) -> None:
    told = ["--confirm", ACCOUNT] if answered == "approve" else ["--reason", "paid already"]
    with subprocess.Popen(
        [sys.executable, f"{name}.py"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as ran:
        assert ran.stdout is not None
        ticket = ran.stdout.readline().removeprefix("waits for a person: ").strip()
        said = subprocess.run(
            [sys.executable, "-m", "pratique", "approvals", answered, ticket, *told],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        assert (
            ran.communicate(timeout=60)[0] == "Maria has her money back.\n"
        )  # the script says so either way
    assert ran.returncode == 0
    trace = subprocess.run(
        [sys.executable, "-m", "pratique", "audit", "search", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    outcomes = re.findall(r'"outcome": ?"(\w+)"', trace)
    assert sorted(outcomes) == (["done", "done"] if answered == "approve" else ["denied", "done"])


def test_the_test_of_the_example_passes(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "test_desk.py",
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_page_shows_pieces_of_files_that_run() -> None:
    held = "\n".join(
        textwrap.dedent(path.read_text()) for path in sorted(EXAMPLE.iterdir()) if path.is_file()
    )
    lines = [line.strip() for line in held.splitlines()]
    found = re.findall(r"^```(python|toml)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 9
    for _, piece in found:
        wanted = [line.strip() for line in piece.strip().splitlines()]
        starts = [at for at, line in enumerate(lines) if line == wanted[0]]
        assert any(lines[at : at + len(wanted)] == wanted for at in starts), piece
