"""Questions to people, and their votes. Who votes is who is signed in.

The domain of deciding is `pratique.approvals`; here is only its door.
"""

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic import Field
from sse_starlette import EventSourceResponse

from pratique.approvals.card import Card
from pratique.approvals.desk import Remark
from pratique.approvals.question import Question
from pratique.capabilities.rights import Right, may
from pratique.ledger import pages
from pratique.model import Value
from pratique.people import same_person
from pratique.server.api.shapes import After, Body, Limit, Name, Text, Ticket, problems
from pratique.server.api.streams import LastEventId, stream
from pratique.server.auth.people import Demand, Person, SignedIn
from pratique.server.door import door
from pratique.server.problems import Problem

router = APIRouter(prefix="/approvals", tags=["approvals"])

State = Literal[
    "proposed", "approved", "started", "finished", "unknown", "rejected", "expired", "void", "edited"
]
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


Reason = Annotated[Text, Field(max_length=1000)]
Typed = Annotated[Text, Field(max_length=100_000)]


class NewVote(Body):
    """A person's answer: yes, or no with a reason.

    Attributes:
        confirm: what a call that cannot be undone goes to (`card.confirm`), typed once more, for a yes.
    """

    vote: Literal["approve", "reject"]
    reason: Reason = ""
    confirm: Typed = ""


class Votes(Body):
    """One answer to many questions of the same shape; none of them with text from outside."""

    tickets: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(min_length=1, max_length=100)]
    vote: Literal["approve", "reject"]
    reason: Reason = ""


class Voted(Value):
    """What became of one of many answers: how the question stands, or why nothing was changed."""

    ticket: str
    question: Question | None
    problem: str


class Edit(Body):
    """Other arguments for a call that waits: it becomes another call, which is decided again.

    Attributes:
        args: all arguments of the new call.
        reason: why; the agent and its person are told.
        approve: whether the editor says yes to the new call as well.
        confirm: as for a vote.
    """

    args: dict[str, Any]
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]
    approve: bool = False
    confirm: Typed = ""


class HandOver(Body):
    """To whom a question goes, and why."""

    to: Name
    reason: Reason = ""


class Saying(Body):
    """What is said in a question's thread."""

    text: Annotated[Text, Field(min_length=1, max_length=2000)]


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
        return known is not None and may(known.roles, Right.QUEUE_READ)

    return await stream(
        request, f"person:{person.name}", lambda event: bool(event.ticket), still, last_event_id
    )


@router.get("/{ticket}", responses=problems(401, 403, 404))
async def question(request: Request, ticket: Ticket, person: Reader) -> Shown:
    """Return a question's card and votes."""
    del person
    return await _shown(request, ticket)


@router.post("/votes", status_code=201, responses=problems(401, 403, 404))
async def vote_on_many(request: Request, body: Votes, person: Voter) -> list[Voted]:
    """Answer many questions of the same shape, each with a vote of its own."""
    desk, approve = door(request).runtime.desk, body.vote == "approve"
    answered = await to_thread.run_sync(
        lambda: desk.answer_all(body.tickets, person.name, approve=approve, reason=body.reason)
    )
    return [Voted(ticket=one.ticket, question=one.question, problem=one.problem) for one in answered]


@router.post("/{ticket}/votes", status_code=201, responses=problems(401, 403, 404, 409))
async def vote(request: Request, ticket: Ticket, body: NewVote, person: Voter) -> Question:
    """Answer a question, as whoever is signed in. A late, double or raced answer changes nothing: 409."""
    return await door(request).runtime.answer(
        ticket, person.name, approve=body.vote == "approve", reason=body.reason, confirm=body.confirm
    )


@router.post("/{ticket}/edit", status_code=201, responses=problems(401, 403, 404, 409))
async def edit(request: Request, ticket: Ticket, body: Edit, person: Voter) -> Question:
    """Put another call in the place of one that waits; return the question about it."""
    return await door(request).runtime.edit(
        ticket, person.name, body.args, reason=body.reason, approve=body.approve, confirm=body.confirm
    )


@router.post("/{ticket}/delegate", status_code=201, responses=problems(401, 403, 404, 409))
async def delegate(request: Request, ticket: Ticket, body: HandOver, person: Voter) -> Question:
    """Hand a question to somebody else, who answers in one's place."""
    desk = door(request).runtime.desk
    return await to_thread.run_sync(desk.hand_on, ticket, person.name, body.to, body.reason)


@router.post("/{ticket}/questions", status_code=201, responses=problems(401, 403, 404, 409))
async def ask_person(request: Request, ticket: Ticket, body: Saying, person: Voter) -> list[Remark]:
    """Ask the person the agent acts for. The clocks go on."""
    desk = door(request).runtime.desk
    return await to_thread.run_sync(desk.ask_person, ticket, person.name, body.text)


@router.post("/{ticket}/replies", status_code=201, responses=problems(401, 403, 404, 409))
async def reply(request: Request, ticket: Ticket, body: Saying, person: SignedIn) -> list[Remark]:
    """Answer such a question, as the person the agent acts for."""
    desk = door(request).runtime.desk
    return await to_thread.run_sync(desk.reply, ticket, person.name, body.text)


@router.get("/{ticket}/thread", responses=problems(401, 403, 404))
async def thread(request: Request, ticket: Ticket, person: SignedIn) -> list[Remark]:
    """Return what was asked and answered about a question, to whoever may answer it or was asked."""
    runtime = door(request).runtime
    asked = await to_thread.run_sync(runtime.queue.asked, ticket)
    if not (person.may(Right.QUEUE_READ) or same_person(asked.user) == same_person(person.name)):
        raise Problem(403, "this thread is not yours", "it is for approvers, and for the agent's person")
    return await to_thread.run_sync(runtime.desk.thread, ticket)


async def _shown(request: Request, ticket: str) -> Shown:
    queue = door(request).runtime.queue
    found = await queue.get(ticket)

    def read() -> Shown:
        given = tuple(
            Vote(voter=voter, vote=word, reason=reason) for voter, word, reason in queue.votes(ticket)
        )
        return Shown(question=found, card=queue.asked(ticket).card, votes=given)

    return await to_thread.run_sync(read)
