"""`pratique audit recover`: what went wrong with the log, and what would be done about it.

Rules:
- To look changes nothing. `--yes` with a reason does what was shown, and it is recorded.
- Exit codes: 0 nothing is wrong, or it was recovered; 1 something is wrong; 2 it could not be done.
"""

from typing import Annotated

import typer

from pratique.app import local_login
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    load_settings,
    print_json,
    reporting_errors,
    say,
)
from pratique.ledger.recover import Diagnosis, Kind, diagnose, recover

_STYLES = {Kind.LOST: "bold red", Kind.CHANGED: "bold red", Kind.TORN: "bold yellow", Kind.BUSY: "yellow"}


@reporting_errors()
def recover_command(
    config: ConfigOption = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do what is shown.")] = False,
    reason: Annotated[str, typer.Option(help="Why it happened, as far as you know; it is recorded.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with the log, and what would be done about it. `--yes` does it.

    It looks for records that were acknowledged or signed for and are not there (a lost write-ahead log, an
    older copy put back, a copy that went its own way), and for a file that cannot be read whole. What is lost
    is recorded with what shows it; a damaged file is kept. A chain that was changed is never repaired.

    Exit codes: 0 nothing is wrong, or recovered; 1 something is wrong; 2 not possible.

    Example: `pratique audit recover --yes --reason "disk of host 4 failed, copy of 03:00 put back"`
    """
    settings = load_settings(config)
    folder = settings.path(settings.folder)
    found = diagnose(folder)
    if as_json and not yes:
        print_json(found)
    elif not yes or not found.recoverable:
        _show(found)
    if not found.findings:
        return
    if not yes:
        raise typer.Exit(FAILED)
    done = recover(folder, local_login(), reason)
    say(f"recovered; record {done.seq} says what was lost, how that is known, and why", "green")


def _show(found: Diagnosis) -> None:
    say(f"{found.records:,} records stand")
    if not found.findings:
        say("nothing is wrong: all that was acknowledged here, by whoever has ended, is in the log", "green")
    for finding in found.findings:
        say(f"{finding.kind.value}: {finding.problem}", _STYLES[finding.kind])
        say(f"    to do: {finding.remedy}")
    if found.recoverable:
        say('nothing was changed. To do it: pratique audit recover --yes --reason "…"', "dim")
