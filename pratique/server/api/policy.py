"""The policy in force: read, compared with another one, replaced."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import Field

from pratique.capabilities.diff import Cell, Direction, diff, direction_of, relabelled
from pratique.capabilities.electing import Elected, elected, elects
from pratique.capabilities.policy import Policy
from pratique.capabilities.rights import Right
from pratique.capabilities.selftest import run_tests
from pratique.errors import PolicyError
from pratique.ledger import policies
from pratique.model import Capability, Value
from pratique.server.api.shapes import LARGEST, Body, Text, problems
from pratique.server.auth.people import Demand, Person
from pratique.server.door import Door, door
from pratique.server.problems import Problem

router = APIRouter(prefix="/policy", tags=["policy"])

READ, APPLY = Demand(Right.POLICY_READ), Demand(Right.POLICY_APPLY)


class InForce(Value):
    """The policy in force."""

    epoch: int
    digest: str
    text: str


class Proposed(Body):
    """A whole policy file."""

    text: Annotated[Text, Field(max_length=4 * 1024 * 1024)]


class Applying(Proposed):
    """A policy file, and the epoch that it is meant to replace: what was compared is what is replaced."""

    epoch: Annotated[int, Field(ge=0, le=LARGEST)]


class Difference(Value):
    """What the other policy would change: every agent, tool and taint level that comes out differently.

    Attributes:
        epoch: the policy in force.
        direction: of everything together; a member who comes into a group is never `tighter`.
        cells: what comes out differently.
        relabelled: keys that decide which taint a call has.
        groups: approver groups whose members differ.
        elects_you: groups that whoever asks would come into.
    """

    epoch: int
    direction: Direction
    cells: tuple[Cell, ...]
    relabelled: tuple[str, ...]
    groups: tuple[Elected, ...] = ()
    elects_you: tuple[str, ...] = ()


@router.get("", dependencies=[READ], responses=problems(401, 403))
async def policy(request: Request) -> InForce:
    """Return the policy in force."""
    here = door(request)
    found = await here.policy()
    return InForce(epoch=here.runtime.enforcement.snapshot.epoch, digest=found.digest, text=found.text)


@router.post("/diff", responses=problems(401, 403))
async def difference(request: Request, body: Proposed, person: Annotated[Person, READ]) -> Difference:
    """Compare a policy with the one in force."""
    here = door(request)
    current = await here.policy()
    return await to_thread.run_sync(_difference, here, current, body.text, person.name)


@router.post("/apply", responses=problems(401, 403, 409))
async def apply(request: Request, body: Applying, person: Annotated[Person, APPLY]) -> InForce:
    """Put a policy in force, if it passes its own tests and the epoch is still the one it replaces."""
    here = door(request)
    await here.policy()
    epoch = here.runtime.enforcement.snapshot.epoch
    if epoch != body.epoch:
        raise Problem(409, "another policy is in force", f"epoch {epoch}; compare again, then apply")

    def put() -> InForce:
        new = _checked(here, body.text)
        try:
            snapshot = policies.apply(here.ledger, new, person.name, body.epoch)
        except PolicyError as problem:
            raise Problem(409, "another policy is in force", str(problem)) from None
        return InForce(epoch=snapshot.epoch, digest=new.digest, text=new.text)

    done = await to_thread.run_sync(put)
    await here.runtime.enforcement.refresh()
    return done


def _difference(here: Door, current: Policy, text: str, person: str) -> Difference:
    new = _checked(here, text)
    changes, keys = diff(current, new, _capabilities(here)), relabelled(current, new)
    groups = elected(current, new)
    come = [one.group for one in groups if one.comes]
    return Difference(
        epoch=here.runtime.enforcement.snapshot.epoch,
        direction=direction_of(changes, [*keys, *come]),
        cells=tuple(changes),
        relabelled=tuple(keys),
        groups=tuple(groups),
        elects_you=tuple(elects(groups, person)),
    )


def _checked(here: Door, text: str) -> Policy:
    new = Policy(text, "the policy")
    failed = [result.line for result in run_tests(new, here.runtime.registry) if not result.passed]
    if failed:
        raise PolicyError("the policy", failed)
    return new


def _capabilities(here: Door) -> list[Capability]:
    return [tool.capability for tool in here.runtime.registry]
