"""How a benchmark reports: rows of what was measured, against what, and the budget."""

import json
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One line: `value` is what counts (a ratio or a cost), `budget` what it should be, `ok` if it is."""

    what: str
    measured: str
    value: str
    budget: str
    ok: bool | None = None


def median_of(measure: Callable[[], float], runs: int = 5) -> float:
    """Return the median of several measurements."""
    return statistics.median(measure() for _ in range(runs))


def show(title: str, rows: Iterable[Row]) -> None:
    """Print the rows as a table."""
    table = Table(title=title, title_justify="left", header_style="dim")
    for column in ("what", "measured", "value", "budget", ""):
        table.add_column(column, overflow="fold", justify="left" if column == "what" else "right")
    for row in rows:
        table.add_row(*row[:4], {True: "ok", False: "over", None: ""}[row.ok])
    Console(width=110, soft_wrap=True).print(table)


def as_json(rows: Iterable[Row]) -> str:
    """Return the rows as JSON lines."""
    return "\n".join(json.dumps(row._asdict()) for row in rows)


def machine() -> str:
    """Return in one line where this ran: Python, and the libraries whose speed is part of the result."""
    names = ("pycasbin", "pydantic", "orjson", "sqlalchemy", "cryptography")
    return f"Python {platform.python_version()} on {sys.platform}; " + ", ".join(
        f"{name} {version(name)}" for name in names
    )
