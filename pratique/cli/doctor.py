"""`pratique doctor`: what this machine can give at each level, learnt by a real launch of each.

Rules:
- Every line that says "no" says why, and what would allow it.
- The exit code is 0 when a jail or a container can be had, else 1: below that, foreign code has no place.
"""

import asyncio

import typer
from rich.table import Table
from rich.text import Text

from pratique.cli.console import FAILED, JsonOption, console, print_json, reporting_errors, say
from pratique.model import Level
from pratique.sandbox.backend import Probe
from pratique.sandbox.probe import probe_all

_ISOLATING = {Level.JAIL, Level.CONTAINER}


def doctor(*, as_json: JsonOption = False) -> None:
    """Launch one worker of each sandbox level for real, and say what came of it.

    For each level: can it be had here, what does it guarantee, what does it lack, and what would allow that.
    Exit code 0 if a jail or a container can be had, 1 if not.

    Example: `pratique doctor`
    """
    with reporting_errors():
        probes = asyncio.run(probe_all())
        if as_json:
            print_json(probes)
        else:
            _show(probes)
    if not any(probe.available and probe.level in _ISOLATING for probe in probes):
        raise typer.Exit(FAILED)


def _show(probes: list[Probe]) -> None:
    """Print the probes for a person."""
    table = Table(title="Sandbox levels", title_justify="left", header_style="dim")
    for heading in ("level", "backend", "here", "guarantees", "lacks"):
        table.add_column(heading, overflow="fold")
    for probe in probes:
        promised = ", ".join(sorted(probe.guarantees)) or "nothing"
        lacks = ", ".join(sorted(probe.lacks)) or ("" if probe.guarantees else "everything")
        here = Text("yes", style="green") if probe.available else Text("no", style="red")
        table.add_row(probe.level, probe.backend, here, promised, lacks)
    console.print(table)
    for probe in probes:
        _explain(probe)


def _explain(probe: Probe) -> None:
    """Print why and what helps, for what is missing."""
    console.print()
    say(f"{probe.level} ({probe.backend})" if probe.level != probe.backend else str(probe.level), "bold")
    for word, value in probe.details.items():
        say(f"  {word}: {value}")
    if probe.reason:
        say(f"  not available: {probe.reason}")
    for word, why in probe.lacks.items():
        say(f"  lacks {word}: {why}")
    for step in probe.remedy:
        say(f"  {'to get more' if probe.available else 'to allow it'}: {step}")
