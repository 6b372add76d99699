"""`pratique mcp`: an agent's tools for MCP clients, and other programs' MCP servers behind Pratique."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pratique import client
from pratique.adapters.mcp import is_installed
from pratique.app import open_runtime
from pratique.cli import mcp_servers
from pratique.cli.console import ConfigOption, complain, fail, reporting_errors
from pratique.errors import DependencyError, SettingsError
from pratique.settings import Settings

app = typer.Typer(
    help="Serve an agent's tools to MCP clients, and put other MCP servers behind Pratique.",
    no_args_is_help=True,
)

MISSING = "pratique mcp needs the extra: pip install 'pratique[mcp]'"

Agent = Annotated[str, typer.Option(help="The agent that calls, as the policy names it.")]
User = Annotated[str, typer.Option(help="The person that it acts for.")]
Words = Annotated[
    str, typer.Option("--request", help="That person's own words: the only text that is trusted.")
]
Url = Annotated[str, typer.Option(help="Call through the server at this address, not a ledger here.")]
Key = Annotated[
    str, typer.Option(metavar="env:NAME|file:PATH", help="Where the API key for --url is. Never the key.")
]
Resumed = Annotated[str, typer.Option("--session", help="Go on with this session, which was left open.")]


@app.command("serve")
@reporting_errors()
def serve(
    config: ConfigOption = None,
    *,
    agent: Agent = "",
    user: User = "",
    request: Words = "",
    url: Url = "",
    key: Key = "",
    session: Resumed = "",
) -> None:
    """Speak MCP on standard input and output: every tool that the agent may call, until the input ends.

    An MCP client starts this itself: put it into the client's settings as the server's command. One process
    is one session. If calls still wait for a person when the input ends, the session is left open, and its
    id is printed to standard error.

    Example: `pratique mcp serve --agent support --user kim@acme.example`
    """
    if not is_installed():
        raise DependencyError(MISSING)
    if not session and not (agent and user):
        fail("say who calls and for whom: --agent and --user; or go on with a --session")
    facts = {"agent": agent, "user": user, "request": request}
    if url:
        runtime: Any = client.connect(url, _secret(key))
        link = url
    else:
        settings = Settings.load(config)
        runtime = open_runtime(settings, logs=True)
        link = settings.notify.link or settings.server.public_url
    code = asyncio.run(_serve(runtime, facts, session, link))
    sys.stdout.flush()
    _leave(code)


mcp_servers.add_to(app)


async def _serve(runtime: Any, facts: dict[str, str], resumed: str, link: str) -> int:
    """Serve until the input ends or a signal comes; return the exit code."""
    from pratique.adapters.mcp.calling import Calling  # noqa: PLC0415  # needs the extra

    stopped = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    async with runtime:
        session = await (runtime.resume_session(resumed) if resumed else runtime.open_session(**facts))
        calling = Calling(session)
        speaking = asyncio.create_task(_speak(calling, link), name="mcp stdio")
        ending = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({speaking, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if speaking.done():
                speaking.result()
        finally:
            await calling.aclose()
            if calling.waits:
                complain(f"calls wait for a person; go on with: --session {session.id}", "")
            else:
                await session.aclose()
    return 0 if speaking.done() else 128 + signal.SIGTERM


async def _speak(calling: Any, link: str) -> None:
    from mcp.server.stdio import stdio_server  # noqa: PLC0415  # an extra

    from pratique.adapters.mcp.server import one_session, tool_server  # noqa: PLC0415  # needs the extra

    server = tool_server(
        one_session(calling),
        state_key=secrets.token_bytes(32),  # its session's: what another process sealed is refused
        audience=calling.session.id,
        link=cards_of(link),
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def cards_of(address: str) -> Callable[[str], str]:
    """Return what gives a question's address on the server at `address`; of none, if that is empty."""
    return lambda ticket: f"{address.rstrip('/')}/queue/{ticket}" if address else ""


def _secret(where: str) -> str:
    kind, _, place = where.partition(":")
    if kind == "env" and os.environ.get(place):
        return os.environ[place]
    if kind == "file":
        try:
            return Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"--key: {place} cannot be read: {problem}") from None
    raise SettingsError("--key: say env:NAME (a variable that is set) or file:PATH, not the key itself")


def _leave(code: int) -> NoReturn:
    """End the process, even if a thread still waits for input: everything is on record by now."""
    sys.stderr.flush()
    os._exit(code)
