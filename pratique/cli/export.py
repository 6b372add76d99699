"""`pratique audit export`: the log in the formats of others.

Rules:
- Lines go to standard output or to a file that is appended to; how far it went, to standard error.
- Exit codes: 0 all of it was written; 2 it could not be done.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pratique import __version__
from pratique.app import open_ledger
from pratique.cli.console import ConfigOption, complain, load_settings, reporting_errors
from pratique.errors import SettingsError
from pratique.ledger.exporting import Format, export


@reporting_errors()
def export_command(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="otlp, ocsf, cloudevents or csv.")],
    config: ConfigOption = None,
    *,
    after: Annotated[int, typer.Option(min=0, help="Go on after this record.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file to append to; left out, standard output.")
    ] = None,
    people: Annotated[
        bool, typer.Option("--people", help="Leave the names of approvers and operators in.")
    ] = False,
) -> None:
    """Write the log as OpenTelemetry spans, OCSF events, CloudEvents or CSV, one line after the other.

    Personal data and secrets are taken out; values are not in the log at all. The last line on standard error
    names the last record: give it as `--after` the next time, and nothing is left out or repeated.

    Exit codes: 0 written; 2 not possible.

    Example: `pratique audit export ocsf --after 1200 -o /var/log/pratique.ocsf.jsonl`
    """
    settings = load_settings(config)
    last = after
    with open_ledger(settings) as ledger:
        try:
            target = output.open("ab") if output is not None else sys.stdout.buffer
        except OSError as problem:
            raise SettingsError(f"--output: {output}: {problem.strerror}") from None

        def write(connection: object) -> int:
            reached = after
            chunks = export(
                connection,  # type: ignore[arg-type]  # what `read` hands over
                form,
                ledger.log,
                __version__,
                after=after,
                redaction=settings.redaction(),
                people=people,
            )
            for chunk in chunks:
                target.write(chunk.text)
                reached = max(reached, chunk.last)
            target.flush()
            return reached

        try:
            last = ledger.read(write)
        finally:
            if output is not None:
                target.close()
    complain(f"up to record {last}: go on with --after {last}", "dim")
