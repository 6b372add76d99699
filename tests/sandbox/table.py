"""Turns the outcomes of the case tests into the table in docs/reference."""

from pathlib import Path

import pytest

from tests.sandbox.cases import CASES
from tests.sandbox.places import PLACES

_HEAD = """# Sandbox: cases and levels

Written by `tests/sandbox` when every level ran. *stopped*: tried for real, and held. *not claimed*: the level
does not promise it (`pratique doctor` says what it does promise). `inline` claims nothing and is not listed.

"""


class Table:
    """Collects one word for each case and place, and writes them when all are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._words: dict[tuple[int, str], set[str]] = {}

    def add(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == "case":
                number, place, word = str(value).split("|")
                shown = "failed" if report.failed else word
                self._words.setdefault((int(number), place), set()).add(shown)

    def write(self) -> None:
        """Write the file, if every case was tried in every place and none failed."""
        wanted = {(case.number, place) for case in CASES for place in PLACES}
        if wanted - self._words.keys() or any("failed" in words for words in self._words.values()):
            return
        lines = [_HEAD, f"| | case | {' | '.join(PLACES)} |\n", f"|---|---|{'---|' * len(PLACES)}\n"]
        for case in CASES:
            cells = " | ".join(self._cell(case.number, place) for place in PLACES)
            lines.append(f"| {case.number} | {case.title} | {cells} |\n")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(lines))

    def _cell(self, number: int, place: str) -> str:
        words = self._words[number, place]
        # Some of a case's attacks may be promised and others not: both words are shown then.
        return ", ".join(sorted(words, reverse=True))
