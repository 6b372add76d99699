"""Other programs' servers and their tools: what is in quarantine, what changed, and a person's answer.

Rules:
- A definition is answered by its digest: the one that the page showed. If it changed since, nothing happens.
- Every text is shown with its hidden characters written out; words like orders to a model are pointed out.
- A server writes what is shown: a page holds so much of it, and is made beside the event loop.
"""

from typing import Annotated, NamedTuple

import anyio.to_thread
from fastapi import APIRouter, Form, Path, Request, Response

from pratique.capabilities.rights import Right
from pratique.errors import PinError, ToolError
from pratique.model import Tier
from pratique.proxy.comparison import MOST_COMPARED, Part, parts, warnings
from pratique.proxy.pins import Pin, Pins, Server
from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.web.pages import after, page
from pratique.server.web.who import ServersReader, ServersRuler

router = APIRouter()

MOST_IN_FULL = 10
"""Tools that a page shows in full; the others are behind their links."""

MOST_TEXT = 200_000
"""Characters of definitions that a page shows. Only the first may have more: it is shown whole."""

TIERS = {
    Tier.READ: "read: nothing changes",
    Tier.EGRESS: "egress: reads, but what it is given leaves the house",
    Tier.WRITE: "write: changes something that can be changed back",
    Tier.IRREVERSIBLE: "irreversible: cannot be undone",
}

Tool = Annotated[str, Form(max_length=200)]
Digest = Annotated[str, Form(pattern=r"^[0-9a-f]{64}$")]
ServerName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Reason = Annotated[str, Form(max_length=500)]


class Shown(NamedTuple):
    """One tool in full; `tiers` are those that it may be given, with words for them."""

    pin: Pin
    warnings: list[str]
    parts: list[Part]
    tiers: list[tuple[str, str]]


class Listed(NamedTuple):
    """A server and its tools: `waiting` in full, `others` as lines; `here`, if this process can ask it."""

    server: Server
    here: bool
    waiting: list[Shown]
    others: list[Pin]


@router.get("/servers")
async def servers(request: Request, person: ServersReader, tool: str = "") -> Response:
    """Return all servers: what waits in full, the rest as lines; or one tool in full, if asked for."""
    return await _page(request, person, tool)


@router.post("/servers/approve")
async def approve(
    request: Request, person: ServersRuler, tool: Tool, digest: Digest, tier: Annotated[Tier, Form()]
) -> Response:
    """Approve the definition that was shown."""
    here = door(request)
    try:
        await anyio.to_thread.run_sync(Pins(here.ledger).approve, tool, digest, tier, person.name)
    except PinError as problem:
        return await _page(request, person, problem=str(problem), status=409)
    await here.runtime.enforcement.refresh()
    return after("/servers", "pinned")


@router.post("/servers/refuse")
async def refuse(
    request: Request, person: ServersRuler, tool: Tool, digest: Digest, reason: Reason = ""
) -> Response:
    """Refuse the definition that was shown, or withdraw that it was approved."""
    here = door(request)
    try:
        await anyio.to_thread.run_sync(Pins(here.ledger).refuse, tool, digest, person.name, reason)
    except PinError as problem:
        return await _page(request, person, problem=str(problem), status=409)
    await here.runtime.enforcement.refresh()
    return after("/servers", "unpinned")


@router.post("/servers/{name}/check")
async def check(request: Request, person: ServersRuler, name: ServerName) -> Response:
    """Ask a server what it lists now."""
    elsewhere = door(request).runtime.registry.elsewhere
    if elsewhere is None:
        return await _page(request, person, problem=f"{name} is not in the settings here", status=409)
    try:
        await elsewhere.check(name)
    except (PinError, ToolError) as problem:
        return await _page(request, person, problem=str(problem), status=409)
    return after("/servers", "checked")


async def _page(
    request: Request, person: Person, tool: str = "", *, problem: str = "", status: int = 200
) -> Response:
    here = door(request)
    found = await anyio.to_thread.run_sync(_found, here, tool)
    return await page(
        request,
        person,
        "servers.html",
        threaded=True,
        title="Other programs' tools",
        here="/servers",
        status=status,
        servers=found,
        tool=tool,
        problem=problem,
        may_answer=person.may(Right.SERVERS_RULE),
        default=Tier.IRREVERSIBLE.value,
        most_compared=MOST_COMPARED,
    )


def _found(here: Door, tool: str) -> list[Listed]:
    known, elsewhere = Pins(here.ledger), here.runtime.registry.elsewhere
    of_settings = elsewhere.names if elsewhere is not None else frozenset()
    room, text, found = MOST_IN_FULL, MOST_TEXT, []
    pins = known.tools()
    for server in known.servers():
        shown, others = [], []
        for pin in pins:
            if pin.server != server.name:
                continue
            if room <= 0 or text <= 0 or not (pin.tool == tool if tool else pin.waits):
                others.append(pin)
                continue
            full = _shown(known, pin)
            size = sum(len(line.text) for part in full.parts for line in part.lines)
            if size > text and room < MOST_IN_FULL:
                others.append(pin)
                text = 0
                continue
            shown.append(full)
            room, text = room - 1, text - size
        found.append(Listed(server, server.name in of_settings, shown, others))
    return found


def _shown(known: Pins, pin: Pin) -> Shown:
    before = known.definition(pin.pin) if pin.pin else None
    now = known.definition(pin.seen) if pin.seen else None
    least = Tier(pin.least) if pin.least else Tier.IRREVERSIBLE
    return Shown(
        pin,
        warnings(now) if now is not None else [],
        parts(before, now),
        [(tier.value, words) for tier, words in TIERS.items() if tier.rank >= least.rank],
    )
