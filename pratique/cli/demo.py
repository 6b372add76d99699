"""`pratique demo`: the example, played at a terminal, with the log verified at the end.

Rules:
- It needs nothing: no network, no settings, no model. It leaves nothing, unless `--keep` says where.
- Exit code 0: the log is whole (and the tampering, if asked for, was found); 1: it is not.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from pratique.audit.chain import Report, Verdict
from pratique.cli.console import FAILED, JsonOption, fail, print_json, reporting_errors
from pratique.cli.demo_play import Played, Preset, play, questions, set_the_stage, what_changed
from pratique.cli.demo_proof import prove
from pratique.cli.demo_screen import Screen
from pratique.cli.demo_tamper import tamper
from pratique.ledger.verification import verify_file
from pratique.settings import Settings

INTERRUPTED = 130

WHOLE = (
    "In short. The whole of it: pratique demo --json, or --keep DIR and then pratique trace show ID --json."
)
NEXT = "docs/tutorial/first-agent.md leads to an agent of your own. To look into this one: --keep DIR."


class Said(StrEnum):
    """The answer to every question."""

    APPROVE = "approve"
    REJECT = "reject"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="pratique-demo-") as folder:
        yield Path(folder)


def demo(
    *,
    answer: Annotated[Said | None, typer.Option(help="Give this answer to every question.")] = None,
    preset: Annotated[
        Preset, typer.Option(help="What stops for a person: every write, or what strangers may have steered.")
    ] = Preset.STRICT,
    hijacked: Annotated[
        bool, typer.Option("--hijacked/--both", help="Only the run in which the agent obeys a mail.")
    ] = False,
    tampering: Annotated[
        bool, typer.Option("--tamper", help="Change one byte in a copy of the log, and look for it.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything in this new folder.", metavar="DIR")
    ] = None,
    at_terminal: Annotated[bool, typer.Option("--terminal", help="Answer here, not in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch an agent work through a support mailbox, and answer for its writes.

    It runs twice: as it was meant, and after it believed what a mail told it. Each call goes over HTTP to a
    server that the demo starts, and is shown with its decision. What stops waits for you in the browser, at
    the link that is printed: exactly what would run, and where each part of it came from.

    Example: `pratique demo --answer reject --tamper`
    """
    if answer is None and (as_json or (at_terminal and not sys.stdin.isatty())):
        fail("there is nobody to ask: give --answer approve or --answer reject")
    screen = Screen(
        None if answer is None else answer is Said.APPROVE, quiet=as_json, at_the_page=not at_terminal
    )
    with reporting_errors(), _folder(keep) as folder:
        settings = set_the_stage(folder, preset)
        screen.opens(preset)
        try:
            played = anyio.run(lambda: play(settings, screen, clean=not hijacked, hijacked=True))
        except (KeyboardInterrupt, EOFError):
            kept = f"kept in {keep}" if keep is not None else "not kept; --keep DIR would keep it"
            fail(f"stopped; what was done until then is {kept}", INTERRUPTED)
        found = _conclude(screen, settings, played, tampering=tampering)
        if as_json:
            print_json(found)
        else:
            screen.section("Go on")
            screen.say(
                NEXT if keep is None else f"It is kept: pratique trace list -c {keep / 'pratique.toml'}"
            )
    if not found["as_it_should_be"]:
        raise typer.Exit(FAILED)


def _conclude(screen: Screen, settings: Settings, played: Played, *, tampering: bool) -> dict[str, Any]:
    """Show what became of it all, and return it."""
    world = what_changed(settings)
    screen.changed(world)
    asked = [questions(trace) for trace in played.traces]
    screen.section("How often each preset asks")
    for trace, counts in zip(played.traces, asked, strict=True):
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        screen.say(f"{trace['inputs']['example']}: {each}")
    for number, trace in enumerate(played.traces, 1):
        screen.section(f"Trace {number} of {len(played.traces)}")
        screen.trace(trace)
    screen.say(WHOLE, "dim")
    ledger = settings.path(settings.folder) / "ledger.db"
    screen.section("audit verify")
    whole = verify_file(ledger, played.head)
    screen.report(whole)
    found: dict[str, Any] = {
        "traces": played.traces,
        "world": world,
        "questions": asked,
        "verify": whole.model_dump(mode="json"),
        "as_it_should_be": whole.verdict is Verdict.OK,
    }
    if tampering:
        damaged = _tamper(screen, settings, ledger, played)
        found["tampered"] = damaged.model_dump(mode="json")
        found["as_it_should_be"] &= damaged.verdict is Verdict.BROKEN
    proof = prove(screen, settings)
    found["as_it_should_be"] &= proof.pop("as_it_should_be")
    return {**found, "proof": proof}


def _tamper(screen: Screen, settings: Settings, ledger: Path, played: Played) -> Report:
    screen.section("audit verify, on a copy with one byte changed")
    change = tamper(ledger, settings.path(Path("tampered.db")))
    screen.say(
        f"record {change.seq}, byte {change.offset:,} of the file: “{change.before}” is “{change.after}” now"
    )
    report = verify_file(change.copy, played.head)
    screen.report(report)
    return report
