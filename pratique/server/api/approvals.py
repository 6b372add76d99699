"""Questions to people, and their votes. Who votes is who is signed in.

The domain of deciding is `pratique.approvals`; here is only its door.
"""

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic import Field
from sse_starlette import EventSourceResponse

from pratique.approvals.card import Card
from pratique.approvals.question import Question
from pratique.capabilities.rights import Right
from pratique.ledger import pages
from pratique.model import Value
from pratique.server.api.shapes import After, Body, Limit, Text, Ticket, problems
from pratique.server.api.streams import LastEventId, stream
from pratique.server.auth.people import Demand, Person
from pratique.server.door import door

router = APIRouter(prefix="/approvals", tags=["approvals"])

State = Literal["proposed", "approved", "started", "finished", "unknown", "rejected", "expired", "void"]
Reader = Annotated[Person, Demand(Right.QUEUE_READ)]
Voter = Annotated[Person, Demand(Right.QUEUE_ANSWER)]


class Vote(Value):
    """One person's answer."""

    voter: str
    vote: str
    reason: str


class Questions(Value):
    """A page of questions. `next` is the cursor of the page after it, when there is one."""

    items: tuple[Question, ...]
    next: int | None = None


class Shown(Value):
    """A question with its card: exactly what will run, and who has answered."""

    question: Question
    card: Card
    votes: tuple[Vote, ...]


class NewVote(Body):
    """A person's answer: yes, or no with a reason."""

    vote: Literal["approve", "reject"]
    reason: Annotated[Text, Field(max_length=1000)] = ""


@router.get("", responses=problems(401, 403))
async def questions(
    request: Request,
    person: Reader,
    state: Annotated[list[State] | None, Query(description="Any of these states.")] = None,
    after: After = 0,
    limit: Limit = 100,
) -> Questions:
    """Return questions, oldest first: those that wait, unless other states are asked for."""
    del person
    here = door(request)
    states = state or ["proposed"]
    rows = await here.ledger.query(lambda connection: pages.approvals(connection, states, after, limit + 1))
    items = [await here.runtime.queue.get(row.ticket) for row in rows[:limit]]
    return Questions(items=tuple(items), next=items[-1].proposed_seq if len(rows) > limit else None)


@router.get("/events", responses=problems(401, 403), response_class=EventSourceResponse)
async def events(request: Request, person: Reader, last_event_id: LastEventId = None) -> EventSourceResponse:
    """Stream what happens in the queue, as server-sent events: no arguments, only what to look at again."""
    here = door(request)

    async def still() -> bool:
        known = here.logins.known(person.login.id)
        return known is not None

    return await stream(
        request, f"person:{person.name}", lambda event: bool(event.ticket), still, last_event_id
    )


@router.get("/{ticket}", responses=problems(401, 403, 404))
async def question(request: Request, ticket: Ticket, person: Reader) -> Shown:
    """Return a question's card and votes."""
    del person
    return await _shown(request, ticket)


@router.post("/{ticket}/votes", status_code=201, responses=problems(401, 403, 404, 409))
async def vote(request: Request, ticket: Ticket, body: NewVote, person: Voter) -> Question:
    """Answer a question, as whoever is signed in. A late, double or raced answer changes nothing: 409."""
    approve = body.vote == "approve"
    return await door(request).runtime.answer(ticket, person.name, approve=approve, reason=body.reason)


async def _shown(request: Request, ticket: str) -> Shown:
    queue = door(request).runtime.queue
    found = await queue.get(ticket)

    def read() -> Shown:
        given = tuple(
            Vote(voter=voter, vote=word, reason=reason) for voter, word, reason in queue.votes(ticket)
        )
        return Shown(question=found, card=queue.asked(ticket).card, votes=given)

    return await to_thread.run_sync(read)
