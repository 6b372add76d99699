"""Promise: who sets the flag is seen by all at once, and what was set stays set."""

import subprocess
import sys
from pathlib import Path

import pytest

from pratique.errors import LedgerUnavailableError
from pratique.ledger.flag import Flag

SET = """
import sys
from pathlib import Path
from pratique.ledger.flag import Flag
Flag(Path(sys.argv[1])).set()
"""


def test_another_process_sets_it(tmp_path: Path) -> None:
    flag = Flag(tmp_path / "flag")
    assert not flag
    subprocess.run([sys.executable, "-c", SET, str(tmp_path / "flag")], check=True)
    assert flag


def test_it_stays_set_whoever_opens_it_and_after_it_is_closed(tmp_path: Path) -> None:
    first, second = Flag(tmp_path / "flag"), Flag(tmp_path / "flag")
    first.set()
    first.close()
    assert first
    assert second
    assert Flag(tmp_path / "flag")
    assert (tmp_path / "flag").read_bytes() == b"\x01"


def test_a_closed_flag_sets_nothing(tmp_path: Path) -> None:
    """Its number may be another file's by then."""
    flag = Flag(tmp_path / "flag")
    flag.close()
    flag.close()
    flag.set()
    assert not flag


def test_where_it_cannot_be_made_the_ledger_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError, match="flag"):
        Flag(tmp_path / "not-there" / "flag")


def test_only_its_owner_may_write_it(tmp_path: Path) -> None:
    Flag(tmp_path / "flag")
    assert (tmp_path / "flag").stat().st_mode & 0o777 == 0o600
