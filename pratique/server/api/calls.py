"""Calls of an agent: asked, waited for, redeemed. The status says what became of one.

| status | outcome |
|---|---|
| 200 | it ran, or nobody knows: `done`, `failed`, `unknown` |
| 202 | a person is asked: `pending`, with the ticket |
| 403 | `denied`: problem details, with the outcome and its reasons in `outcome` |
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from opentelemetry import context, propagate
from pydantic import Field, TypeAdapter
from sse_starlette import EventSourceResponse

from pratique.identity.keys import Key
from pratique.model import Outcome, Status, Value
from pratique.server.api.direct import Plain, shorter
from pratique.server.api.shapes import Body, SessionId, Text, Ticket, Wait, json, problems
from pratique.server.api.streams import LastEventId, stream
from pratique.server.auth.agents import Agent, agent
from pratique.server.door import Door, door
from pratique.server.problems import Problem, urn

router = APIRouter(prefix="/sessions/{session}", tags=["calls"])

CallId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[\x21-\x7e]{1,128}$", description="The call's id: repeat it, and nothing runs twice."),
]
OUTCOMES: dict[int | str, dict[str, Any]] = {
    **problems(401, 403, 404, 410),
    200: {"model": Outcome, "description": "It ran: `done`, `failed` or `unknown`."},
    202: {"model": Outcome, "description": "A person is asked: `pending`."},
}


class NewCall(Body):
    """A call.

    Attributes:
        tool: the tool's name.
        args: its arguments.
        call_id: as the header Idempotency-Key.
        wait: seconds to wait for a person; no longer than the server lets one request wait.
        why: the agent's own words for why it asks; people see them apart, as the agent's.
    """

    tool: Annotated[Text, Field(max_length=200)]
    args: Annotated[Any, Field(default_factory=dict)]
    call_id: CallId | None = None
    wait: Wait = 0.0
    why: Annotated[Text, Field(max_length=4000)] = ""


class Redeem(Body):
    """How long to wait for the answer, in seconds."""

    wait: Wait = 0.0


class Asked(Value):
    """A question that this session asked, and how it stands."""

    ticket: str
    call_id: str
    tool: str
    tier: str
    state: str
    reason: str
    decided_by: tuple[str, ...]
    asked_us: int
    wait_until_us: int
    use_until_us: int


async def call(
    request: Request,
    session: SessionId,
    body: NewCall,
    key: Agent,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Call a tool, if policy and people agree."""
    here = door(request)
    if idempotency_key and body.call_id and idempotency_key != body.call_id:
        raise Problem(422, "two call ids", "give Idempotency-Key or call_id")
    call_id = idempotency_key or body.call_id
    with _waiting(here, key, body.wait), _traced(request):
        outcome = await here.serving.call(
            key, session, body.tool, body.args, call_id=call_id, wait=body.wait, why=body.why
        )
    return _answered(outcome)


async def _called(request: Request, plain: Plain) -> Response:
    return await call(request, plain.session, plain.body, await agent(request), plain.header)


router.add_api_route(
    "/calls",
    call,
    methods=["POST"],
    responses=OUTCOMES,
    response_class=Response,
    route_class_override=shorter(TypeAdapter(SessionId), NewCall, TypeAdapter(IdempotencyKey), _called),
)


@router.post("/tickets/{ticket}/redeem", responses=OUTCOMES, response_class=Response)
async def redeem(request: Request, session: SessionId, ticket: Ticket, body: Redeem, key: Agent) -> Response:
    """Go on with a pending call: exactly what was asked runs, if the answer was yes."""
    here = door(request)
    with _waiting(here, key, body.wait), _traced(request):
        outcome = await here.serving.redeem(key, session, ticket, wait=body.wait)
    return _answered(outcome)


@router.get("/tickets/{ticket}", responses=problems(401, 404, 410))
async def asked(request: Request, session: SessionId, ticket: Ticket, key: Agent) -> Asked:
    """Return how a question of this session stands."""
    here = door(request)
    mine = await here.serving.find(key, session)
    question = await here.runtime.queue.get(ticket)
    if question.session != mine.id:
        raise Problem(404, "unknown ticket", f"the session {mine.id} asked no such question")
    return Asked(
        ticket=question.ticket,
        call_id=question.call_id,
        tool=question.tool,
        tier=question.tier,
        state=question.state,
        reason=question.reason,
        decided_by=question.decided_by,
        asked_us=question.proposed_us,
        wait_until_us=question.wait_until_us,
        use_until_us=question.use_until_us,
    )


@router.get("/events", responses=problems(401, 404, 410), response_class=EventSourceResponse)
async def events(
    request: Request, session: SessionId, key: Agent, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """Stream what becomes of this session's calls and questions, as server-sent events."""
    here = door(request)
    mine = await here.serving.find(key, session)

    async def still() -> bool:
        found = here.keys.find(key.id)
        return found is not None and found.is_good(here.ledger.clock())

    return await stream(
        request, f"key:{key.id}", lambda event: event.session == mine.id, still, last_event_id, mine.id
    )


@contextmanager
def _traced(request: Request) -> Iterator[None]:
    """Let the call's span be part of the caller's trace (W3C Trace Context)."""
    if "traceparent" not in request.headers:
        yield
        return
    token = context.attach(propagate.extract(request.headers))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def _waiting(here: Door, key: Key, wait: float) -> Iterator[None]:
    """Take a place for a call, and one for waiting if it may; say so when the server ends under it."""
    with here.calls.one(key.id), here.waits.one(key.id) if wait else nullcontext():
        try:
            yield
        except asyncio.CancelledError:
            if not here.closing.is_set():
                raise
            detail = "what became of the call is on record; ask again with the same call id"
            raise Problem(503, "the server has ended", detail, retry_after=5) from None


def _answered(outcome: Outcome) -> Response:
    if outcome.status is Status.PENDING:
        return json(outcome, 202)
    if outcome.status is not Status.DENIED:
        return json(outcome)
    raise Problem(
        403,
        "the call is denied",
        outcome.error,
        type=urn("denied"),
        outcome=outcome.model_dump(mode="json"),
    )
