"""Other programs' servers and their tools: what is in quarantine, one definition, and a person's answer.

Rules:
- The rights are those of the page `/servers`: whoever may read it, and whoever may answer there.
- An answer names the whole digest of the definition that was looked at. If it changed since, nothing happens.
- The text of a definition is what the server wrote: data, to be shown and not to be followed.
"""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from pydantic import Field

from pratique.capabilities.rights import Right
from pratique.errors import PinError
from pratique.model import Tier, Value
from pratique.proxy.comparison import warnings
from pratique.proxy.pins import LONGEST_REASON, Pin, Pins, Server
from pratique.server.api.shapes import Body, Text, problems
from pratique.server.auth.people import Demand, Person
from pratique.server.door import Door, door
from pratique.server.problems import Problem

router = APIRouter(prefix="/servers", tags=["servers"])

Ruler = Annotated[Person, Demand(Right.SERVERS_RULE)]
Tool = Annotated[str, Path(max_length=200, description="What the tool is called here, `SERVER.tool`.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Known = Annotated[Tier, Field(strict=False)]


class Listed(Value):
    """A server that was added, and every tool that was seen of it."""

    server: Server
    tools: tuple[Pin, ...]


class Shown(Value):
    """One tool.

    Attributes:
        pin: where it stands; `pin.seen` is the digest that an answer names.
        seen: the definition that was seen last; null if the server lists none that can be used.
        approved: the one that was approved last; null if none ever was.
        warnings: what in it looks like an order to a model, or hides.
    """

    pin: Pin
    seen: dict[str, Any] | None
    approved: dict[str, Any] | None
    warnings: tuple[str, ...] = ()


class Approval(Body):
    """Yes to the definition of this digest, at this tier; raised to what the server itself says."""

    digest: Digest
    tier: Known


class Refusal(Body):
    """No to the definition of this digest, approved before or not."""

    digest: Digest
    reason: Annotated[Text, Field(max_length=LONGEST_REASON)] = ""


@router.get("", dependencies=[Demand(Right.SERVERS_READ)], responses=problems(401, 403))
async def servers(request: Request) -> list[Listed]:
    """Return every server and its tools, by name."""
    return await to_thread.run_sync(_all, Pins(door(request).ledger))


@router.get("/tools/{tool}", dependencies=[Demand(Right.SERVERS_READ)], responses=problems(401, 403, 404))
async def show(request: Request, tool: Tool) -> Shown:
    """Return one tool, with the definition that was seen last and the one that was approved last."""
    return await to_thread.run_sync(_shown, Pins(door(request).ledger), tool)


@router.post("/tools/{tool}/approve", status_code=201, responses=problems(401, 403, 404, 409))
async def approve(request: Request, tool: Tool, body: Approval, person: Ruler) -> Pin:
    """Approve a definition, as whoever is signed in."""
    here = door(request)
    return await _answered(here, tool, lambda pins: pins.approve(tool, body.digest, body.tier, person.name))


@router.post("/tools/{tool}/refuse", status_code=201, responses=problems(401, 403, 404, 409))
async def refuse(request: Request, tool: Tool, body: Refusal, person: Ruler) -> Pin:
    """Refuse a definition, or withdraw that it was approved."""
    here = door(request)
    return await _answered(here, tool, lambda pins: pins.refuse(tool, body.digest, person.name, body.reason))


async def _answered(here: Door, tool: str, answer: Any) -> Pin:
    def commit() -> Pin:
        pins = Pins(here.ledger)
        _found(pins, tool)
        try:
            done: Pin = answer(pins)
        except PinError as problem:
            raise Problem(409, "nothing was changed", str(problem)) from None
        return done

    done = await to_thread.run_sync(commit)
    await here.runtime.enforcement.refresh()
    return done


def _all(pins: Pins) -> list[Listed]:
    found = pins.tools()
    return [
        Listed(server=server, tools=tuple(pin for pin in found if pin.server == server.name))
        for server in pins.servers()
    ]


def _shown(pins: Pins, tool: str) -> Shown:
    pin = _found(pins, tool)
    seen = pins.definition(pin.seen) if pin.seen else None
    approved = pins.definition(pin.pin) if pin.pin else None
    return Shown(
        pin=pin,
        seen=None if seen is None else seen.model_dump(mode="json"),
        approved=None if approved is None else approved.model_dump(mode="json"),
        warnings=tuple(warnings(seen)) if seen is not None else (),
    )


def _found(pins: Pins, tool: str) -> Pin:
    try:
        return pins.find(tool)
    except PinError as problem:
        raise Problem(404, "no such tool", str(problem)) from None
