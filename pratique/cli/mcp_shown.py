"""What `pratique mcp` prints of other programs' servers and tools: made for 80 columns, nothing invisible."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pratique.appearance import visible
from pratique.cli.console import complain, console, stderr
from pratique.cli.trace import moment
from pratique.model import Tier, Value
from pratique.proxy.comparison import Part, parts, warnings
from pratique.proxy.pins import Pin, Pins, Server

MOST_LINES = 2000
"""Lines of one text that are printed; the rest is in `--json`."""

STATES = {"approved": "green", "new": "yellow", "changed": "bold yellow", "refused": "red"}
SIGNS = {"+": "green", "-": "red", " ": ""}


class View(Value):
    """One tool as a person looks at it before they decide."""

    pin: Pin
    warnings: tuple[str, ...]
    parts: tuple[Part, ...]


def view_of(pins: Pins, pin: Pin) -> View:
    """Return what there is to look at: the definition that was approved, and the one that was seen last."""
    before = pins.definition(pin.pin) if pin.pin else None
    after = pins.definition(pin.seen) if pin.seen else None
    return View(
        pin=pin,
        warnings=tuple(warnings(after)) if after is not None else (),
        parts=tuple(parts(before, after)),
    )


def print_server(server: Server, *, known: bool) -> None:
    """Print a server's heading."""
    console.print(Text(server.name, "bold"), Text(visible(server.about), "dim"), soft_wrap=True)
    if not known:
        console.print(Text("  not in these settings: nothing of it can be called here", "yellow"))


def print_pins(found: Sequence[Pin]) -> None:
    """Print tools as a table, and what is wrong with those that cannot be used."""
    if not found:
        console.print(Text("It lists no tool.", "dim"))
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("tool", "state", "tier", "said by"):
        table.add_column(column, overflow="fold")
    for pin in found:
        state = Text(pin.state, STATES.get(pin.state, "dim"))
        table.add_row(pin.tool, state, pin.tier if pin.is_approved else "", visible(pin.said_by))
    console.print(table)
    for pin in found:
        if pin.problem:
            complain(f"{pin.tool}: {pin.problem}", "yellow")


def print_view(view: View, *, to_stderr: bool = False) -> int:
    """Print one tool: what it is, what is odd about it, its definition, and how to answer.

    Return how many lines of the definition were printed.
    """
    out, pin = (stderr if to_stderr else console), view.pin
    out.print(Text(pin.tool, "bold"), Text(pin.state, STATES.get(pin.state, "dim")), soft_wrap=True)
    for name, value in _facts(pin):
        out.print(Text(f"  {name:<10}", "dim") + Text(visible(value)), soft_wrap=True)
    for warning in view.warnings:
        out.print(Text(f"  ! {warning}", "bold yellow"), soft_wrap=True)
    lines = 0
    for part in view.parts:
        out.print(Text(f"  {part.name}{' (changed)' if part.changed else ''}", "dim"))
        for line in part.lines:
            shown, rest = _begin(line.text)
            lines += len(shown)
            for text in shown:
                out.print(Text(f"  {line.sign} {text}", SIGNS[line.sign]), soft_wrap=True)
            if rest:
                note = f"  ! {rest:,} more lines are not shown here: pratique mcp show {pin.tool} --json"
                out.print(Text(note, "bold yellow"), soft_wrap=True)
    if pin.seen and not pin.is_approved:
        tool = pin.tool.partition(".")[2]
        tiers = [tier.value for tier in Tier if tier.rank >= Tier(pin.least).rank]
        note = f"  to approve this definition, with the tier that its calls have ({', '.join(tiers)}):"
        out.print(Text(note, "dim"), soft_wrap=True)
        command = f"pratique mcp approve {pin.server} {tool}@{pin.seen} --tier {tiers[-1]}"
        out.print(Text(f"    {command}", "dim"), soft_wrap=True)
    out.print()
    return lines


def _begin(text: str) -> tuple[list[str], int]:
    """Return the first lines of a text, and how many more it has."""
    lines = text.split("\n", MOST_LINES)
    rest = lines.pop().count("\n") + 1 if len(lines) > MOST_LINES else 0
    return lines, rest


def _facts(pin: Pin) -> list[tuple[str, str]]:
    facts = [("its name", pin.name)] if pin.tool != f"{pin.server}.{pin.name}" else []
    facts.append(("seen", moment(pin.seen_us)))
    if pin.least not in {"", Tier.READ.value}:
        facts.append(("at least", f"{pin.least}, by its server's own word or address"))
    if pin.problem:
        facts.append(("problem", pin.problem))
    if pin.said_by and pin.state == "refused":
        why = f": {pin.reason}" if pin.reason else ""
        facts.append(("refused", f"by {pin.said_by}, {moment(pin.said_us)}{why}"))
    elif pin.said_by:
        when = f"by {pin.said_by}, {moment(pin.said_us)}"
        facts.append(
            ("approved", f"as {pin.tier} {when}" if pin.is_approved else f"another definition, {when}")
        )
    return facts
