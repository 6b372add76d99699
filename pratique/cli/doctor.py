"""`pratique doctor`: what this machine can give at each level, learnt by a real launch of each.

Rules:
- Every line that says "no" says why, and what would allow it.
- The exit code is 0 when a jail or a container can be had, else 1: below that, foreign code has no place.
"""

import asyncio
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from pratique.model import Level
from pratique.sandbox.backend import Probe
from pratique.sandbox.probe import probe_all

app = typer.Typer(help="What this machine can give at each sandbox level.")

_ISOLATING = {Level.JAIL, Level.CONTAINER}


@app.callback(invoke_without_command=True)
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the probes as JSON.")] = False,
) -> None:
    """Launch one worker of each level for real, and say what came of it."""
    probes = asyncio.run(probe_all())
    if json:
        rows = [probe.model_dump(mode="json") for probe in probes]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    else:
        show(probes, Console())
    if not any(probe.available and probe.level in _ISOLATING for probe in probes):
        raise typer.Exit(1)


def show(probes: list[Probe], console: Console) -> None:
    """Print the probes for a person."""
    table = Table(title="Sandbox levels", title_justify="left")
    for heading in ("level", "backend", "here", "guarantees", "lacks"):
        table.add_column(heading, overflow="fold")
    for probe in probes:
        promised = ", ".join(sorted(probe.guarantees)) or "nothing"
        lacks = ", ".join(sorted(probe.lacks)) or ("" if probe.guarantees else "everything")
        here = "[green]yes[/]" if probe.available else "[red]no[/]"
        table.add_row(probe.level, probe.backend, here, promised, lacks)
    console.print(table)
    for probe in probes:
        _explain(probe, console)


def _explain(probe: Probe, console: Console) -> None:
    """Print why and what helps, for what is missing."""
    name = f"{probe.level} ({probe.backend})" if probe.level != probe.backend else str(probe.level)
    console.print(f"\n[bold]{name}[/]", highlight=False)
    for word, value in probe.details.items():
        console.print(f"  {word}: {value}", highlight=False, markup=False)
    if probe.reason:
        console.print(f"  not available: {probe.reason}", highlight=False, markup=False)
    for word, why in probe.lacks.items():
        console.print(f"  lacks {word}: {why}", highlight=False, markup=False)
    for step in probe.remedy:
        console.print(f"  to allow it: {step}", highlight=False, markup=False)
