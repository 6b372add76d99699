"""`pratique people`: who can log in, and as what."""

from typing import Annotated, Any

import typer
from rich.table import Table

from pratique.app import local_login, open_ledger
from pratique.capabilities.rights import Role
from pratique.cli.console import (
    ConfigOption,
    JsonOption,
    complain,
    console,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.trace import moment
from pratique.errors import IdentityError
from pratique.identity.people import LINK_SECONDS, Account, People
from pratique.ledger.door import Ledger
from pratique.settings import Settings

app = typer.Typer(help="Say who can log in, and as what.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What records and the policy's groups call the person.")]
Roles = Annotated[
    list[Role] | None,
    typer.Option(
        "--role", "-r", help="owner, admin or auditor; may be repeated. Approvers are named by the policy."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


@app.command("add")
@reporting_errors()
def add(
    name: Name,
    role: Roles = None,
    config: ConfigOption = None,
    *,
    link: Annotated[bool, typer.Option(help="Print a link that logs them in once.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Add an account, and print a link that logs its person in, once, within an hour.

    Who may answer questions is said by the policy's [groups], by the same name. A role is for the rest: an
    owner rules, an admin lets people and agents in, an auditor reads everything.

    Example: `pratique people add ana@acme.example --role owner --role admin`
    """
    settings = Settings.load(config)
    with open_ledger(settings, create=True) as ledger:
        people = People(ledger)
        found = people.add(name, local_login(), roles=[str(one) for one in role or ()])
        shown = _link(people, settings, found.name) if link else {}
    if as_json:
        print_json({**found.model_dump(mode="json"), **shown})
        return
    say(f"{found.name} has an account{_as(found)}.")
    _say_link(shown)


@app.command("list")
@reporting_errors()
def list_people(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the accounts.

    Example: `pratique people list`
    """
    with open_ledger(Settings.load(config)) as ledger:
        found = People(ledger).all()
    if as_json:
        print_json([person.model_dump(mode="json") for person in found])
        return
    if not found:
        console.print("Nobody can log in. Add somebody: pratique people add NAME --role owner")
        return
    table = Table("name", "roles", "logs in by", "since", "state", box=None, header_style="dim")
    for person in found:
        way = person.issuer or ("password" if person.password_seq else "link only")
        state = f"disabled {moment(person.disabled_us)}" if person.disabled_us else "enabled"
        table.add_row(person.name, ", ".join(person.roles) or "-", way, moment(person.added_us), state)
    console.print(table)


@app.command("roles")
@reporting_errors()
def roles(name: Name, role: Roles = None, config: ConfigOption = None) -> None:
    """Give a person these roles and no others; none, if none is named.

    Example: `pratique people roles ana@acme.example --role auditor`
    """
    with _people(config) as ledger:
        found = People(ledger).give(name, [str(one) for one in role or ()], local_login())
    say(f"{found.name} is {', '.join(found.roles) or 'nothing but what the policy says'} now.")


@app.command("disable")
@reporting_errors()
def disable(name: Name, config: ConfigOption = None, *, reason: Reason = "") -> None:
    """End a person's logins at once, and let them log in no more.

    Example: `pratique people disable ana@acme.example --reason "left the company"`
    """
    with _people(config) as ledger:
        found = People(ledger).disable(name, local_login(), reason)
    say(f"{found.name} is disabled; every login of theirs has ended.")


@app.command("enable")
@reporting_errors()
def enable(name: Name, config: ConfigOption = None) -> None:
    """Let a disabled person log in again.

    Example: `pratique people enable ana@acme.example`
    """
    with _people(config) as ledger:
        found = People(ledger).enable(name, local_login())
    say(f"{found.name} can log in again.")


@app.command("password")
@reporting_errors()
def password(name: Name, config: ConfigOption = None) -> None:
    """Ask for a new password, without showing it. Every login of the person ends.

    From a program, give it on standard input.

    Example: `pratique people password ana@acme.example`
    """
    stdin = typer.get_text_stream("stdin")
    chosen = (
        typer.prompt("New password", hide_input=True, confirmation_prompt="Once more", err=True)
        if stdin.isatty()
        else stdin.readline().rstrip("\n")
    )
    with _people(config) as ledger:
        People(ledger).set_password(name, chosen, local_login())
    say(f"{name} has a new password.")


@app.command("login-link")
@reporting_errors()
def login_link(name: Name, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Print a link that logs a person in once, within an hour. Give it to nobody else.

    Example: `pratique people login-link ana@acme.example`
    """
    settings = Settings.load(config)
    with open_ledger(settings) as ledger:
        shown = _link(People(ledger), settings, name)
    if as_json:
        print_json(shown)
    else:
        _say_link(shown)


def _people(config: Any) -> Ledger:
    return open_ledger(Settings.load(config))


def _link(people: People, settings: Settings, name: str) -> dict[str, str]:
    from pratique.server.listen import address_of  # noqa: PLC0415  # the web stack is slow to import

    if people.find(name) is None:
        raise IdentityError(f"{name} has no account; see `pratique people list`")
    return {"login_link": f"{address_of(settings.server)}/login/link/{people.link(name, local_login())}"}


def _say_link(shown: dict[str, str]) -> None:
    if shown:
        complain(f"Works once, for {LINK_SECONDS // 60} minutes, while `pratique serve` runs:", "dim")
        typer.echo(shown["login_link"])


def _as(found: Account) -> str:
    return f" as {', '.join(found.roles)}" if found.roles else ""
