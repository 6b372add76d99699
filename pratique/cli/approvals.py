"""`pratique approvals`: what waits for a person, and what that person does about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import orjson
import typer

from pratique.app import local_login, open_desk, open_ledger, open_notifier
from pratique.approvals.desk import Desk
from pratique.approvals.listing import Filter
from pratique.approvals.question import Question
from pratique.approvals.reading import Reading
from pratique.approvals.reasons import PRESETS
from pratique.cli import approvals_standing
from pratique.cli.approvals_shown import dossier_view, queue_table
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    complain,
    console,
    fail,
    print_json,
    reporting_errors,
    say,
)
from pratique.identity import people
from pratique.ledger.door import Ledger
from pratique.model import Taint, Tier
from pratique.settings import Settings

app = typer.Typer(help="See and answer the calls that wait for a person.", no_args_is_help=True)
app.add_typer(approvals_standing.app, name="standing")

Ticket = Annotated[str, typer.Argument(help="The question's ticket (t_…).")]
Tickets = Annotated[list[str], typer.Argument(help="One ticket (t_…), or several of one shape.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why. A no must have one.")]
Confirm = Annotated[
    str, typer.Option("--confirm", help="What the call goes to, typed once more, if it cannot be undone.")
]


@contextmanager
def _desk(config: Path | None) -> Iterator[tuple[Desk, Ledger]]:
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        yield Desk(ledger, people.members), ledger


@app.command("list")
def list_questions(  # noqa: PLR0913  # one option per condition
    config: ConfigOption = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Answered ones too, the newest first.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you may answer.")] = False,
    tool: Annotated[str, typer.Option(help="A tool, or `mail.*`.")] = "",
    agent: Annotated[str, typer.Option(help="An agent.")] = "",
    person: Annotated[str, typer.Option(help="Whom the agent acts for, in full.")] = "",
    tier: Annotated[Tier | None, typer.Option(help="A tier.")] = None,
    taint: Annotated[Taint | None, typer.Option(help="A taint.")] = None,
    text: Annotated[str, typer.Option("--search", help="In tool, agent, ticket, session or call id.")] = "",
    after: Annotated[str, typer.Option(help="Go on where the page before ended.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the calls that wait for a person, what presses most first.

    First what nobody answered in half of its time, then the riskiest, then what has the least time left.

    Example: `pratique approvals list --mine`
    """
    wanted = Filter(
        state="any" if every else "proposed",
        tool=tool,
        agent=agent,
        person=person,
        tier=tier,
        taint=taint,
        text=text,
        mine=local_login() if mine else "",
    )
    with _desk(config) as (desk, ledger):
        page = Reading(ledger, desk).page(wanted, after=after, most=limit)
    if as_json:
        print_json(page)
    elif not page.lines:
        say("Nothing waits." if wanted == Filter() else "Nothing like that.")
    else:
        console.print(queue_table(page))
        if page.next:
            complain(f"{page.total} in all; go on with --after {page.next}", style="dim")


