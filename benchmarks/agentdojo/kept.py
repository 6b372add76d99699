"""Rows that were played before: a run that was stopped goes on where it was, and says how far it is.

Rules:
- A row is kept for exactly this code: the digest of its files, the benchmark, the suites.
- What is kept is only what is printed. Delete the folder to play everything again.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson

HERE = Path(__file__).resolve().parents[2]
SOURCES = ("pratique", "benchmarks/agentdojo")


class Kept:
    """The rows of one version of the code.

    Args:
        folder: made when the first row is kept.
        about: what a row depends on beside the code.
    """

    def __init__(self, folder: Path, about: Iterable[str]) -> None:
        self._file = folder / f"{_digest(about)}.jsonl"
        lines = self._file.read_bytes().splitlines() if self._file.is_file() else []
        self._rows: dict[str, str] = dict(orjson.loads(line) for line in lines)

    def get(self, name: str) -> str | None:
        """Return the row that was kept under a name."""
        return self._rows.get(name)

    def put(self, name: str, row: str) -> None:
        """Keep a row."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as file:
            file.write(orjson.dumps([name, row], option=orjson.OPT_APPEND_NEWLINE))


class Progress:
    """How far a row is, on the terminal's error output.

    Args:
        name: the row.
        total: how many sessions it plays.
    """

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0

    def step(self) -> None:
        """Say that one more session was played."""
        self._done += 1
        if sys.stderr.isatty():
            end = "\r" if self._done < self._total else "\033[2K\r"
            print(f"{self._name}: {self._done} of {self._total}", end=end, file=sys.stderr, flush=True)
        elif self._done % 100 == 0 or self._done == self._total:
            print(f"{self._name}: {self._done} of {self._total}", file=sys.stderr, flush=True)


def _digest(about: Iterable[str]) -> str:
    found = hashlib.sha256(orjson.dumps(list(about)))
    for source in SOURCES:
        for path in sorted((HERE / source).rglob("*.py")):
            found.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
