"""`pratique mcp add, list, show, check, remove`: other programs' servers, and what they list.

Rules:
- What a server lists is written down, and shown, before any of it can be called. That is for
  `pratique mcp approve` (`mcp_pinning`) to say.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pratique.app import ladder_of, local_login, open_ledger, servers_of
from pratique.cli import mcp_shown as shown
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    complain,
    fail,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.mcp_pinning import Name, approve, refuse, tools_of
from pratique.errors import PratiqueError, SettingsError
from pratique.logs import configure_logs
from pratique.proxy.definition import Listing
from pratique.proxy.pins import Pins
from pratique.settings import FILE, Settings
from pratique.tools.registry import Registry

if TYPE_CHECKING:  # needs the extra
    from pratique.proxy.configured import Configured


def add_to(app: typer.Typer) -> None:
    """Put these verbs beside `pratique mcp serve`."""
    for name, verb in (
        ("add", add),
        ("list", list_tools),
        ("show", show),
        ("check", check),
        ("approve", approve),
        ("refuse", refuse),
        ("remove", remove),
    ):
        app.command(name)(reporting_errors()(verb))


def add(  # noqa: PLR0913  # one option per setting
    name: Annotated[str, typer.Argument(help="What to call it: its tools become NAME.tool.")],
    what: Annotated[
        list[str], typer.Argument(metavar="URL | -- COMMAND...", help="Where it is, or what starts it.")
    ],
    config: ConfigOption = None,
    *,
    runs_in: Annotated[
        str, typer.Option(help="How a command is isolated: jail, or inline (not at all).")
    ] = "jail",
    path: Annotated[
        list[Path] | None, typer.Option(help="A file or folder that a jailed command may read.")
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="host:port that a jailed command may reach.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="VAR=VALUE", help="A variable of the command.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="VAR=NAME", help="A variable, or a header, from the secret NAME of [secrets]."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="The URL may be in the own network.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put another MCP server behind Pratique: start or reach it, show what it lists, write it down.

    Nothing of it can be called until you approve it, tool by tool. A command runs in a jail, where it has no
    file, network or variable of yours but those that you name. `--path`, `--host`, `--env` and `--secret` may
    be repeated.

    Example: `pratique mcp add files --path /srv/docs -- /usr/bin/files-server /srv/docs`
    """
    settings, file = _settings(config), config or Path(FILE)
    if name in settings.servers:
        fail(f"there is a server {name} already; `pratique mcp remove {name}` first")
    if len(what) == 1 and what[0].startswith(("http://", "https://")):
        stated: dict[str, Any] = {"url": what[0], "private": private}
    else:
        stated = {"command": what, "runs_in": runs_in}
    lists = {"paths": [str(one) for one in path or ()], "hosts": list(host or ())}
    tables = {"environment": _pairs("--env", env), "secrets": _pairs("--secret", secret)}
    stated |= {key: value for key, value in (lists | tables).items() if value}
    server = servers_of(settings.with_servers(**{name: stated}))[name]
    _demand_free(settings, name)
    listing = asyncio.run(_looked(server, settings))
    from pratique.proxy.settings_file import add_server  # noqa: PLC0415  # needs the extra

    add_server(file, name, stated)
    with open_ledger(settings, create=True) as ledger:
        pins = Pins(ledger)
        pins.add(name, server.config, server.about, local_login())
        pins.saw(name, listing, local_login())
        found = pins.tools(name)
    if as_json:
        print_json({"server": name, "about": server.about, "tools": found, "nameless": listing.nameless})
        return
    say(f"{name} is in {file} now: {server.about}")
    shown.print_pins(found)
    if listing.nameless:
        complain(f"{listing.nameless} more entries have no name that can be used", "yellow")
    say(f"Nothing of it can be called yet. Look at it: pratique mcp show {name}", "bold")


