"""Standing approvals: a yes given beforehand, to calls whose arguments fit a pattern; seen, shared, ended."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from pydantic import Field

from pratique.approvals.standing import MOST_USES, StandingApproval
from pratique.capabilities.rights import Right
from pratique.server.api.shapes import LARGEST, Body, Name, Text, problems
from pratique.server.auth.people import Demand, Person
from pratique.server.door import door
from pratique.server.problems import Problem

router = APIRouter(prefix="/standing", tags=["approvals"])

Giver = Annotated[Person, Demand(Right.STANDING_WRITE)]
Id = Annotated[str, Path(max_length=64, description="The approval's id, `sa_…`.")]


class NewStanding(Body):
    """A yes to be given beforehand.

    Attributes:
        agent, tool: whose calls, of what.
        pattern: argument → what it may be, as in docs/reference/approvals.md.
        expires_us: until when, microseconds since the epoch.
        max_uses: how often in all.
        reason: why, for whoever looks at the list.
    """

    agent: Name
    tool: Name
    pattern: dict[str, Any]
    expires_us: Annotated[int, Field(ge=0, le=LARGEST)]
    max_uses: Annotated[int, Field(ge=1, le=MOST_USES)]
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]


class Ending(Body):
    """Why it ends."""

    reason: Annotated[Text, Field(max_length=1000)] = ""


@router.get("", dependencies=[Demand(Right.STANDING_READ)], responses=problems(401, 403))
async def standings(request: Request) -> list[StandingApproval]:
    """Return every standing approval, with how often it fired."""
    return await to_thread.run_sync(door(request).runtime.desk.standings.all)


@router.post("", status_code=201, responses=problems(401, 403, 404, 409))
async def make(request: Request, body: NewStanding, person: Giver) -> StandingApproval:
    """Give a yes beforehand, as whoever is signed in."""
    runtime = door(request).runtime
    tool = runtime.registry.get(body.tool)
    if tool is None:
        raise Problem(404, "no such tool", f"there is no tool {body.tool!r}")
    return await to_thread.run_sync(
        lambda: runtime.desk.make_standing(
            person.name,
            tool.capability,
            agent=body.agent,
            pattern=body.pattern,
            expires_us=body.expires_us,
            max_uses=body.max_uses,
            reason=body.reason,
        )
    )


@router.post("/{standing}/join", status_code=201, responses=problems(401, 403, 404, 409))
async def join(request: Request, standing: Id, person: Giver) -> StandingApproval:
    """Stand behind it as well, where a quorum takes more than one."""
    return await to_thread.run_sync(door(request).runtime.desk.join_standing, standing, person.name)


@router.post("/{standing}/revoke", status_code=201, responses=problems(401, 403, 404, 409))
async def revoke(request: Request, standing: Id, body: Ending, person: Giver) -> StandingApproval:
    """End it at once."""
    desk = door(request).runtime.desk
    return await to_thread.run_sync(desk.revoke_standing, standing, person.name, body.reason)
