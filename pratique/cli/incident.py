"""`pratique audit trace`, `around`, `follow`: from one thing that is known to all that belongs to it.

Rules:
- Everything is printed as text: what came from outside cannot drive the terminal of who looks into it.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from sqlalchemy import Connection

from pratique.app import open_ledger
from pratique.cli.console import (
    ConfigOption,
    JsonOption,
    fail,
    load_settings,
    one_line,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.trace import moment, print_trace
from pratique.errors import UnknownSessionError
from pratique.ledger import queries
from pratique.ledger.search import decision_of
from pratique.ledger.touched import How, Touched, follow
from pratique.sessions.trace import trace

_TICKET = re.compile(r"t_[0-9a-f]{16}")
_STYLES = {How.BROUGHT: "", How.CARRIES: "yellow", How.AFTER: "dim"}
_ASKED = {"approval.proposed": "asked", "call.intent": "started"}


@reporting_errors()
def trace_command(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A session, a trace, a ticket (t_…) or a record's number.")
    ],
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what the model was shown and did: each call with its values, labels, origins, decision and people.

    Values come out of the vault, and only if they are the ones that were recorded; what was erased says so.

    Exit codes: 0 shown; 2 there is no such thing.

    Example: `pratique audit trace 1742`
    """
    settings = load_settings(config)
    with open_ledger(settings) as ledger:

        def look(connection: Connection) -> dict[str, object]:
            session = _session_of(connection, name)
            return trace(connection, ledger, session, settings.redaction())

        found = ledger.read(look)
    print_json(found) if as_json else print_trace(found)


@reporting_errors()
def around_command(
    seq: Annotated[int, typer.Argument(metavar="RECORD", help="A record's number.")],
    config: ConfigOption = None,
    *,
    most: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many before and after.")] = 10,
    session: Annotated[bool, typer.Option("--session", help="Only those of its session.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the records before and after one, in all sessions or in its own.

    Exit codes: 0 shown; 2 there is no such record.

    Example: `pratique audit around 1742 --session`
    """
    with open_ledger(load_settings(config)) as ledger:
        found = ledger.read(lambda connection: queries.around(connection, seq, most, own=session))
    if not found:
        raise UnknownSessionError(f"there is no record {seq}")
    if as_json:
        print_json(found)
        return
    rows = [("", "seq", "time", "type", "session", "tool", "decision", "outcome", "taint")]
    for record in found:
        outcome = record.get("outcome") or record.get("state") or record.get("vote") or ""
        decision = decision_of(record) if "effect" in record else ""
        what = (record.get("session", ""), record.get("tool", ""), decision, outcome, record.get("taint", ""))
        mark = "→" if record["seq"] == seq else ""
        cells = (mark, str(record["seq"]), moment(record["ts_us"]), record["type"], *what)
        rows.append(tuple(one_line(str(cell)).plain for cell in cells))  # type: ignore[arg-type]  # nine of them
    _table(rows, ["bold" if record["seq"] == seq else "" for record in found])


@reporting_errors()
def follow_command(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A source id: `email:7`, or one field, `email:7#body`.")
    ],
    config: ConfigOption = None,
    *,
    exposed: Annotated[
        bool, typer.Option("--exposed", help="Also what a session did after it had been shown it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every call that a mail or page touched, forwards: what carried it, what came of that, and so on.

    `steps` says how far away: 0 is the source itself; 1, what came out of a call that carried it. What our
    own writes carried is found again in every session that read it back. Matching text is evidence, not proof
    of absence: a model can rewrite what it read, and `--exposed` names the calls in which it may have.

    Exit codes: 0 found; 1 nothing was touched; 2 it could not be looked up.

    Example: `pratique audit follow email:7 --exposed`
    """
    with open_ledger(load_settings(config)) as ledger:
        found = ledger.read(lambda connection: list(follow(connection, source, exposed=exposed)))
    if as_json:
        print_json([{**one._asdict(), "record": one.record} for one in found])
    elif found:
        _show_touched(found)
    if not found:
        fail(f"no record names the source {source!r}", 1)


def _show_touched(found: list[Touched]) -> None:
    rows = [("seq", "time", "session", "tool", "decision", "outcome", "how", "steps", "via")]
    for one in found:
        record = one.record
        outcome = record.get("outcome") or _ASKED[record["type"]]
        cells = (
            str(record["seq"]),
            moment(record["ts_us"]),
            record["session"],
            record["tool"],
            decision_of(record),
            outcome,
            one.how.value,
            str(one.steps),
            one.via,
        )
        rows.append(tuple(one_line(cell).plain for cell in cells))  # type: ignore[arg-type]  # nine of them
    _table(rows, [_STYLES[one.how] for one in found])


def _table(rows: Sequence[tuple[str, ...]], styles: list[str]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, style in zip(rows, ["dim", *styles], strict=True):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), style)


def _session_of(connection: Connection, name: str) -> str:
    """Return the session that an id stands for; other names are looked up as sessions or traces."""
    if name.isdecimal():
        record = queries.record(connection, int(name))
        if record is None or not record.get("session"):
            raise UnknownSessionError(f"there is no record {name}, or it belongs to no session")
        return str(record["session"])
    if _TICKET.fullmatch(name):
        row = queries.approval(connection, name)
        if row is None:
            raise UnknownSessionError(f"no question has the ticket {name}")
        return str(row.session)
    return name
