"""`pratique keys`: the API keys that agents come in with."""

from typing import Annotated

import typer
from rich.table import Table

from pratique.app import local_login, open_ledger
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
from pratique.identity.keys import LONGEST_DAYS, Keys
from pratique.settings import Settings

app = typer.Typer(help="Give agents their way in, and end it.", no_args_is_help=True)


@app.command("issue")
@reporting_errors()
def issue(
    agent: Annotated[str, typer.Argument(help="The agent, as the policy names it.")],
    acts_for: Annotated[
        list[str],
        typer.Option("--acts-for", help="For whom it may act: a name, *@DOMAIN, or *. May be repeated."),
    ],
    config: ConfigOption = None,
    *,
    days: Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="How long it lives.")] = 90,
    label: Annotated[str, typer.Option(help="Where it is kept, for whoever reads the list.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Issue a key, and show it this once. Only its hash is kept.

    The program that holds it authenticates its own users and names one when it opens a session. The key
    bounds whom it may name: one name for a personal agent, *@acme.example for a company's service.

    Example: `pratique keys issue support --acts-for "*@acme.example" --label "ticket service"`
    """
    with open_ledger(Settings.load(config)) as ledger:
        issued = Keys(ledger).issue(agent, acts_for, local_login(), days=days, label=label)
    if as_json:
        print_json(issued)
        return
    key = issued.key
    what = f"Key {key.id} of {key.agent}, for {', '.join(key.acts_for)}, until {moment(key.ends_us)}"
    complain(f"{what}. It is not shown again:", "dim")
    typer.echo(issued.text)


@app.command("list")
@reporting_errors()
def list_keys(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the keys, newest first.

    Example: `pratique keys list`
    """
    with open_ledger(Settings.load(config)) as ledger:
        found, now_us = Keys(ledger).all(), ledger.clock()
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("There is no key. Issue one: pratique keys issue AGENT --acts-for NAME")
        return
    table = Table("key", "agent", "acts for", "label", "until", "state", box=None, header_style="dim")
    for key in found:
        state = "good" if key.is_good(now_us) else "revoked" if key.revoked_us else "expired"
        table.add_row(key.id, key.agent, ", ".join(key.acts_for), key.label, moment(key.ends_us), state)
    console.print(table)


@app.command("revoke")
@reporting_errors()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, from `pratique keys list`.")],
    config: ConfigOption = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """End a key at once, and every session that it opened: what waits under it will not run.

    Example: `pratique keys revoke 1f2e3d4c5b6a --reason "was in a public repository"`
    """
    with open_ledger(Settings.load(config)) as ledger:
        found = Keys(ledger).revoke(key, local_login(), reason)
    if as_json:
        print_json(found)
    else:
        say(f"{found.id} of {found.agent} is revoked.")
