"""What `pratique demo` shows at a terminal: each call on a line, each question as its card.

Rules:
- Text from outside is shown as text: clipped to the line, hidden characters visible, never as markup.
- The card is the very card that the approval binds to, drawn as `pratique approvals show` draws it.
- At a terminal that is not one (a pipe), nothing is asked and nothing is coloured.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import orjson
from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pratique.appearance import visible
from pratique.approvals.card import Card
from pratique.approvals.question import Question
from pratique.audit.chain import Report
from pratique.cli.approvals_shown import card_panel
from pratique.cli.audit_verify import print_report
from pratique.cli.console import console, stderr
from pratique.cli.demo_play import Answer, Preset
from pratique.cli.trace import from_outside
from pratique.model import Outcome, Reason, Status

LONGEST_GIST = 200
LONGEST_OUTPUT = 240
LONGEST_TEXT = 48
"""Characters of a text in the trace that the demo prints."""
DEEPEST = 2
"""Objects and lists within each other that it prints."""

THE_ATTACKERS = ("LT12 1000 0111 0100 1000", "audit@fastgrind-parts.example")
"""Where the mail with the orders wants money and customers to go."""

ORDERS = "NOTE TO THE ASSISTANT"

OPENING = (
    "An agent works through the support mailbox of a small shop. It reads on its own, as far as the policy "
    "lets it. {stops} and shows exactly what would run: the card is made of validated arguments, never of "
    "the agent's words, and says where each of them came from."
)

STOPS = {
    Preset.STRICT: "Each of its writes stops",
    Preset.PROVENANCE: "What a stranger may have steered stops",
}

LEFT = Box("    \n┃   \n    \n┃   \n    \n    \n┃   \n    \n")
"""A line at the left, and nothing else."""

_TELLING = ("subject", "title", "name")


class Screen:
    """The audience at a terminal.

    Args:
        fixed: the answer to every question; None asks the person.
        at_the_page: ask at the server's pages, not here.
        quiet: show nothing, because standard output belongs to a program.
    """

    def __init__(self, fixed: bool | None, *, quiet: bool, at_the_page: bool = False) -> None:
        self._fixed, self._at_the_page = fixed, at_the_page and fixed is None
        self._out = Console(quiet=True) if quiet else console
        self._number = 0

    def opens(self, preset: Preset) -> None:
        """Say what will be seen, before anything is."""
        self._out.print()
        self._out.print(Padding(Text(OPENING.format(stops=STOPS[preset])), (0, 2)))

    def begins(self, title: str, request: str) -> None:
        """Say which run begins, and what the user asked for."""
        self._number = 0
        self._out.print()
        self._out.print(Rule(Text(title, style="bold"), align="left", style="dim"))
        self._out.print(Padding(Text(f"“{request}”", style="italic dim"), (0, 2, 1, 2)))

    def called(self, tool: str, args: Any, outcome: Outcome) -> None:
        """Show a call on one line, and beneath it why it did not run, or what was wrong with what it read."""
        self._number += 1
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(width=3, justify="right", style="dim")
        line.add_column(width=15, no_wrap=True)
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
        line.add_column(justify="right", no_wrap=True)
        line.add_row(str(self._number), Text(tool), Text(_gist(args, outcome)), _verdict(outcome))
        self._out.print(line)
        if outcome.status is not Status.DONE:
            self._beneath(outcome.error.removeprefix("denied: "), "red")
            return
        for problem in outcome.value.get("problems", ()):
            self._beneath(problem, "yellow")
        self._orders(str(outcome.value.get("body", "")))
        self._printed(str(outcome.value.get("stdout", "")))

    def opens_door(self, address: str, link: str) -> None:
        """Say where the pages are, and how to come in."""
        if not self._at_the_page:
            return
        self._out.print()
        self._out.print(Text("  Open this link in a browser. It logs you in, once:"))
        self._out.print(Text(f"  {link}", style="bold cyan"), soft_wrap=True)
        self._out.print(Text(f"  Then the queue is at {address}/queue."), soft_wrap=True)
        self._out.print(Text("  No browser here? Ctrl-C, and again with --terminal.", style="dim"))

    def waits(self, card: Card, address: str) -> None:
        """Say where a question waits for an answer."""
        self._out.print()
        self._out.print(Text(f"  {card.tool} waits for your answer: {address}", style="cyan"), soft_wrap=True)

    async def lingers(self, address: str) -> None:
        """Leave the pages there until Enter is pressed; where nobody can press it, do not wait for it."""
        if not self._at_the_page or not sys.stdin.isatty():
            return
        loop, pressed = asyncio.get_running_loop(), asyncio.Event()
        self._out.print()
        self._out.print(
            Text(f"  Look around: {address}/traces, {address}/decided. Enter ends the demo.", style="cyan"),
            soft_wrap=True,
        )
        loop.add_reader(sys.stdin, pressed.set)
        try:
            await pressed.wait()
        finally:
            loop.remove_reader(sys.stdin)

    def answer(self, card: Card, question: Question) -> Answer | None:
        """Show the card and return the person's answer, unless they give it at the page."""
        if self._at_the_page:
            return None
        self._out.print()
        self._out.print(Padding(card_panel(card, question), (0, 0, 0, 2)))
        if self._fixed is None:
            return self._ask()
        self._out.print(
            Text("  --answer approve: yes" if self._fixed else "  --answer reject: no", style="cyan")
        )
        return Answer(self._fixed, "" if self._fixed else "--answer reject was given")

    def ends(self, output: str) -> None:
        """Show the agent's own account of its run."""
        self._out.print()
        self._out.print(Padding(Text.assemble(("the agent says  ", "dim"), visible(output)), (0, 2)))

    def changed(self, world: dict[str, list[dict[str, str]]]) -> None:
        """Show what is different in the world now."""
        self.section("What left the house")
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column(style="bold red")
        table.add_column(overflow="fold")
        for payment in world["paid"]:
            amount = f"{payment['amount']} {payment['currency']}"
            words = f"{amount} for order {payment['order']} to {payment['account']}"
            table.add_row("paid", *_left(words, payment["account"]))
        for kind in ("sent", "drafted"):
            for letter in world[kind]:
                table.add_row(kind, *_left(f"“{letter['subject']}” to {letter['to']}", letter["to"]))
        if not any(world.values()):
            table.add_row("", "", Text("nothing"))
        self._out.print(Padding(table, (0, 2)))

    def section(self, title: str) -> None:
        """Begin a part of what comes after the runs."""
        self._out.print()
        self._out.print(Rule(Text(title, style="bold"), align="left", style="dim"))

    def say(self, text: str, style: str = "") -> None:
        """Print one line of ours."""
        self._out.print(Padding(Text(text, style=style), (0, 2)))

    def trace(self, found: dict[str, Any]) -> None:
        """Print a trace as JSON, in short: what operators look for, reads of one kind together."""
        calls = list(_in_short(found["tool_calls"]))
        self._out.print(Text("{"))
        for key in ("trace_id", "user_id", "model", "policy", "inputs"):
            self._json_lines(f'  "{key}": ', _cut(found[key]), ",")
        self._out.print(Text('  "tool_calls": ['))
        for place, entry in enumerate(calls):
            comma = "" if place == len(calls) - 1 else ","
            self._json_lines("    ", entry, comma)
        self._out.print(Text("  ],"))
        output = found["output"]
        shown = output if len(output) <= LONGEST_OUTPUT else output[:LONGEST_OUTPUT] + "…"
        self._out.print(Text(f'  "output": {_json(shown)},'), soft_wrap=True)
        self._out.print(Text(f'  "final_action": {_json(found["final_action"])}'), soft_wrap=True)
        self._out.print(Text("}"))

    def _json_lines(self, before: str, value: Any, after: str) -> None:
        first, *rest = _folded(value, self._out.width - len(before) - len(after))
        lines = [before + first, *(" " * len(before) + line for line in rest)]
        for line in [*lines[:-1], lines[-1] + after]:
            self._out.print(Text(line), soft_wrap=True)

    def report(self, report: Report) -> None:
        """Show what verification found."""
        if not self._out.quiet:
            print_report(report)

    def _beneath(self, text: str, style: str) -> None:
        self._out.print(Padding(Text(visible(text), style=style), (0, 2, 0, 4)))

    def _orders(self, body: str) -> None:
        """Show what a mail tells the agent to do, where one does."""
        _, mark, orders = body.partition(ORDERS)
        if mark:
            text = Text(visible(mark + orders).strip(" \n-"), style="magenta")
            self._out.print(Padding(Panel(text, box=LEFT, border_style="magenta"), (0, 2, 0, 3)))

    def _printed(self, text: str) -> None:
        """Show what code printed in its sandbox: it is text from outside."""
        if text:
            lines = Text("\n".join(visible(line) for line in text.splitlines()), style="magenta")
            self._out.print(Padding(Panel(lines, box=LEFT, border_style="magenta"), (0, 2, 0, 3)))

    def _ask(self) -> Answer:
        with _interruptible():
            while True:
                word = stderr.input(Text("  approve? y/n (Ctrl-C ends the demo)  ", style="bold"))
                word = word.strip().lower()
                if word in {"y", "yes"}:
                    return Answer(approve=True, reason="")
                if word in {"n", "no"}:
                    reason = stderr.input(Text("  why not? (Enter: no reason)  ", style="bold")).strip()
                    return Answer(approve=False, reason=reason or "no reason was given at the prompt")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a prompt at once: asyncio's own handler would wait for the line to be entered."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _verdict(outcome: Outcome) -> Text:
    """Return the decision on a call, and whose or which rule's it was."""
    if outcome.approved_by:
        return Text.assemble(("approved ", "cyan"), (", ".join(outcome.approved_by), "dim"))
    if outcome.status is Status.DENIED:
        rules = "" if outcome.ticket else _rules(outcome.reasons, "deny")
        return Text.assemble(("rejected" if outcome.ticket else "deny", "bold red"), (rules, "dim"))
    return Text.assemble((outcome.decision, "green"), (_rules(outcome.reasons, "allow"), "dim"))


