"""The command line: `pratique VERB`. Each verb is a file; this one puts them under one name.

Rules:
- Every reading verb has `--json`. Results go to standard output, everything else to standard error.
- Exit codes: 0 fine; 1 the answer is no; 2 it could not be done, and one line says why; 3 unanchored.
  docs/reference/command-line.md says them for each verb.
"""

from collections.abc import Iterator
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from pratique import __version__
from pratique.cli import (
    approvals,
    audit,
    demo,
    doctor,
    erase,
    export,
    incident,
    keys,
    mcp,
    people,
    policy,
    recover,
    replay,
    sandbox,
    serve,
    trace,
)

app = typer.Typer(
    name="pratique",
    help="The runtime between AI agents and the tools they call.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog="Start with `pratique demo`. Every verb has --help; reading verbs have --json.",
)
audit.app.command("replay")(replay.replay_command)
audit.app.command("erase")(erase.erase_command)
audit.app.command("recover")(recover.recover_command)
audit.app.command("export")(export.export_command)
audit.app.command("trace")(incident.trace_command)
audit.app.command("around")(incident.around_command)
audit.app.command("follow")(incident.follow_command)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.add_typer(policy.app, name="policy")
app.add_typer(approvals.app, name="approvals")
app.add_typer(people.app, name="people")
app.add_typer(keys.app, name="keys")
app.add_typer(mcp.app, name="mcp")
app.add_typer(trace.app, name="trace")
app.add_typer(audit.app, name="audit")
app.add_typer(sandbox.app, name="sandbox")


def _print_version(asked: bool) -> None:  # as typer calls it
    if asked:
        typer.echo(f"pratique {__version__}")
        raise typer.Exit


@app.callback()
def pratique(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The runtime between AI agents and the tools they call."""
    del version


def main() -> None:
    """Run the command line; the console script's entry."""
    command = get_command(app)
    for option in _options(command):
        if option.is_flag and option.metavar is None:
            option.metavar = ""  # a flag takes no value, so its help names no type
    command()


def _options(command: object) -> Iterator[TyperOption]:
    if isinstance(command, TyperGroup | TyperCommand):
        found = command.get_params(command.context_class(command))
        yield from (param for param in found if isinstance(param, TyperOption))
    for below in command.commands.values() if isinstance(command, TyperGroup) else ():
        yield from _options(below)
