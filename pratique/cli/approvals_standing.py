"""`pratique approvals standing`: yeses given beforehand."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import orjson
import typer

from pratique.app import known_tools, local_login, open_ledger
from pratique.approvals.desk import Desk
from pratique.approvals.standing import StandingApproval
from pratique.capabilities.patterns import exactly, in_words
from pratique.cli.approvals_shown import standing_list
from pratique.cli.console import ConfigOption, JsonOption, console, fail, print_json, reporting_errors, say
from pratique.cli.trace import moment
from pratique.identity import people
from pratique.settings import Settings

app = typer.Typer(help="Yeses given beforehand: to whom, for what, until when.", no_args_is_help=True)

Identity = Annotated[str, typer.Argument(help="The standing approval's id (sa_…).")]
Fields = list[str] | None

_UNITS = {"m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


@app.command("list")
def list_standings(
    config: ConfigOption = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List standing approvals, with how often each was used.

    Example: `pratique approvals standing list`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = [
            one for one in Desk(ledger, people.members).standings.all() if every or one.state == "active"
        ]
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    elif not found:
        say("Nothing stands.")
    else:
        console.print(standing_list(found))


@app.command("make")
def make(  # noqa: PLR0913  # one option per fact
    config: ConfigOption = None,
    *,
    agent: Annotated[str, typer.Option(help="Whose calls.")] = "",
    tool: Annotated[str, typer.Option(help="Of which tool.")] = "",
    like: Annotated[
        str, typer.Option(metavar="TICKET", help="Begin with a question's agent, tool, arguments.")
    ] = "",
    equals: Annotated[Fields, typer.Option(metavar="NAME=VALUE", help="Exactly this: text, or JSON.")] = None,
    one_of: Annotated[Fields, typer.Option(metavar="NAME=A,B", help="One of these texts.")] = None,
    between: Annotated[Fields, typer.Option(metavar="NAME=1..50", help="A number from, to.")] = None,
    glob: Annotated[
        Fields, typer.Option(metavar="NAME=*@HOST", help="Like this; * stops at / and @.")
    ] = None,
    anything: Annotated[Fields, typer.Option("--any", metavar="NAME", help="Whatever it is.")] = None,
    expires: Annotated[str, typer.Option(metavar="7d", help="For how long: 30m, 8h, 7d, 4w.")] = "",
    max_uses: Annotated[int, typer.Option(help="How often, in all.")] = 0,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; others will read it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Give a yes beforehand, to calls whose every argument you name.

    It never counts for a call with an argument from outside, nor (unless the policy says so) for one that
    cannot be undone. Where two people must agree, two must stand behind it: `join`.

    Example: `pratique approvals standing make --like t_1f2e3d4c --any body --expires 7d --max-uses 9 -r ok`
    """
    settings = Settings.load(config)
    with reporting_errors(), open_ledger(settings) as ledger:
        desk = Desk(ledger, people.members)
        pattern: dict[str, Any] = {}
        if like:
            question, asked = desk.queue.look(like), desk.queue.asked(like)
            agent, tool = agent or question.agent, tool or question.tool
            pattern = exactly(orjson.loads(asked.args_json))
        pattern |= _pattern(equals, one_of, between, glob, anything)
        declared = known_tools(settings).get(tool)
        if declared is None:
            fail(f"no tool is called {tool!r}; say --tool NAME, or --like TICKET")
        made = desk.make_standing(
            local_login(),
            declared.capability,
            agent=agent,
            pattern=pattern,
            expires_us=ledger.clock() + _seconds(expires) * 1_000_000,
            max_uses=max_uses,
            reason=reason,
        )
    _tell(made, as_json=as_json)


@app.command("join")
def join(identity: Identity, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Stand behind it as well: where two must agree, it counts from the second on.

    Example: `pratique approvals standing join sa_1f2e3d4c5b6a7980`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = Desk(ledger, people.members).join_standing(identity, local_login())
    _tell(found, as_json=as_json)


@app.command("revoke")
def revoke(
    identity: Identity,
    config: ConfigOption = None,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why.")] = "",
) -> None:
    """End it, at once.

    Example: `pratique approvals standing revoke sa_1f2e3d4c5b6a7980`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = Desk(ledger, people.members).revoke_standing(identity, local_login(), reason)
    say(f"{found.id} is revoked; it was used {found.uses} times.")


def _tell(made: StandingApproval, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    people = ", ".join(made.people)
    say(
        f"{made.id}: {made.agent} may call {made.tool} {made.max_uses} times, until {moment(made.expires_us)}"
    )
    say(
        f"  if {in_words(made.pattern or {})}; {people} stands behind it. Where more must agree, they `join`."
    )


def _pattern(
    equals: Fields, one_of: Fields, between: Fields, glob: Fields, anything: Fields
) -> dict[str, Any]:
    forms: list[tuple[str, Fields, Callable[[str], Any]]] = [
        ("--equals", equals, lambda text: {"equals": _value(text)}),
        ("--one-of", one_of, lambda text: {"one_of": text.split(",")}),
        ("--between", between, _bounds),
        ("--glob", glob, lambda text: {"glob": text}),
    ]
    pattern: dict[str, Any] = {}
    for option, fields, form in forms:
        for field in fields or ():
            name, sign, text = field.partition("=")
            if not name or not sign:
                fail(f"{option} {field!r}: say NAME=…")
            pattern[name] = form(text)
    return pattern | {name: {"any": True} for name in anything or ()}


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _bounds(text: str) -> dict[str, Any]:
    least, _, most = text.partition("..")
    try:
        return {"least": orjson.loads(least), "most": orjson.loads(most)}
    except orjson.JSONDecodeError:
        fail(f"--between {text!r}: say NAME=1..50")


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,4})([mhdw])", text)
    if match is None:
        fail(f"--expires {text!r}: say for how long, like 30m, 8h, 7d or 4w")
    return int(match[1]) * _UNITS[match[2]]