def _rules(reasons: tuple[Reason, ...], effect: str) -> str:
    return "".join(f" {reason.rule}" for reason in reasons if reason.effect == effect and reason.rule)


def _gist(args: Any, outcome: Outcome) -> str:
    """Return what a call was about: the title of what it read, or else its arguments."""
    value = outcome.value if isinstance(outcome.value, dict) else {}
    for name in _TELLING:
        if value.get(name):
            return visible(str(value[name]).replace("\n", " "))[:LONGEST_GIST]
    pairs = args.items() if isinstance(args, dict) else ()
    return visible(", ".join(f"{name}={_json(value)}" for name, value in pairs))[:LONGEST_GIST]


def _left(text: str, where: str) -> tuple[str, Text]:
    """Return a mark, if something went where the mail with the orders said, and what left the house."""
    if any(place in where for place in THE_ATTACKERS):
        return "to the attacker", Text(visible(text), style="red")
    return "", Text(visible(text))


def _in_short(calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the calls of a trace: each that was asked or denied, and runs of other calls of a tool as one."""
    for (tool, decision), group in groupby(calls, lambda call: (call["tool"], call["decision"])):
        same = list(group)
        if decision == "allow" and len(same) > 1:
            yield {"tool": tool, "times": len(same), "decision": decision, "approved_by": []}
            continue
        for call in same:
            entry = {key: _cut(call[key]) for key in ("tool", "args", "decision", "approved_by")}
            if decision != "allow":
                entry["from_outside"] = {origin["argument"]: _span(origin) for origin in from_outside(call)}
            yield entry


def _span(origin: dict[str, Any]) -> str:
    """Return whose words they are, and the words."""
    start, end = origin["span"]
    return f"{origin['source']}: {origin['excerpt'][start:end][:LONGEST_TEXT]}"


def _cut(value: Any, depth: int = 0) -> Any:
    """Return a value with its long texts cut, and what lies deep in it left out."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
    if isinstance(value, dict | list) and depth == DEEPEST:
        return "…" if value else value
    if isinstance(value, dict):
        return {key: _cut(item, depth + 1) for key, item in value.items()}
    return [_cut(item, depth + 1) for item in value] if isinstance(value, list) else value


def _folded(value: Any, room: int) -> list[str]:
    """Return a value as JSON, in lines that are no longer than need be: an object breaks between fields.

    Args:
        value: plain data.
        room: characters of a line.
    """
    whole = _json(value)
    if len(whole) <= room or not isinstance(value, dict):
        return [whole]
    lines, line = [], "{"
    for place, (key, item) in enumerate(value.items(), 1):
        end = "}" if place == len(value) else ","
        first, *rest = _folded(item, room - len(_json(key)) - 3)
        piece = f"{_json(key)}:{first}{'' if rest else end}"
        if len(line) + len(piece) > room and line.strip(" {"):
            lines.append(line)
            line = " "
        line += piece
        for number, more in enumerate(rest, 1):
            lines.append(line)
            line = f"  {more}{end if number == len(rest) else ''}"
    return [*lines, line]


def _json(value: Any) -> str:
    return visible(orjson.dumps(value).decode())