def list_tools(
    name: Annotated[str, typer.Argument(help="One server.", show_default="all")] = "",
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the servers and their tools: what can be called, and what is in quarantine.

    This asks no server; `pratique mcp check` does.

    Example: `pratique mcp list files`
    """
    settings = Settings.load(config)
    with open_ledger(settings) as ledger:
        pins = Pins(ledger)
        servers = [one for one in pins.servers() if name in {"", one.name}]
        found = pins.tools(name)
    if name and not servers:
        fail(f"no server is called {name!r}; see `pratique mcp list`")
    if as_json:
        print_json({"servers": servers, "tools": found})
        return
    if not servers:
        say("There is no server. Add one: pratique mcp add NAME -- COMMAND")
    for server in servers:
        shown.print_server(server, known=server.name in settings.servers)
        shown.print_pins([pin for pin in found if pin.server == server.name])


def show(
    name: Annotated[str, typer.Argument(metavar="NAME[.TOOL]", help="A server, or one of its tools.")],
    config: ConfigOption = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what is approved and unchanged.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show definitions as a model would read them, and what changed since they were approved.

    Of a server, those that wait for somebody; of many long ones, the first. Hidden characters are written
    out, and words that look like orders to a model are pointed out. The last line of each says how to approve
    this very definition.

    Example: `pratique mcp show files.read`
    """
    with open_ledger(Settings.load(config)) as ledger:
        pins = Pins(ledger)
        server, _, tool = name.partition(".")
        chosen = (
            [pins.find(name)]
            if tool
            else [pin for pin in tools_of(pins, server) if everything or pin.state != "approved"]
        )
        views = [shown.view_of(pins, pin) for pin in chosen]
    if as_json:
        print_json(views)
        return
    lines = 0
    for number, view in enumerate(views):
        if lines > shown.MOST_LINES:
            rest = len(views) - number
            complain(f"{rest} more: name one, from {view.pin.tool} on; all of them with --json", "yellow")
            break
        lines += shown.print_view(view)
    if not views:
        say(f"Nothing of {server} waits. With --all, what is approved is shown.")


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Servers.", show_default="all")
    ] = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask servers what they list now, and put what changed into quarantine.

    Exit code 1 if anything waits for somebody to look at it, 2 if a server cannot be had.

    Example: `pratique mcp check files`
    """
    settings = _settings(config)
    servers, failed = servers_of(settings), []
    _demand_free(settings, *servers)
    for name in names or ():
        if name not in servers:
            fail(f"the settings have no server {name!r}; they have: {', '.join(sorted(servers)) or 'none'}")
    with open_ledger(settings, create=True) as ledger:
        pins = Pins(ledger)
        for name, server in servers.items():
            if names and name not in names:
                continue
            pins.add(name, server.config, server.about, local_login())
            try:
                pins.saw(name, asyncio.run(_looked(server, settings)), local_login())
            except PratiqueError as problem:
                failed.append({"server": name, "problem": str(problem)})
        found = [pin for pin in pins.tools() if pin.server in servers and (not names or pin.server in names)]
    waiting = [pin for pin in found if pin.waits]
    if as_json:
        print_json({"tools": found, "waiting": len(waiting), "failed": failed})
    else:
        shown.print_pins(found)
        for one in failed:
            complain(f"{one['server']}: {one['problem']}")
        if waiting:
            complain(f"{len(waiting)} in quarantine: pratique mcp show {waiting[0].server}", "yellow")
    if failed or waiting:
        raise typer.Exit(2 if failed else FAILED)


def remove(
    name: Name,
    config: ConfigOption = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Remove a server from the settings, and everything that was approved of it.

    Processes that run refuse its tools from their next call on.

    Example: `pratique mcp remove files --reason "replaced"`
    """
    settings = _settings(config)
    from pratique.proxy.settings_file import remove_server  # noqa: PLC0415  # needs the extra

    written = remove_server(config or Path(FILE), name)
    with open_ledger(settings, create=True) as ledger:
        pins = Pins(ledger)
        known = pins.server(name) is not None
        if known:
            pins.remove(name, local_login(), reason)
    if not (written or known):
        fail(f"no server is called {name!r}; see `pratique mcp list`")
    if as_json:
        print_json({"server": name, "removed": True})
    else:
        say(f"{name} is removed: nothing of it can be called.")


def _settings(config: Path | None) -> Settings:
    """Return the settings; a file that is not there yet has none. What servers say goes to standard error."""
    settings = Settings.load(config) if (config or Path(FILE)).exists() else Settings.load()
    known = [secret.get_secret_value() for secret in settings.secret_values().values()]
    configure_logs("warning", "auto", known, settings.redact, settings.phone_region)
    return settings


def _demand_free(settings: Settings, *servers: str) -> None:
    """Fail if a tool of our own is called like one of a server's: no call of it could be told from theirs."""
    for tool in Registry.from_modules(settings.tools, settings.base):
        name = tool.capability.name
        if (prefix := name.partition(".")[0]) in servers:
            fail(f"{name} is a tool of your own: call the server something else than {prefix}")


async def _looked(server: "Configured", settings: Settings) -> Listing:
    from pratique.proxy.servers import look  # noqa: PLC0415  # needs the extra
    from pratique.tools.hosts import Network  # noqa: PLC0415  # as above

    ladder = ladder_of(settings, warm=0)
    try:
        return await look(server, ladder, Network())
    finally:
        await ladder.aclose()


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise SettingsError(f"{option} {one[:80]!r}: say NAME=VALUE")
        found[name] = value
    return found
