"""The card, and what people answer to it.

Rules:
- An answer names the digest of the card that its giver read. To another card it is no answer.
- What cannot be recorded, and what comes too late, twice or from somebody else, changes nothing and says so.
- After an answer the browser is sent on, so that reloading does not give it again.
"""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Form, Path, Request, Response

from pratique.approvals.queue import Question
from pratique.errors import NotAnApproverError, TicketClosedError
from pratique.server.auth.people import Person
from pratique.server.door import door
from pratique.server.web import reading
from pratique.server.web.pages import after, own_address, page
from pratique.server.web.views import Problems
from pratique.server.web.who import Answerer, QueueReader
from pratique.server.web.words import REJECTIONS

router = APIRouter()

Ticket = Annotated[str, Path(pattern=r"^t_[0-9a-f]{4,64}$")]
Digest = Annotated[str, Form(max_length=64)]
Text = Annotated[str, Form(max_length=1000)]
Address = Annotated[str, Form(max_length=2048)]


@router.get("/queue/{ticket}")
async def card(request: Request, person: QueueReader, ticket: Ticket, back: str = "/queue") -> Response:
    """Return the card."""
    return await _card(request, person, ticket, back=back)


@router.post("/queue/{ticket}/approve")
async def approve(
    request: Request,
    person: Answerer,
    ticket: Ticket,
    card: Digest = "",
    confirm: Text = "",
    back: Address = "/queue",
) -> Response:
    """Record a yes to the card that was read."""
    here = door(request)
    try:
        await _demand_card(request, ticket, card)
        question = await here.runtime.answer(ticket, person.name, approve=True)
    except (TicketClosedError, NotAnApproverError) as problem:
        return await _said_no(request, person, ticket, problem)
    return after(own_address(back), "approved" if question.state == "approved" else "counted", ticket)


@router.post("/queue/{ticket}/reject")
async def reject(
    request: Request,
    person: Answerer,
    ticket: Ticket,
    card: Digest = "",
    preset: Text = "",
    reason: Text = "",
    back: Address = "/queue",
) -> Response:
    """Record a no, with its reason."""
    here = door(request)
    why = ". ".join(part.strip() for part in (preset, reason) if part.strip())
    if not why:
        problems = Problems(reason="A no needs a reason: choose one, or write one.")
        return await _card(request, person, ticket, back=back, problems=problems, status=422)
    try:
        await _demand_card(request, ticket, card)
        await here.runtime.answer(ticket, person.name, approve=False, reason=why)
    except (TicketClosedError, NotAnApproverError) as problem:
        return await _said_no(request, person, ticket, problem)
    return after(own_address(back), "rejected", ticket)


async def _demand_card(request: Request, ticket: str, digest: str) -> None:
    """Raise unless the card that was read is the one that waits.

    Raises:
        TicketClosedError: it is another one.
    """
    question = await door(request).runtime.queue.get(ticket)
    if question.card_digest != digest:
        raise TicketClosedError(f"the card of {ticket} is not the one that you read; nothing was changed")


async def _card(  # what the page is made of
    request: Request,
    person: Person,
    ticket: str,
    *,
    back: str,
    problems: Problems = Problems(),  # noqa: B008  # frozen
    status: int = 200,
) -> Response:
    here = door(request)
    question: Question = await here.runtime.queue.get(ticket)
    view = await anyio.to_thread.run_sync(lambda: reading.card_view(here, person, question))
    return await page(
        request,
        person,
        "card.html",
        title=f"{question.tool}, {ticket}",
        here="/queue",
        status=status,
        q=question,
        view=view,
        back_href=own_address(back),
        problems=problems,
        presets=REJECTIONS,
    )


async def _said_no(request: Request, person: Person, ticket: str, problem: Exception) -> Response:
    """Return that an answer changed nothing, and why: 409 for what came too late, 403 for who may not."""
    late = isinstance(problem, TicketClosedError)
    text = str(problem)
    return await page(
        request,
        person,
        "said_no.html",
        title="Nothing was changed",
        here="/queue",
        status=409 if late else 403,
        heading="Too late: nothing was changed" if late else "Nothing was changed",
        problem=text[:1].upper() + text[1:] + ".",
        advice="Somebody else, or the clock, was first. What was decided stands."
        if late
        else "Somebody else has to answer.",
        ticket=ticket,
    )
