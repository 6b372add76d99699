"""`pratique audit verify`: the answer on one screen. Up to where, held by whom, and what is not covered."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from pratique.audit.bundle import Trust
from pratique.audit.chain import Head, Held, Report, Verdict
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.note import Verifier
from pratique.cli.console import (
    ConfigOption,
    JsonOption,
    complain,
    console,
    one_line,
    print_json,
    reporting_errors,
    stderr,
)
from pratique.errors import NoteError, SettingsError, WitnessError
from pratique.ledger import queries
from pratique.ledger.bundles import verify_bundle_at
from pratique.ledger.readonly import reading
from pratique.ledger.verification import Asked, Claim, verify_file
from pratique.settings import Settings
from pratique.witnesses.named import witnesses_of
from pratique.witnesses.pushing import held

EXIT_CODES = {Verdict.OK: 0, Verdict.BROKEN: 1, Verdict.UNANCHORED: 3}
STYLES = {Verdict.OK: "bold green", Verdict.BROKEN: "bold red", Verdict.UNANCHORED: "bold yellow"}

LONG = 20_000
"""Records from which on a terminal shows how far it is."""

KeyOption = Annotated[
    str, typer.Option("--key", help="The log's first key, or a file with it.", metavar="KEY")
]
CheckpointsOption = Annotated[
    list[Path] | None, typer.Option("--checkpoint", help="A checkpoint that you kept.", metavar="FILE")
]


def verify(  # noqa: PLR0913  # one option per thing to hold it against
    config: ConfigOption = None,
    *,
    head: Annotated[str | None, typer.Option(help="A head that you kept: SEQ:HEX.")] = None,
    checkpoint: CheckpointsOption = None,
    key: KeyOption = "",
    witness: Annotated[
        list[str] | None, typer.Option("--witness", help="A witness's key, for a bundle.", metavar="KEY")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="A ledger file, instead of the configured one.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="An exported bundle, instead of a ledger.", metavar="PATH")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Read every record, and demand its canonical form.")
    ] = False,
    ask: Annotated[
        bool, typer.Option("--ask-witnesses", help="Ask witnesses on the network what they hold now.")
    ] = False,
    processes: Annotated[
        int, typer.Option(min=0, max=64, help="How many processes may hash; 0 for one a processor, up to 4.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Check that no record was changed, removed or reordered, and say who vouches for that.

    A log says nothing about its own end. Whoever holds a checkpoint outside does: the witnesses that the
    settings name, a checkpoint that you kept (`pratique audit checkpoint`), or a head (`pratique audit
    head`). Without any of them the answer is UNANCHORED: what is there fits together, but the tail may have
    been cut.

    Exit codes: 0 OK, 1 BROKEN, 3 UNANCHORED, 2 it could not be checked.

    Example: `pratique audit verify --checkpoint kept.txt --strict`
    """
    problems: list[str] = []
    with reporting_errors():
        given = [read_checkpoint(path) for path in checkpoint or []]
        known = read_key(key) if key else None
        if bundle is not None:
            report = verify_bundle_at(bundle, Trust(known, given, [read_key(each) for each in witness or []]))
        else:
            claims = [Claim(each.checkpoint, "you", outside=True) for each in given]
            asked = Asked(read_head(head), claims, known, strict, processes or _processors(), values=True)
            report, problems = _verify_ledger(Settings.load(config), ledger, asked, ask=ask)
    if as_json:
        print_json(
            {**report.model_dump(mode="json"), "covered": report.covered, "witness_problems": problems}
        )
    else:
        print_report(report)
        for problem in problems:
            complain(f"witness: {problem}", "yellow")
    raise typer.Exit(EXIT_CODES[report.verdict])


def _verify_ledger(
    settings: Settings, ledger: Path | None, asked: Asked, *, ask: bool
) -> tuple[Report, list[str]]:
    """Return what is found in a ledger file, and what kept witnesses from being heard.

    Args:
        settings: where the ledger is, and who its witnesses are.
        ledger: another file, of which these witnesses know nothing.
        asked: what to hold it against besides.
        ask: ask witnesses on the network.
    """
    path = ledger or settings.path(settings.folder) / "ledger.db"
    found, problems = ([], []) if ledger is not None else _witnessed(settings, path, ask=ask)
    with _progress(path) as progress:
        report = verify_file(path, asked=asked._replace(claims=[*asked.claims, *found], progress=progress))
    return report, problems


def _processors() -> int:
    """Return how many processes may hash when nobody says: one a processor, up to 4."""
    return min(4, os.cpu_count() or 1)


