"""`pratique approvals`: what waits for a person, and that person's answer."""

from typing import Annotated

import typer
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pratique.app import local_login, open_ledger
from pratique.approvals.card import Card, CardOrigin
from pratique.approvals.desk import Desk
from pratique.approvals.question import Question
from pratique.approvals.queue import Queue
from pratique.cli.console import ConfigOption, JsonOption, console, print_json, reporting_errors
from pratique.cli.trace import moment
from pratique.identity import people
from pratique.ledger.door import Ledger
from pratique.settings import Settings

app = typer.Typer(help="See and answer the calls that wait for a person.", no_args_is_help=True)

ORIGIN_STYLES = {"untrusted": "bold red", "identity": "yellow", "model": "yellow", "request": "green"}

Ticket = Annotated[str, typer.Argument(help="The question's ticket (t_…).")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why. A no must have one.")]


@app.command("list")
def list_questions(
    config: ConfigOption = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the calls that wait for a person, oldest first.

    Example: `pratique approvals list`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = Queue(ledger).questions(None if every else "proposed")
        now_us = ledger.clock()
    if as_json:
        print_json([question.model_dump(mode="json") for question in found])
        return
    if not found:
        console.print("Nothing waits.")
        return
    table = Table(box=None, header_style="dim")
    table.add_column("ticket", no_wrap=True)
    for column in ("tool", "tier", "agent", "asked", "state"):
        table.add_column(column, overflow="fold")
    for question in found:
        state = question.state
        if state == "proposed":  # the agent's outcome says pending; so does this
            state = "pending" if question.is_open(now_us) else "expired"
        cells = (question.tool, question.tier, question.agent, moment(question.proposed_us), state)
        table.add_row(question.ticket, *cells)
    console.print(table)


@app.command("show")
def show(ticket: Ticket, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show the card: exactly what will run, and what approving does.

    Example: `pratique approvals show t_1f2e3d4c5b6a7980`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        queue = Queue(ledger)
        question, card, votes = queue.look(ticket), queue.asked(ticket).card, queue.votes(ticket)
    if as_json:
        print_json({"question": question.model_dump(mode="json"), "card": card.model_dump(mode="json")})
        return
    console.print(card_panel(card, question))
    for voter, vote, reason in votes:
        console.print(Text(f"{voter}: {vote} {reason}", style="dim"))


@app.command("approve")
def approve(ticket: Ticket, config: ConfigOption = None, *, reason: Reason = "") -> None:
    """Agree to a call, as whoever is logged in to this machine.

    Example: `pratique approvals approve t_1f2e3d4c5b6a7980`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        _say(answer(ledger, ticket, approve=True, reason=reason))


@app.command("reject")
def reject(ticket: Ticket, config: ConfigOption = None, *, reason: Reason = "") -> None:
    """Refuse a call; the agent is told why.

    Example: `pratique approvals reject t_1f2e3d4c5b6a7980 --reason "wrong account"`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        _say(answer(ledger, ticket, approve=False, reason=reason))


def answer(ledger: Ledger, ticket: str, *, approve: bool, reason: str, confirm: str = "") -> Question:
    """Record the answer of whoever is logged in to this machine; see `Queue.answer`."""
    return Desk(ledger, people.members).answer(
        ticket, local_login(), approve=approve, reason=reason, confirm=confirm
    )


def card_panel(card: Card, question: Question | None = None) -> Panel:
    """Return the card as a panel: full arguments, nothing cut."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for argument in card.arguments:
        name = f"{argument.name} ({argument.decides})" if argument.decides else argument.name
        facts.add_row(name, Text(argument.text))
        for origin in argument.origins:
            facts.add_row("", origin_line(origin))
    notes = [Text(f"{card.effect} {card.taint}"), *(Text(rule, style="dim") for rule in card.rules)]
    who = Text(f"{card.agent}, for {card.user}", style="dim")
    end = [Text(f"waits until {moment(question.wait_until_us)}", style="dim")] if question else []
    return Panel(
        Group(who, Text(""), facts, Text(""), *notes, *end),
        title=Text.assemble((card.tool, "bold"), f"  {card.tier}"),
        title_align="left",
        subtitle=question.ticket if question else None,
        subtitle_align="left",
        border_style="red" if card.tier == "irreversible" else "yellow",
    )


def origin_line(origin: CardOrigin) -> Text:
    """Return where a value came from as a line: who, which field, and the words around it."""
    words = [("↳ ", "dim"), (origin.words, ORIGIN_STYLES.get(origin.kind, "dim"))]
    if origin.match:
        around = (f"  …{_one_line(origin.before)}", "dim"), (f"{_one_line(origin.after)}…", "dim")
        words += [around[0], (origin.match, "bold underline"), around[1]]
    return Text.assemble(*words)


def _one_line(text: str) -> str:
    return " ".join(text.split(" ")).replace("\n", " ")


def _say(question: Question) -> None:
    if question.state == "proposed":
        needs = ", ".join(f"{need.quorum} of {need.approvers}" for need in question.needs)
        console.print(f"Recorded. {question.ticket} still needs: {needs}")
    else:
        console.print(f"{question.ticket} is {question.state}.")
