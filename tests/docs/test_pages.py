"""What the pages say, the program does: commands exist, examples run, the output is what comes."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import pratique as pratique_package
from pratique import Outcome, Runtime, Session, Status, tool
from pratique import errors as errors_module
from pratique.cli import app
from pratique.sessions.hosting import SessionFacts

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


def python(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *arguments],
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
    tool, agent, later = blocks(page, "python")
    settings, policy, more = blocks(page, "toml")
    for name, text in (("desk.py", tool), ("agent.py", agent), ("later.py", later)):
        (tmp_path / name).write_text(text.replace("wait=300", "wait=0"))
    (tmp_path / "pratique.toml").write_text(settings)
    (tmp_path / "policy.toml").write_text(policy)
    [makes] = re.findall(r"^\$ (mkdir .*)$", page.read_text(), re.MULTILINE)
    subprocess.run(["/bin/sh", "-c", makes], cwd=tmp_path, check=True)
    checked = pratique("policy", "check", folder=tmp_path)
    assert checked.returncode == 0
    assert checked.stdout in page.read_text()
    (tmp_path / "policy.toml").write_text(f"{policy}\n{more}")
    assert "2 of 2 tests pass; they reach 2 of 2 rules" in pratique("policy", "test", folder=tmp_path).stdout
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
    asked = python(tmp_path / "later.py").stdout.split()
    assert asked[0] == "pending"
    assert python(tmp_path / "later.py", *asked[1:]).stdout.startswith("pending waiting for a person")
    pratique("approvals", "approve", asked[2], folder=tmp_path)
    assert python(tmp_path / "later.py", *asked[1:]).stdout == "done {'bytes': 10}\n"
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


API = ROOT / "docs" / "reference" / "python-api.md"


def test_the_example_of_the_python_api_prints_what_its_page_says(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(blocks(API, "python")[0])
    (tmp_path / "pratique.toml").write_text("")
    policy = blocks(ROOT / "README.md", "toml")[0]
    (tmp_path / "policy.toml").write_text(policy.replace("support", "clerk").replace("crm.*", "counter.*"))
    result = python(tmp_path / "example.py")
    assert result.stdout == blocks(API, "text")[0], result.stderr


def test_the_page_of_the_python_api_has_all_of_it() -> None:
    text = API.read_text()
    facts = get_type_hints(SessionFacts)
    for name in (*pratique_package.__all__, *facts, *Outcome.model_fields.keys() - {"carried"}):
        assert f"`{name}" in text or f"`{name}`" in text or f"{name}=" in text or name == "__version__", name
    for status in Status:
        assert f"| `{status.name}` |" in text
    for kind in (Runtime, Session):
        public = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
        said = {name for name in public if f"`{name}(" in text or f"`{name}`" in text}
        assert public - said <= INTERNAL, public - said
    errors = {name for name, one in vars(errors_module).items() if inspect.isclass(one)}
    assert set(re.findall(r"`(\w+Error)`", text)) <= errors
    documented: dict[str, Callable[..., Any]] = {
        "open_runtime": pratique_package.open_runtime,
        "call": Session.call,
        "redeem": Session.redeem,
    }
    for owner, function in documented.items():
        named = [name for name in inspect.signature(function).parameters if name != "self"]
        line = next(line for line in text.splitlines() if f"`{owner}(" in line)
        assert all(name in line for name in named), (owner, named)


INTERNAL = {
    "run", "resolve", "decide", "approve", "commit", "execute", "release", "close", "recall",  # the stages
    "raised_by", "saw", "forget", "call_for_code",
}  # fmt: skip
"""Members that are the machine's own."""


def test_the_page_of_built_in_tools_is_what_they_declare() -> None:
    made = python(ROOT / "tools" / "built_in_tools.py")
    page = ROOT / "docs" / "reference" / "built-in-tools.md"
    assert page.read_text() == made.stdout, "make it anew: tools/built_in_tools.py says how"


def test_every_argument_of_a_declaration_is_on_its_page_with_its_default() -> None:
    rows = {}
    for line in (ROOT / "docs" / "reference" / "tools.md").read_text().splitlines():
        if line.startswith("| `"):
            rows.update(dict.fromkeys(re.findall(r"`(\w+)`", line.split("|")[1]), line))
    for name, parameter in inspect.signature(tool).parameters.items():
        assert name in rows, name
        default = parameter.default
        if default not in (inspect.Parameter.empty, (), None):
            assert (f"{default:g}" if isinstance(default, float) else str(default)) in rows[name], name


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "130"])
def test_every_exit_code_is_on_a_page(code: str) -> None:
    assert f"\n| {code} | " in (ROOT / "docs" / "reference" / "command-line.md").read_text()


PAGE = ROOT / "docs" / "reference" / "frameworks.md"


def test_the_lowest_versions_of_the_frameworks_are_those_of_the_extras() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [extra for extra, _ in rows] == ["langchain", "pydantic-ai", "openai-agents", "mcp"]
    for extra, lowest in rows:
        for one in lowest.split(", "):
            name, number = one.split(" ")
            assert any(f"{name}>={bound}" in extras[extra] for bound in (number, number.removesuffix(".0")))


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs")
        assert name.parts[0] in {"adr", "README.md"} or f"]({name})" in index, name


def test_every_verb_is_on_the_page_of_the_command_line() -> None:
    text = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    assert [verb for verb in verbs(get_command(app)) if f"`pratique {verb}`" not in text] == []


def verbs(command: object, path: str = "") -> list[str]:
    """Return the name of every verb: `policy who-can`."""
    below = getattr(command, "commands", None)
    if below is None:
        return [path]
    return [verb for name, one in below.items() for verb in verbs(one, f"{path} {name}".strip())]
