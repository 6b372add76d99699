"""Promise: the table of cases in the docs says what the tests found, and a run that finds otherwise fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.cases import CASES
from tests.sandbox.places import PLACES
from tests.sandbox.table import Table, parse, path


def test_the_committed_table_has_a_word_for_every_case_at_every_level() -> None:
    words = parse(path().read_text())
    assert words.keys() == {(case.number, place) for case in CASES for place in PLACES}
    assert len(CASES) == 36
    assert set().union(*words.values()) <= {"stopped", "not claimed"}, "all of it ran when it was written"
    whole = Table()
    whole.words = words
    assert whole.text() == path().read_text(), "it was written by the tests, not by hand"


def test_a_word_that_comes_out_otherwise_is_a_disagreement() -> None:
    table = Table()
    table.words = {
        (1, "restricted"): {"not claimed"},
        (2, "restricted"): {"stopped"},
        (3, "jail"): {"failed"},
    }
    assert table.disagreements(path().read_text()) == [
        "case 1 at restricted: not claimed, but the table says stopped"
    ]


@pytest.mark.slow
def test_a_run_that_disagrees_with_the_table_fails(tmp_path: Path) -> None:
    """The real thing, in a process of its own: one cell of the table is made to say something else."""
    here = Path(__file__).parents[2]
    program = (
        "import sys, pathlib, pytest\n"
        "committed = pathlib.Path('docs/reference/sandbox-cases.md').read_text()\n"
        "row = '| 1 | dunder chains | {} |'\n"
        "changed = committed.replace(row.format('stopped'), row.format('not claimed'))\n"
        "assert changed != committed\nfile = pathlib.Path(sys.argv[1])\nfile.write_text(changed)\n"
        "class Other:\n    def pytest_sessionstart(self):\n"
        "        from tests.sandbox import table\n        table.path = lambda: file\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/sandbox/test_cases.py', '-k',\n"
        "                      'held and restricted-1-1'], [Other()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "table.md")],
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert b"case 1 at restricted: stopped, but the table says not claimed" in done.stdout
