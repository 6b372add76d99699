"""`pratique trace`: what happened in a session, for whoever has to find out."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pratique.app import open_ledger
from pratique.appearance import visible
from pratique.cli.console import ConfigOption, JsonOption, console, print_json, reporting_errors
from pratique.ledger import queries
from pratique.sessions.trace import trace
from pratique.settings import Settings

app = typer.Typer(help="Show what happened in a session.", no_args_is_help=True)

STYLES = {"done": "green", "denied": "red", "failed": "red", "rejected": "red", "unknown": "magenta"}
LONGEST_CELL = 600
MOST_ORIGINS = 12

Id = Annotated[str, typer.Argument(help="A session's id (s_…) or its trace id.")]


@app.command("show")
def show(name: Id, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show one session: the request, every call with its decision, who approved it, and the answer.

    Example: `pratique trace show s_1f2e3d4c5b6a7980 --json`
    """
    with reporting_errors():
        settings = Settings.load(config)
        with open_ledger(settings) as ledger:
            found = ledger.read(lambda connection: trace(connection, ledger, name, settings.redaction()))
        print_json(found) if as_json else print_trace(found)


@app.command("list")
def list_sessions(
    config: ConfigOption = None,
    *,
    most: Annotated[int, typer.Option("-n", help="How many, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List sessions, newest first.

    Example: `pratique trace list -n 5`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        rows = [row._asdict() for row in ledger.read(lambda connection: queries.sessions(connection, most))]
    if as_json:
        print_json(rows)
        return
    table = Table("session", "agent", "opened", "state", "seen from outside", box=None, header_style="dim")
    for row in rows:
        state = "ended" if row["closed_us"] else "open"
        table.add_row(row["id"], row["agent"], moment(row["opened_us"]), state, row["integrity"])
    console.print(table)


def print_trace(found: dict[str, Any]) -> None:
    """Print a trace for a person."""
    head = Table.grid(padding=(0, 2))
    for name, text in (
        ("trace", found["trace_id"]),
        ("agent", f"{found['agent']} for {found['user_id']}"),
        ("model", found["model"] or "not declared"),
        ("policy", f"epoch {found['policy']['epoch']}, {found['policy']['digest'][:12]}"),
        ("request", found["inputs"]["redacted_prompt"]),
        ("context", found["context"]["integrity"]),
    ):
        head.add_row(Text(name, style="dim"), Text(visible(str(text))))
    console.print(Panel(head, title=f"session {found['session']}", title_align="left", border_style="dim"))
    for number, call in enumerate(found["tool_calls"], 1):
        print_call(number, call)
    console.print(Text.assemble(("answer  ", "dim"), visible(str(found["output"] or "none"))))
    console.print(Text.assemble(("action  ", "dim"), found["final_action"] or "nothing was changed"))


def print_call(number: int, call: dict[str, Any]) -> None:
    """Print one call of a trace: three lines, and one more for each value in it that came from outside."""
    words = [
        (f"{number:>3} ", "dim"),
        (call["tool"], "bold"),
        (f"  {call['tier']}  ", "dim"),
        (call["status"], STYLES.get(call["status"], "yellow")),
    ]
    if call["decision"] == "ask":
        by = ", ".join(call["approved_by"])
        words.append((f"  approved by {by}" if by else f"  asked ({call['ticket']})", "cyan"))
    console.print(Text.assemble(*words))
    _beneath(Text(visible(_short(call["args"])), style="dim"))
    why = call["error"] or "; ".join(call["reasons"])
    _beneath(Text(visible(why), style="dim italic"))
    for origin in from_outside(call)[:MOST_ORIGINS]:
        start, end = origin["span"]
        before, match, after = (
            visible(part)
            for part in (origin["excerpt"][:start], origin["excerpt"][start:end], origin["excerpt"][end:])
        )
        words = [(f"↳ {visible(origin['argument'])} from {visible(origin['source'])}", "red")]
        if match:
            words += [(f"  …{before}", "dim"), (match, "bold underline"), (f"{after}…", "dim")]
        _beneath(Text.assemble(*words))


def _beneath(text: Text) -> None:
    """Print a text beneath its call: lines that have to be broken stay where the first one begins."""
    console.print(Padding(text, (0, 0, 0, 4)))


def from_outside(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the origins of a call's values that strangers wrote, or that name them."""
    return [origin for origin in call["origins"] if origin["from"] in {"untrusted", "identity"}]


def moment(microseconds: int) -> str:
    """Return a moment as people read it, UTC."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, tz=UTC):%Y-%m-%d %H:%M:%S}Z"


def _short(value: Any) -> str:
    text = str(value)
    left_out = len(text) - LONGEST_CELL
    return text if left_out <= 0 else f"{text[:LONGEST_CELL]} … ({left_out} more characters: --json)"
