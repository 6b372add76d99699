"""Who is here and what there is: tools, agents, people, API keys."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import Field

from pratique.capabilities.rights import Right
from pratique.errors import IdentityError
from pratique.identity.keys import LONGEST_DAYS, Issued, Key
from pratique.model import ToolSpec, Value
from pratique.server.api.shapes import Body, Name, Text, problems
from pratique.server.auth.agents import Agent
from pratique.server.auth.people import Demand, Person
from pratique.server.door import door
from pratique.server.problems import Problem

router = APIRouter(tags=["tools"])
identities = APIRouter(tags=["people"])


class ToolShown(Value):
    """A tool as it is declared."""

    name: str
    description: str
    tier: str
    confidentiality: str
    sinks: dict[str, str]
    parameters: dict[str, Any]
    digest: str


class AgentShown(Value):
    """An agent as the policy in force declares it."""

    name: str
    owner: str
    tenant: str
    roles: tuple[str, ...]
    description: str


class PersonShown(Value):
    """An account. Times are microseconds since the epoch, 0 for never."""

    name: str
    roles: tuple[str, ...]
    company: str
    added_us: int
    disabled_us: int


class NewKey(Body):
    """A key to issue: for which agent, for whom it may act, for how long, and where it will be kept."""

    agent: Name
    acts_for: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)]
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 90
    label: Annotated[Text, Field(max_length=200)] = ""


class Revoking(Body):
    """Why a key ends."""

    reason: Annotated[Text, Field(max_length=500)] = ""


@router.get("/tools", dependencies=[Demand(Right.TOOLS_READ)], responses=problems(401, 403))
async def tools(request: Request) -> list[ToolShown]:
    """Return every declared tool."""
    return _tools(request)


@router.get("/agent/tools", responses=problems(401))
async def my_tools(request: Request, key: Agent) -> tuple[ToolSpec, ...]:
    """Return the tools of which this agent may call one. Which calls are permitted is decided for each."""
    return await door(request).runtime.tools(key.agent)


@router.get("/agents", dependencies=[Demand(Right.AGENTS_READ)], responses=problems(401, 403))
async def agents(request: Request) -> list[AgentShown]:
    """Return the agents that the policy in force names."""
    found = (await door(request).policy()).file.agents
    return [
        AgentShown(
            name=name,
            owner=agent.owner,
            tenant=agent.tenant,
            roles=agent.roles,
            description=agent.description,
        )
        for name, agent in found.items()
    ]


@identities.get("/people", dependencies=[Demand(Right.PEOPLE_READ)], responses=problems(401, 403))
async def people(request: Request) -> list[PersonShown]:
    """Return every account."""
    found = await to_thread.run_sync(door(request).people.all)
    return [
        PersonShown(
            name=person.name,
            roles=person.roles,
            company=person.issuer,
            added_us=person.added_us,
            disabled_us=person.disabled_us,
        )
        for person in found
    ]


@identities.get("/keys", dependencies=[Demand(Right.KEYS_READ)], responses=problems(401, 403))
async def keys(request: Request) -> list[Key]:
    """Return every API key, without its secret."""
    return await to_thread.run_sync(door(request).keys.all)


@identities.post("/keys", status_code=201, responses=problems(401, 403))
async def issue(
    request: Request, body: NewKey, person: Annotated[Person, Demand(Right.KEYS_ISSUE)]
) -> Issued:
    """Issue an API key. The answer shows it, this once."""
    here = door(request)

    def make() -> Issued:
        return here.keys.issue(body.agent, body.acts_for, person.name, days=body.days, label=body.label)

    return await to_thread.run_sync(make)


@identities.post("/keys/{key}/revoke", responses=problems(401, 403, 404))
async def revoke(
    request: Request, key: str, body: Revoking, person: Annotated[Person, Demand(Right.KEYS_REVOKE)]
) -> Key:
    """End a key and the sessions that it opened, at once."""
    here = door(request)
    try:
        return await to_thread.run_sync(here.keys.revoke, key, person.name, body.reason)
    except IdentityError as problem:
        raise Problem(404, "no such key", str(problem)) from None


def _tools(request: Request) -> list[ToolShown]:
    return [
        ToolShown(
            name=tool.capability.name,
            description=tool.capability.description,
            tier=tool.capability.tier.value,
            confidentiality=tool.capability.confidentiality.value,
            sinks=tool.capability.sinks,
            parameters=tool.capability.parameters,
            digest=tool.capability.digest,
        )
        for tool in door(request).runtime.registry
    ]