@app.command("show")
def show(
    ticket: Ticket,
    config: ConfigOption = None,
    *,
    result: Annotated[bool, typer.Option("--result", help="What the call gave, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the card: exactly what will run, and what approving does; who said what; what became of it.

    Example: `pratique approvals show t_1f2e3d4c5b6a7980`
    """
    with _desk(config) as (desk, ledger):
        found = Reading(ledger, desk).dossier(ticket, local_login(), sees_results=result)
    if as_json:
        print_json(found)
    else:
        console.print(dossier_view(found))


@app.command("approve")
def approve(
    tickets: Tickets, config: ConfigOption = None, *, reason: Reason = "", confirm: Confirm = ""
) -> None:
    """Agree to a call, as whoever is logged in to this machine.

    What cannot be undone asks for its destination, typed once more. Several tickets are answered at once only
    if they are alike: same agent, tool and policy, nothing from outside, and nothing that cannot be undone.

    Example: `pratique approvals approve t_1f2e3d4c5b6a7980`
    """
    with _desk(config) as (desk, _):
        if len(tickets) > 1:
            _answer_all(desk, tickets, approve=True, reason=reason)
            return
        (ticket,) = tickets
        wanted = desk.queue.asked(ticket).card.confirm
        if wanted and not confirm and console.is_terminal:
            say(f"This cannot be undone. It goes to: {wanted}")
            confirm = typer.prompt("Type it to approve")
        _tell(desk.answer(ticket, local_login(), approve=True, reason=reason, confirm=confirm), desk)


@app.command("reject")
def reject(
    tickets: Tickets,
    config: ConfigOption = None,
    *,
    reason: Reason = "",
    preset: Annotated[
        int,
        typer.Option(
            min=0,
            max=len(PRESETS),
            help="A reason by its number: " + " ".join(f"{n} {text}" for n, text in enumerate(PRESETS, 1)),
        ),
    ] = 0,
) -> None:
    """Refuse a call; the agent and the person it acts for are told why.

    Example: `pratique approvals reject t_1f2e3d4c5b6a7980 --reason "wrong account"`
    """
    why = " ".join(part for part in (PRESETS[preset - 1] if preset else "", reason) if part)
    with _desk(config) as (desk, _):
        if len(tickets) > 1:
            _answer_all(desk, tickets, approve=False, reason=why)
        else:
            _tell(desk.answer(tickets[0], local_login(), approve=False, reason=why), desk)


@app.command("edit")
def edit(  # one option per thing to say
    ticket: Ticket,
    config: ConfigOption = None,
    *,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument: text, or JSON.")
    ] = None,
    left_out: Annotated[list[str] | None, typer.Option("--without", help="An argument to leave out.")] = None,
    reason: Reason = "",
    confirm: Confirm = "",
    approve: Annotated[
        bool, typer.Option("--approve/--only-ask", help="Whether this is your yes as well.")
    ] = True,
) -> None:
    """Change a call's arguments, and agree to what you made of it.

    It is another call: decided by the policy again, with a card of its own. The agent is told what you
    changed, and gets what came of it. What cannot be undone needs somebody else's yes as well.

    Example: `pratique approvals edit t_1f2e3d4c5b6a7980 --set to='["sam@acme.example"]' --reason "wrong Sam"`
    """

    async def work() -> Question:
        async with open_desk(Settings.load(config)) as runtime:
            arguments = orjson.loads(runtime.queue.asked(ticket).args_json)
            for change in changes or ():
                name, value = _stated(change)
                arguments[name] = value
            for name in left_out or ():
                arguments.pop(name, None)
            return await runtime.edit(
                ticket, local_login(), arguments, reason=reason, confirm=confirm, approve=approve
            )

    with reporting_errors():
        question = anyio.run(work)
        say(f"{ticket} is edited; {question.ticket} asks about what you made of it.")
        with _desk(config) as (desk, _):
            _tell(question, desk)


@app.command("delegate")
def delegate(ticket: Ticket, person: str, config: ConfigOption = None, *, reason: Reason = "") -> None:
    """Hand a question to somebody else, who answers in your place. You have no say in it any more.

    Example: `pratique approvals delegate t_1f2e3d4c5b6a7980 bo@acme.example --reason "on leave"`
    """
    with _desk(config) as (desk, _):
        desk.hand_on(ticket, local_login(), person, reason)
        say(f"{ticket} is with {person} now.")


@app.command("ask")
def ask(ticket: Ticket, text: str, config: ConfigOption = None) -> None:
    """Ask the person the agent acts for. The question's time goes on.

    Example: `pratique approvals ask t_1f2e3d4c5b6a7980 "Which of the two invoices?"`
    """
    with _desk(config) as (desk, _):
        desk.ask_person(ticket, local_login(), text)
        say("Asked. The answer will stand in `pratique approvals show`.")


@app.command("answer")
def answer_question(ticket: Ticket, text: str, config: ConfigOption = None) -> None:
    """Answer what an approver asked you, as the person the agent acts for.

    Example: `pratique approvals answer t_1f2e3d4c5b6a7980 "The one of May."`
    """
    with _desk(config) as (desk, _):
        desk.reply(ticket, local_login(), text)
        say("Answered.")


@app.command("notify")
def notify(
    config: ConfigOption = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell people what waits, and let time that ran out take effect; `pratique serve` does it by itself.

    Example: `pratique approvals notify --once`
    """
    settings = Settings.load(config)
    with _desk(config) as (desk, ledger):
        notifier = open_notifier(settings, ledger, desk)
        if not once:
            anyio.run(notifier.run)
            return
        done = anyio.run(notifier.once)
    if as_json:
        print_json(done._asdict())
    else:
        say(
            f"{done.sent} sent, {done.failed} not sent, {done.expired} questions expired, "
            f"{done.escalated} escalated."
        )


def answer(ledger: Ledger, ticket: str, *, approve: bool, reason: str, confirm: str = "") -> Question:
    """Record the answer of whoever is logged in to this machine; see `Queue.answer`."""
    return Desk(ledger, people.members).answer(
        ticket, local_login(), approve=approve, reason=reason, confirm=confirm
    )


def _answer_all(desk: Desk, tickets: list[str], *, approve: bool, reason: str) -> None:
    done = desk.answer_all(tickets, local_login(), approve=approve, reason=reason)
    for one in done:
        if one.question is None:
            complain(f"{one.ticket}: {one.problem}")
        else:
            _tell(one.question, desk)
    if any(one.question is None for one in done):
        raise typer.Exit(FAILED)


def _stated(change: str) -> tuple[str, Any]:
    """Return name and value of `NAME=VALUE`; a value that is no JSON is text."""
    name, sign, text = change.partition("=")
    if not name or not sign:
        fail(f"--set {change!r}: say NAME=VALUE")
    try:
        return name, orjson.loads(text)
    except orjson.JSONDecodeError:
        return name, text


def _tell(question: Question, desk: Desk) -> None:
    if question.state != "proposed":
        say(f"{question.ticket} is {question.state}.")
        return
    yes = [name for name, word, _ in desk.queue.votes(question.ticket) if word == "approve"]
    user = desk.queue.asked(question.ticket).user
    electorate = desk.queue.electorate(question, user, desk.members)
    missing = [
        f"{need.quorum - electorate.yes_for(need, yes)} of {need.approvers}"
        for need in question.needs
        if electorate.yes_for(need, yes) < need.quorum
    ]
    somebody = ["somebody else than who edited it"] if not missing else []
    say(f"Recorded. {question.ticket} still needs: {', '.join(missing + somebody)}")
