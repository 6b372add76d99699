"""Stacked bars as numbers: where each piece of a plot stands. A template draws them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, FOOT = 560, 220, 44, 10, 24
MOST_MARKS = 8
"""Labels beneath the bars; more would stand in each other."""

LETTER = 11
"""How wide a letter of a label is where a phone makes the plot small; the table has labels in full."""


class Bar(NamedTuple):
    """One bar: what it is about, and how tall each of its pieces is, in the order of the series."""

    label: str
    values: tuple[float, ...]


class Piece(NamedTuple):
    """One rectangle."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Tick(NamedTuple):
    """One line across, and its number."""

    y: float
    text: str


class Mark(NamedTuple):
    """One label beneath the bars."""

    x: float
    text: str


class Plot(NamedTuple):
    """A plot: its words, its numbers, and where everything stands."""

    title: str
    subtitle: str
    of: str
    series: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    pieces: tuple[Piece, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: int = HEIGHT - FOOT

    @property
    def summary(self) -> str:
        """What the plot shows, in one sentence, for whoever does not see it."""
        totals = [
            f"{_number(sum(bar.values[at] for bar in self.bars))} {name}"
            for at, (name, _) in enumerate(self.series)
        ]
        return f"{', '.join(totals)} in all. The numbers are in the table below."


def plot(title: str, subtitle: str, of: str, series: Sequence[tuple[str, str]], bars: Sequence[Bar]) -> Plot:
    """Return a plot of stacked bars.

    Args:
        title: what it shows.
        subtitle: in which unit, and of what.
        of: what a bar is, for the table's first column.
        series: name and kind of each piece of a bar, from the bottom up; the kind is a class of the sheet.
        bars: from left to right; no value is negative.
    """
    top, step = _scale(max((sum(bar.values) for bar in bars), default=0))
    room = HEIGHT - FOOT - TOP
    slot = (WIDTH - LEFT) / max(1, len(bars))
    pieces = []
    for number, bar in enumerate(bars):
        floor = float(HEIGHT - FOOT)
        for (name, kind), value in zip(series, bar.values, strict=True):
            height = room * value / top
            floor -= height
            if value:
                told = f"{bar.label}: {_number(value)} {name}"
                x, width = LEFT + number * slot + slot * 0.12, slot * 0.76
                pieces.append(
                    Piece(round(x, 1), round(floor, 1), round(width, 1), round(height, 1), kind, told)
                )
    ticks = [
        Tick(round(HEIGHT - FOOT - room * at * step / top, 1), _number(at * step))
        for at in range(1, round(top / step) + 1)
    ]
    every = max(1, math.ceil(len(bars) / MOST_MARKS))
    marks = [
        Mark(round(LEFT + (number + 0.5) * slot, 1), _cut(bar.label, int(slot * every / LETTER)))
        for number, bar in enumerate(bars)
        if number % every == 0
    ]
    return Plot(title, subtitle, of, tuple(series), tuple(bars), tuple(pieces), tuple(ticks), tuple(marks))


def _scale(most: float) -> tuple[float, float]:
    """Return the top of the scale and its step: round numbers, three to five steps."""
    if most <= 0:
        return 1.0, 1.0
    rough = most / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    if most == int(most):
        step = max(1, math.ceil(step))
    return step * math.ceil(most / step), step


def _cut(label: str, most: int) -> str:
    return label if len(label) <= most else f"{label[: max(1, most - 1)]}…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
