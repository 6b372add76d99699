"""The table of cases and levels in docs/reference: written from what ran, and held against what ran.

Rules:
- Every run that has case tests is compared with the committed table: a word that came out otherwise fails the
  run. A run of all of them must give the very same file.
- `pytest tests/sandbox --write-cases` writes the table, with what did not run and why.
"""

import re
from pathlib import Path

import pytest

from tests.sandbox.cases import CASES
from tests.sandbox.places import PLACES

HEAD = """# Sandbox: cases and levels

Written from a run of the tests (`pytest tests/sandbox --write-cases`); every later run is held against it.

- *stopped*: tried for real, and held.
- *not claimed*: the level does not promise it. `pratique doctor` says what it does.
- *stopped, not claimed*: a case is several attacks; some the level promises to stop, others not.
- *not run*: with the reason.

`inline` claims nothing and is not listed. `landlock` is what is left where user namespaces are forbidden.

"""
FAILED, NOT_RUN = "failed", "not run"

Words = dict[tuple[int, str], set[str]]


class Table:
    """Collects words for each case and place."""

    def __init__(self) -> None:
        self.words: Words = {}

    def add(self, report: pytest.TestReport) -> None:
        """Take in what became of one test."""
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "case":
                number, place, word = str(value).split("|")
                self._note(int(number), place, FAILED if report.failed else word)
        if report.when == "setup" and report.skipped:
            asked = re.search(r"\[(\w+)-(\d+)-|test_case_(\d+)_.*\[(\w+)\]|(test_case_32)_", report.nodeid)
            if asked:
                place = asked[1] or asked[4] or "container"
                self._note(int(asked[2] or asked[3] or 32), place, f"{NOT_RUN}: {_reason(report)}")

    def _note(self, number: int, place: str, word: str) -> None:
        self.words.setdefault((number, place), set()).add(word)

    def text(self) -> str:
        """Return the whole file."""
        lines = [HEAD, f"| | case | {' | '.join(PLACES)} |\n", f"|---|---|{'---|' * len(PLACES)}\n"]
        for case in CASES:
            cells = " | ".join(self._cell(case.number, place) for place in PLACES)
            lines.append(f"| {case.number} | {case.title} | {cells} |\n")
        return "".join(lines)

    def disagreements(self, committed: str) -> list[str]:
        """Return a line for each cell in which something came out that the committed table does not say."""
        said = parse(committed)
        return [
            f"case {number} at {place}: {word}, but the table says {', '.join(sorted(said[number, place]))}"
            for (number, place), words in sorted(self.words.items())
            for word in sorted(words)
            if not word.startswith((FAILED, NOT_RUN)) and word not in said[number, place]
        ]

    def _cell(self, number: int, place: str) -> str:
        return ", ".join(sorted(self.words.get((number, place), {NOT_RUN}), reverse=True))


def parse(text: str) -> Words:
    """Return the words of a table's cells."""
    rows = [line.strip("| \n").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    return {
        (int(row[0]), place): set(cell.split(", "))
        for row in rows
        for place, cell in zip(PLACES, row[-len(PLACES) :], strict=True)
    }


def path() -> Path:
    return Path(__file__).parents[2] / "docs" / "reference" / "sandbox-cases.md"


def _reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped, fit for a cell."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ").replace("|", "/").replace(", ", "; ").splitlines()[0][:120]
