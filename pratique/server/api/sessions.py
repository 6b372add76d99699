"""Sessions of an agent: opened for a user, closed with an answer. They belong to the key that opened them."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from pratique.ledger import queries
from pratique.model import Value
from pratique.server.api.shapes import Body, Name, SessionId, Text, problems
from pratique.server.auth.agents import Agent
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.sessions.hosting import SessionFacts
from pratique.sessions.session import Session

router = APIRouter(prefix="/sessions", tags=["sessions"])

Plan = Annotated[tuple[Annotated[Text, Field(max_length=128)], ...], Field(max_length=256)]


class NewSession(Body):
    """What the program that holds the key says of a run: it has logged the user in.

    Attributes:
        user: the person that the agent acts for.
        request: that person's own words: the only text that is trusted.
        model: what the agent runs on.
        inputs: what else an operator should find in the trace.
        trace_id: W3C trace id, to join an existing trace.
        plan: tools that this run may use to change something, or the name of a plan in the policy.
    """

    user: Name
    request: Text = ""
    model: Annotated[Text, Field(max_length=200)] = ""
    inputs: Annotated[dict[str, Any], Field(default_factory=dict)]
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    plan: Annotated[Text, Field(max_length=128)] | Plan | None = None


class OpenSession(Value):
    """A session that is open. `agent` is the key's."""

    session: str
    trace_id: str
    agent: str
    tenant: str
    user: str


class Closing(Body):
    """How a run ended.

    Attributes:
        output: what the agent answered in the end.
        final_action: what it came to; left out, the last call that changed something.
    """

    output: Text = ""
    final_action: Text | None = None


@router.post("", status_code=201, responses=problems(401, 403, 409))
async def open_session(request: Request, body: NewSession, key: Agent) -> OpenSession:
    """Open a session."""
    here = door(request)
    if not key.may_act_for(body.user):
        allowed = ", ".join(key.acts_for)
        raise Problem(403, "the key does not act for this user", f"{body.user}: it acts for {allowed}")
    facts: SessionFacts = {
        "agent": key.agent,
        "user": key.as_spelt(body.user),
        "request": body.request,
        "model": body.model,
        "inputs": body.inputs,
        "api_key": key.id,
    }
    if body.trace_id is not None:
        trace_id = body.trace_id
        if await here.ledger.query(lambda connection: queries.session(connection, trace_id)) is not None:
            raise Problem(409, "the trace id is taken", "leave it out, or take another")
        facts["trace_id"] = trace_id
    if body.plan is not None:
        facts["plan"] = body.plan
    return _shown(await here.serving.open(key, **facts))


@router.get("/{session}", responses=problems(401, 404, 410))
async def get_session(request: Request, session: SessionId, key: Agent) -> OpenSession:
    """Return an open session; one that this server does not have in memory goes on here."""
    return _shown(await door(request).serving.find(key, session))


@router.post("/{session}/resume", responses=problems(401, 404, 410))
async def resume_session(request: Request, session: SessionId, key: Agent) -> OpenSession:
    """Take a session over from another server on the same ledger."""
    return _shown(await door(request).serving.take_over(key, session))


@router.post("/{session}/close", status_code=204, responses=problems(401, 404, 410))
async def close_session(request: Request, session: SessionId, body: Closing, key: Agent) -> Response:
    """End a session and record its answer."""
    await door(request).serving.close(key, session, body.output, body.final_action)
    return Response(status_code=204)


def _shown(session: Session) -> OpenSession:
    subject = session.subject
    return OpenSession(
        session=subject.session,
        trace_id=subject.trace_id,
        agent=subject.agent,
        tenant=subject.tenant,
        user=subject.user,
    )
