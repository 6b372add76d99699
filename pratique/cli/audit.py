"""`pratique audit`: is the log whole, and what does it say?"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pratique.app import open_ledger
from pratique.capabilities.manifest import microseconds
from pratique.cli.audit_proof import attach
from pratique.cli.audit_verify import verify
from pratique.cli.console import (
    ConfigOption,
    JsonOption,
    complain,
    console,
    one_line,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.trace import moment
from pratique.errors import UnknownSessionError
from pratique.ledger import queries
from pratique.ledger.search import Wanted, decision_of, search, sources_of
from pratique.settings import Settings

app = typer.Typer(help="Verify and read the log.", no_args_is_help=True)

app.command("verify")(verify)
attach(app)

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M"]


class Word(StrEnum):
    """What a policy says to a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@app.command("head")
def head(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Print the head of the log, to be kept where the log's owner cannot change it.

    Example: `pratique audit head > /mnt/elsewhere/head`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = ledger.read(queries.head)
    print_json(found.model_dump()) if as_json else typer.echo(str(found))


@app.command("show")
def show(
    seq: Annotated[int, typer.Argument(help="A record's number.")],
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print one record: what it says, then what ties it into the chain. `--json` prints it as it is stored.

    Example: `pratique audit show 17`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        record = ledger.read(lambda connection: queries.record(connection, seq))
        if record is None:
            raise UnknownSessionError(f"there is no record {seq}")
    print_json(record) if as_json else print_record(record)


@app.command("tail")
def tail(
    config: ConfigOption = None,
    *,
    most: Annotated[int, typer.Option("-n", help="How many records.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Print the newest records, oldest first.

    Example: `pratique audit tail -n 50`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        records = ledger.read(lambda connection: queries.last_records(connection, most))
    if as_json:
        print_json(records)
        return
    table = Table("seq", "time", "type", "agent", "tool", "outcome", box=None, header_style="dim")
    for record in records:
        outcome = record.get("outcome") or record.get("state") or record.get("vote") or ""
        cells = (record.get("agent", ""), record.get("tool", ""), outcome)
        table.add_row(str(record["seq"]), moment(record["ts_us"]), record["type"], *cells)
    console.print(table)


@app.command("search")
def search_calls(  # noqa: PLR0913  # one option per thing to search by
    config: ConfigOption = None,
    *,
    agent: Annotated[str, typer.Option(help="Who asked.")] = "",
    user: Annotated[str, typer.Option(help="On whose behalf: `kim@acme.example`.")] = "",
    tool: Annotated[str, typer.Option(help="What for; `mail.*` for several.")] = "",
    decision: Annotated[Word | None, typer.Option(help="What the policy said.")] = None,
    source: Annotated[
        str, typer.Option(help="What touched it: `email:7`, or one field, `email:7#body`.", metavar="ID")
    ] = "",
    since: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="From this moment on, UTC.", metavar="TIME")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="Before this moment, UTC.", metavar="TIME")
    ] = None,
    most: Annotated[int, typer.Option("-n", min=1, help="How many calls, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Find calls: who asked for what, what was decided, and what a mail or page had to do with it.

    `--source` finds every call whose arguments carry text of that source, and the reads that brought it in. A
    record names at most 64 sources of one result; a list of more than that ends in "…". What came of it is
    for `pratique audit follow`.

    Example: `pratique audit search --source email:7 --decision ask`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        wanted = Wanted(
            agent=agent,
            subject=ledger.vault.subject_id(user) if user else "",
            tool=tool,
            decision=decision.value if decision else "",
            source=source,
            since_us=_microseconds(since),
            until_us=_microseconds(until),
            most=most,
        )
        records = ledger.read(lambda connection: search(connection, wanted))
    if as_json:
        print_json(records)
    elif records:
        print_calls(records, source)
    else:
        complain("no recorded call fits; `pratique trace list` shows the sessions that there are", "dim")


def print_record(record: queries.Record) -> None:
    """Print a record for a person: who and what first, hashes and commitments last, nothing that is empty."""
    console.print(
        Text.assemble((f"{record['seq']}  {record['type']}", "bold"), f"  {moment(record['ts_us'])}")
    )
    said = {key: value for key, value in record.items() if key not in {"seq", "type", "ts_us"}}
    chained = {key for key in said if key in _OF_THE_CHAIN or key.endswith("_c")}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    first = {key: place for place, key in enumerate(_FIRST)}
    for key in sorted(said, key=lambda key: (key in chained, first.get(key, len(first)), key)):
        if said[key] not in _EMPTY:
            lines = [one_line(_words(item)).plain for item in _items(said[key])]
            table.add_row(key, Text("\n".join(lines), style="dim" if key in chained else ""))
    console.print(table)


_FIRST = (
    "agent",
    "tool",
    "tier",
    "effect",
    "outcome",
    "error",
    "state",
    "voter",
    "vote",
    "reason",
    "reasons",
)
_OF_THE_CHAIN = {"digest", "engine", "log", "policy_digest", "prev", "tool_digest", "v"}
_EMPTY: tuple[object, ...] = ("", [], {}, None)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items() if item not in _EMPTY)
    if isinstance(value, list):
        return " ".join(map(_words, value))
    return str(value)


MOST_SOURCES = 2
"""Sources of a call that are named: a list of a mailbox has one for each mail in it."""


def print_calls(records: list[queries.Record], wanted: str = "") -> None:
    """Print one line a call: how it stands, how near foreign text came, and whose (the wanted one first)."""
    heads = ("seq", "time", "agent", "tool", "decision", "outcome", "taint", "sources")
    rows: list[tuple[str, ...]] = [heads]
    for record in records:
        outcome = record.get("outcome") or {"approval.proposed": "asked"}.get(record["type"], "started")
        found = sorted(dict.fromkeys(sources_of(record)), key=lambda one: not _is_of(one, wanted))
        more = len(found) - MOST_SOURCES
        sources = ", ".join(found[:MOST_SOURCES]) + (f", and {more} more" if more > 0 else "")
        told = (record["agent"], record["tool"], decision_of(record), outcome, record["taint"], sources)
        rows.append((str(record["seq"]), moment(record["ts_us"]), *(one_line(cell).plain for cell in told)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        say(line, "" if number else "dim")


def _is_of(source: str, wanted: str) -> bool:
    return bool(wanted) and (source == wanted or source.startswith(f"{wanted}#"))


def _microseconds(moment: datetime | None) -> int:
    return microseconds(moment.replace(tzinfo=moment.tzinfo or UTC)) if moment else 0
