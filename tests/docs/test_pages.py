"""What the pages say, the program does: commands exist, examples run, the output is what comes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pratique.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECONDS = 60


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page, indented ones included."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [
        "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
        for indent, text in found
    ]


def python(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": str(script.parent)},
    )


def pratique(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pratique", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def commands() -> list[str]:
    """Return every command line of the pages, without its arguments: `policy who-can`."""
    verbs = {"demo", "serve"}
    found = set()
    for page in PAGES:
        for line in re.findall(r"`pratique ([a-z-]+(?: [a-z-]+)?)", page.read_text()):
            found.add(line.split()[0] if line.split()[0] in verbs else line)
        for block in blocks(page, "console"):
            for line in re.findall(r"^\$ pratique ([a-z-]+(?: [a-z-]+)?)", block, re.MULTILINE):
                found.add(line.split()[0] if line.split()[0] in verbs else line)
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_every_command_on_a_page_exists_and_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    verbs = [command.name for command in app.registered_commands]
    verbs += [group.name for group in app.registered_groups]
    assert len(verbs) > 5
    for verb in verbs:
        assert f"`pratique {verb}" in readme


def test_every_link_leads_to_a_page() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_smallest_example_runs(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    (tmp_path / "example.py").write_text(blocks(readme, "python")[0])
    (tmp_path / "policy.toml").write_text(blocks(readme, "toml")[0])
    result = python(tmp_path / "example.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "done {'customer': 'C-1001', 'name': 'Maria'}\n"


def test_the_smallest_example_runs_nothing_without_its_policy(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(blocks(ROOT / "README.md", "python")[0])
    result = python(tmp_path / "example.py")
    assert result.returncode != 0
    assert "policy.toml" in result.stderr
    (tmp_path / "policy.toml").write_text("")
    assert "denied None" in python(tmp_path / "example.py").stdout


def test_the_tutorial_leads_to_an_approved_write(tmp_path: Path) -> None:
    page = ROOT / "docs" / "tutorial" / "first-agent.md"
    tool, agent = blocks(page, "python")
    settings, policy = blocks(page, "toml")
    for name, text in (("desk.py", tool), ("agent.py", agent)):
        (tmp_path / name).write_text(text.replace("wait=60", "wait=0"))
    (tmp_path / "pratique.toml").write_text(settings)
    (tmp_path / "policy.toml").write_text(policy)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo").write_text("please write to plan-b")
    assert pratique("policy", "check", folder=tmp_path).returncode == 0
    explained = pratique(
        *("policy", "explain", "clerk", "notes.write", '{"name": "a", "text": "b"}', "--taint", "sink"),
        folder=tmp_path,
    )
    assert "preset-provenance" in explained.stdout, explained.stderr
    ran = python(tmp_path / "agent.py")
    assert ran.stdout.startswith("pending "), ran.stderr
    ticket = re.search(r"t_[0-9a-f]{16}", ran.stdout)
    assert ticket is not None
    shown = pratique("approvals", "show", ticket[0], folder=tmp_path)
    assert "written by somebody outside" in shown.stdout
    assert "plan-b" in shown.stdout
    answered = pratique("approvals", "approve", ticket[0], folder=tmp_path)
    assert f"{ticket[0]} is approved" in answered.stdout, answered.stderr
    head = pratique("audit", "head", folder=tmp_path).stdout.strip()
    verified = pratique("audit", "verify", "--head", head, folder=tmp_path)
    assert verified.returncode == 0
    assert verified.stdout.startswith("OK")


@pytest.mark.usefixtures("a_jail")
def test_the_readme_shows_what_the_demo_prints() -> None:
    result = CliRunner().invoke(app, ["demo", "--answer", "reject"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    shown = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    printed = _words(result.stdout)
    for block in shown:
        for piece in re.split(r"…|t_[0-9a-f]{16}|\n", block):
            assert _words(piece) in printed, piece


def _words(text: str) -> str:
    """Return the text without frames and line breaks: how a terminal folds it does not matter."""
    return " ".join(re.sub(r"[│╭╮╰╯─┃]", " ", text).split())


def test_the_image_is_built_from_files_that_are_there() -> None:
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = [name for line in copied for name in line.split()]
    assert {"pyproject.toml", "pratique", "examples"} <= set(named)
    assert all((ROOT / name).exists() for name in named)
