"""The standalone verifier stands alone: one file, the standard library, `cryptography`, and nothing else."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.make import ENTRIES, make

STANDALONE = Path(__file__).parents[2] / "verifier" / "pratique_verify.py"
BY_NAME = {entry.name: entry for entry in ENTRIES}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds `cryptography` and what it is built on."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("cryptography", "cffi", "_cffi_backend"):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            origin = Path(found.origin)
            place = origin.parent if origin.name == "__init__.py" else origin
            (folder / place.name).symlink_to(place)
    return folder


def run(bare: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the file as a machine that has never seen Pratique would."""
    code = (
        f"import runpy, sys; sys.path.append({str(bare)!r}); runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    shim = f"{code.split('; ', maxsplit=1)[0]}; sys.argv = sys.argv[1:]; {'; '.join(code.split('; ')[1:])}"
    shim = shim.replace("sys.argv[1]", "sys.argv[0]")
    command = [sys.executable, "-I", "-S", "-c", shim, str(STANDALONE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    names = set()
    for node in ast.walk(ast.parse(STANDALONE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("whole", 0, "OK  records 1 to 12, unchanged and in order"),
        ("whole-key", 3, "UNANCHORED  records 1 to 12 fit together"),
        ("witnessed", 0, "by witness.example/w1"),
        ("dropped", 1, "BROKEN  moved: record 7"),
        ("fork-given", 1, "history was rewritten"),
        ("deep", 1, "BROKEN  malformed"),
    ],
)
def test_it_runs_where_pratique_is_not(bare: Path, tmp_path: Path, name: str, code: int, said: str) -> None:
    result = run(bare, *make(BY_NAME[name], tmp_path))
    assert result.returncode == code, result.stderr
    assert said in result.stdout
    assert not result.stderr


def test_pratique_is_not_there_when_it_runs(bare: Path) -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.append({str(bare)!r}); import pratique",
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    "words", [["--key", "nonsense"], ["--checkpoint", "nowhere"], ["--witness", "a+b+c"]]
)
def test_what_cannot_be_used_is_an_error(bare: Path, tmp_path: Path, words: list[str]) -> None:
    bundle = make(BY_NAME["whole-alone"], tmp_path)[0]
    result = run(bare, bundle, *words)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert run(bare, str(tmp_path / "nowhere")).returncode == 2