def read_key(text: str) -> Verifier:
    """Return the key that the text is, or that the file of this name holds.

    Raises:
        SettingsError: it is none.
    """
    try:
        path = Path(text)
        return Verifier.parse(path.read_text(encoding="utf-8") if path.is_file() else text)
    except (NoteError, OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"--key: {problem}") from None


def read_checkpoint(path: Path) -> SignedCheckpoint:
    """Return the checkpoint in a file.

    Raises:
        SettingsError: there is none.
    """
    try:
        return SignedCheckpoint.parse(path.read_bytes())
    except OSError as problem:
        raise SettingsError(f"--checkpoint: {path}: {problem.strerror}") from None
    except NoteError as problem:
        raise SettingsError(f"--checkpoint: {path}: {problem}") from None


def read_head(text: str | None) -> Head | None:
    """Return the head that the text names.

    Raises:
        SettingsError: it names none.
    """
    try:
        return Head.parse(text) if text else None
    except ValueError as problem:
        raise SettingsError(f"--head: {problem}") from None


def print_report(report: Report) -> None:
    """Print what verification found, on one screen."""
    console.print(Text.assemble((report.verdict.value, STYLES[report.verdict]), f"  {_sentence(report)}"))
    console.print(Text(f"head    {report.head}", style="dim"), soft_wrap=True)
    if report.anchor is not None:
        console.print(Text(f"against {report.anchor}", style="dim"), soft_wrap=True)
    if report.signed:
        console.print(
            Text(f"signed  up to {report.signed}, by the log's own key", style="dim"), soft_wrap=True
        )
    for each in report.held:
        if each.outside and each.by != "the head given":
            console.print(
                one_line(f"held    up to {each.size}, by {each.by}{_when(each)}", "dim"), soft_wrap=True
            )
    if report.dropped:
        console.print(
            Text(
                f"dropped 1 to {report.dropped}: sealed in bundles, of which the hashes are here", style="dim"
            ),
            soft_wrap=True,
        )
    last = report.head.seq
    if report.verdict is not Verdict.BROKEN and 0 < report.covered < last:
        console.print(
            Text(f"open    {report.covered + 1} to {last}: nobody outside holds these yet", style="yellow"),
            soft_wrap=True,
        )


def _sentence(report: Report) -> str:
    if report.verdict is Verdict.BROKEN:
        where = f"record {report.broken_at}: " if report.broken_at else ""
        kind = f"({report.kind.value}) " if report.kind else ""
        return f"{kind}{where}{report.problem}"
    if report.verdict is Verdict.UNANCHORED:
        return (
            f"{report.records} records fit together; without a head kept elsewhere, a cut tail is not seen. "
            "Keep what `pratique audit head` prints where nobody here can change it; give it with --head"
        )
    given = report.covered
    after = report.head.seq - given
    what = "head given" if report.anchor else f"checkpoint held by {_holder(report)}"
    fit = f"; the {after} after it fit together, and may have been cut" if after > 0 else ""
    return f"{min(given, report.head.seq)} records, unchanged and in order, up to the {what}{fit}"


def _holder(report: Report) -> str:
    outside = [each for each in report.held if each.outside]
    return max(outside, key=lambda each: each.size).by if outside else "nobody"


def _when(each: Held) -> str:
    return f", {datetime.fromtimestamp(each.at, UTC):%Y-%m-%d %H:%M:%S} UTC" if each.at else ""


def _witnessed(settings: Settings, path: Path, *, ask: bool) -> tuple[list[Claim], list[str]]:
    """Return what the settings' witnesses hold, and what could not be had."""
    witnesses = witnesses_of(settings)
    if not witnesses or not path.is_file():
        return [], []
    with reading(path) as connection:
        claims, problems = held(connection, witnesses)
        newest = queries.newest_checkpoint(connection)
    if ask and newest is not None:
        for each in witnesses:
            try:
                size = each.asked(newest)
            except WitnessError as problem:
                problems.append(f"{each.name}: {problem}")
                continue
            if size > newest.checkpoint.size:
                beyond = newest.checkpoint._replace(size=size)
                claims.append(Claim(beyond, f"{each.name}, asked just now", outside=True))
    return claims, problems


@contextmanager
def _progress(path: Path) -> Iterator[Any]:
    """Give what is told how many records were hashed; a bar, for a long log at a terminal."""
    total = 0
    if sys.stderr.isatty() and path.is_file():
        with reading(path) as connection:
            total = queries.head(connection).seq - queries.dropped(connection)
    if total < LONG:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=stderr, transient=True, auto_refresh=False)
    task = bar.add_task("hashing", total=total)
    bar.start()
    since = [0]

    def advance(count: int) -> None:
        bar.advance(task, count)
        since[0] += count
        if since[0] >= LONG:
            since[0] = 0
            bar.refresh()

    try:
        yield advance
    finally:
        bar.stop()
