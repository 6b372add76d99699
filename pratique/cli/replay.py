"""`pratique audit replay`: what another policy would have made of what happened.

Rules:
- The report goes to standard output, the bar to standard error.
- Exit codes: 0 fine; 1 something that `--fail-on` names, or a recorded policy that does not answer as it did;
  2 it could not be done.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from pratique.app import open_ledger
from pratique.audit.canonical import canonical
from pratique.audit.note import Note
from pratique.capabilities.policy import Policy
from pratique.capabilities.replay import Change, Group
from pratique.capabilities.snapshot import Snapshot
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    load_settings,
    one_line,
    print_json,
    reporting_errors,
    say,
    stderr,
)
from pratique.cli.moments import MOMENTS, microseconds_of
from pratique.errors import SettingsError
from pratique.ledger import policies
from pratique.ledger.door import Ledger
from pratique.ledger.replay import Progress as Told
from pratique.ledger.replay import ReplayReport, Stretch, replay

IN_FORCE, RECORDED = "in-force", "recorded"
MOST_SHOWN = 20
SIGNED_AS = "pratique replay report v1"
PAST_DAYS = 31
PAST_US = PAST_DAYS * 24 * 3600 * 1_000_000
LARGEST_REPORT = 64 * 1024 * 1024

STYLES = {
    Change.NEWLY_ALLOWED: "bold red",
    Change.MISMATCH: "bold red",
    Change.NEWLY_ASKED: "yellow",
    Change.NEWLY_DENIED: "yellow",
    Change.UNDECIDABLE: "magenta",
    Change.SAME: "green",
}
WORDS = {
    Change.NEWLY_ALLOWED: "would have been let through",
    Change.NEWLY_ASKED: "would have been put to a person",
    Change.NEWLY_DENIED: "would have been denied",
    Change.UNDECIDABLE: "cannot be known",
    Change.MISMATCH: "are not what their own policy answers",
    Change.SAME: "as it was",
}

Since = Annotated[
    datetime | None, typer.Option(formats=MOMENTS, help="From this moment on, UTC.", metavar="TIME")
]
Until = Annotated[datetime | None, typer.Option(formats=MOMENTS, help="Before it, UTC.", metavar="TIME")]


@reporting_errors()
def replay_command(  # one option per thing to choose by
    config: ConfigOption = None,
    *,
    policy: Annotated[
        str, typer.Option(metavar="FILE", help="A policy file, `in-force`, or `recorded`.")
    ] = IN_FORCE,
    since: Since = None,
    until: Until = None,
    session: Annotated[str, typer.Option(help="Of one session only (s_…).")] = "",
    after: Annotated[int, typer.Option(help="Go on after this record, where an earlier run ended.")] = 0,
    fail_on: Annotated[
        list[Change] | None, typer.Option("--fail-on", help="Exit with 1 if any comes out so; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decide every recorded call again, and say which would have come out otherwise.

    Each is decided on what was recorded: arguments, labels, time. First by the policy of its day, which must
    answer as it did; then by the policy that is given. Nothing is run and nothing is written. It does not
    know what an agent would have done next.

    Exit codes: 0 fine; 1 what `--fail-on` names, or a policy that does not answer as it did; 2 not possible.

    Example: `pratique audit replay --policy new.toml --since 2026-09-01 --fail-on newly-allowed`
    """
    settings = load_settings(config)
    stretch = Stretch(
        since_us=microseconds_of(since), until_us=microseconds_of(until), session=session, after=after
    )
    with open_ledger(settings) as ledger, progressing("deciding again", show=not as_json) as told:
        target = _target(ledger, policy)
        report = replay(ledger, target, stretch, name=policy, progress=told)
        print_json(signed(report, ledger)) if as_json else show_replay(report)
    failing = {Change.MISMATCH, *(fail_on or ())}
    if any(report.count(change) for change in failing):
        raise typer.Exit(FAILED)


