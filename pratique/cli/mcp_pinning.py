"""`pratique mcp approve, refuse`: what may be called of another program's server, definition by definition.

Rules:
- A definition is approved or refused by its digest: the one that was shown. If it changed since, nothing
  happens. The digest is named in full: of a part of it, a server can make two definitions in a minute.
- What is approved without a digest is shown first, and asked about; `--yes` says that you have looked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pratique.app import local_login, open_ledger
from pratique.cli import mcp_shown as shown
from pratique.cli.console import FAILED, ConfigOption, JsonOption, fail, print_json, say
from pratique.errors import PinError
from pratique.model import Tier
from pratique.proxy.pins import Pin, Pins
from pratique.settings import Settings

DIGITS = 64
"""Digits of a digest (SHA-256, hexadecimal)."""

Name = Annotated[str, typer.Argument(help="The server, as the settings call it.")]
Tools = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TOOL[@DIGEST]",
        help="Its tools, with or without the server's name.",
        show_default="all that wait",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: you have looked.")]


def approve(
    name: Name,
    tools: Tools = None,
    config: ConfigOption = None,
    *,
    tier: Annotated[
        Tier, typer.Option(help="What a call can do to the world. A server's own word can raise it.")
    ] = Tier.IRREVERSIBLE,
    yes: Yes = False,
    as_json: JsonOption = False,
) -> None:
    """Approve tools as they are defined now: from the next call on, they can be called as the policy says.

    With `TOOL@DIGEST`, as `pratique mcp show` prints it, that very definition and no other. Without it, the
    definition is shown once more and you are asked.

    Example: `pratique mcp approve files read --tier read`
    """
    _answer(name, tools, config, as_json=as_json, yes=yes, tier=tier)


def refuse(
    name: Name,
    tools: Tools = None,
    config: ConfigOption = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    yes: Yes = False,
    as_json: JsonOption = False,
) -> None:
    """Refuse tools as they are defined now, or withdraw that they were approved: they cannot be called.

    Example: `pratique mcp refuse files delete --reason "not needed"`
    """
    _answer(name, tools, config, as_json=as_json, yes=yes, reason=reason)


def _answer(
    name: str,
    tools: list[str] | None,
    config: Path | None,
    *,
    as_json: bool,
    yes: bool,
    tier: Tier | None = None,
    reason: str = "",
) -> None:
    """Approve (at a tier) or refuse what is named, each by the digest that was seen or named."""
    with open_ledger(Settings.load(config)) as ledger:
        pins = Pins(ledger)
        chosen = _chosen(pins, name, tools)
        if not yes and any(not exact for _, _, exact in chosen):
            for pin, _, exact in chosen:
                if not exact:
                    shown.print_view(shown.view_of(pins, pin), to_stderr=True)
            what = f"Approve as {tier}?" if tier is not None else "Refuse?"
            if not typer.confirm(what, err=True):
                fail("nothing was changed", FAILED)
        who, done = local_login(), []
        for pin, digest, _ in chosen:
            if tier is None:
                done.append(pins.refuse(pin.tool, digest, who, reason))
            else:
                done.append(pins.approve(pin.tool, digest, tier, who))
    if as_json:
        print_json(done)
        return
    for pin in done:
        raised = (
            f" (its server says so; you said {tier})" if tier is not None and pin.tier != tier.value else ""
        )
        how = f"approved as {pin.tier}{raised}" if tier is not None else "refused"
        say(f"{pin.tool}@{pin.seen} is {how}.")


def _chosen(pins: Pins, name: str, tools: Sequence[str] | None) -> list[tuple[Pin, str, bool]]:
    """Return each tool that is meant, the digest, and whether that was given.

    Raises:
        PinError: a digest is not named in full, or is not the one that the tool has now.
    """
    if not tools:
        waiting = [(pin, pin.seen, False) for pin in tools_of(pins, name) if pin.waits]
        if not waiting:
            fail(f"nothing of {name} waits; name a tool, or see `pratique mcp list {name}`")
        return waiting
    found = []
    for text in tools:
        tool, at, digest = text.partition("@")
        pin = pins.find(tool if tool.startswith(f"{name}.") else f"{name}.{tool}")
        if at and len(digest) != DIGITS:
            raise PinError(
                f"{text[:200]}: name all {DIGITS} digits of the digest, as `pratique mcp show` prints them"
            )
        if at and digest != pin.seen:
            raise PinError(f"{pin.tool} is not defined as @{digest} now: look at it again")
        found.append((pin, pin.seen, bool(at)))
    return found


def tools_of(pins: Pins, server: str) -> list[Pin]:
    """Return every tool that a server listed, with what people said of it.

    Raises:
        PinError: no server is called so.
    """
    if pins.server(server) is None:
        raise PinError(f"no server is called {server[:80]!r}; see `pratique mcp list`")
    return pins.tools(server)