def show_past(ledger: Ledger, policy: Snapshot, name: str) -> None:
    """Print what a policy would have made of the calls of the last 31 days, if it would have changed any."""
    with progressing("deciding again") as told:
        stretch = Stretch(since_us=ledger.clock() - PAST_US)
        report = replay(ledger, policy, stretch, name=name, progress=told)
    changed = [change for change in Change if change is not Change.SAME and report.count(change)]
    if not changed:
        return
    say(f"of the last {PAST_DAYS} days' {report.decisions:,} decisions:")
    for change in changed:
        say(f"{report.count(change):>10,}  {WORDS[change]}", STYLES[change])
    _show_groups(report.groups)


def signed(report: ReplayReport, ledger: Ledger) -> dict[str, Any]:
    """Return the report as JSON values, with the digest of its canonical form (RFC 8785), signed.

    `signature` is a C2SP signed note under the log's key: the words `pratique replay report v1`, the log's
    name, and the digest, a line each. `checkpoint` is the last one that the log signed.
    """
    checkpoint = ledger.keys.last_signed()
    body = report.model_dump(mode="json")
    body["checkpoint"] = str(checkpoint.note) if checkpoint is not None else ""
    digest = hashlib.sha256(canonical(body, most_bytes=LARGEST_REPORT)).hexdigest()
    text = f"{SIGNED_AS}\n{report.log}\n{digest}\n"
    signature = str(Note(text, (ledger.signer().sign(text),)))
    return {**body, "digest": digest, "signature": signature}


def show_replay(report: ReplayReport) -> None:
    """Print the report: what it rests on, the counts, and what changed, the loosest first."""
    by = report.target_name or report.target[:12] or RECORDED
    digest = f" ({report.target[:12]})" if report.target and report.target_name else ""
    say(f"{report.decisions:,} decisions of {report.log}, up to record {report.last:,}, by {by}{digest}")
    for change in Change:
        if report.count(change) or change is Change.SAME:
            say(f"{report.count(change):>10,}  {WORDS[change]}", STYLES[change])
    if report.groups:
        say("")
        _show_groups(report.groups)
    if report.relabelled:
        keys = ", ".join(report.relabelled[:8])
        say(f"not looked at: the policy would label calls otherwise ({keys})", "yellow")
    say(f"head {report.head}", "dim")
    say("; ".join(report.notes), "dim")


def _show_groups(groups: tuple[Group, ...]) -> None:
    rows = [("", "was", "would be", "tool", "rule", "records")]
    for group in groups[:MOST_SHOWN]:
        after = group.after or "?"
        rule = group.rule or group.because or ("no rule allows it" if after == "deny" else "")
        seen = ", ".join(map(str, group.examples)) + (" …" if group.count > len(group.examples) else "")
        cells = (f"{group.count:,}", group.before, after, group.tool, rule, seen)
        rows.append(tuple(one_line(cell).plain for cell in cells))  # type: ignore[arg-type]  # six of them
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        style = STYLES[groups[number - 1].change] if number else "dim"
        first = row[0].rjust(widths[0])
        rest = [cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        say("  ".join([first, *rest]).rstrip(), style)
    if len(groups) > MOST_SHOWN:
        say(f"and {len(groups) - MOST_SHOWN:,} more kinds; --json has them all", "dim")


@contextmanager
def progressing(what: str, *, show: bool = True) -> Iterator[Told | None]:
    """Show a bar on standard error while something goes through the log, if somebody is looking."""
    if not (show and stderr.is_terminal):
        yield None
        return
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda at, of: bar.update(task, completed=at, total=of)


def _target(ledger: Ledger, named: str) -> Snapshot | None:
    """Return the policy that is named; None for the recorded ones."""
    if named == RECORDED:
        return None
    if named == IN_FORCE:
        return policies.in_force(ledger)
    path = Path(named)
    try:
        return Snapshot(Policy(path.read_text(encoding="utf-8"), path.name), 0)
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"policy: {path}: {getattr(problem, 'strerror', None) or problem}") from None
