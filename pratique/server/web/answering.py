"""The card, and what people answer to it.

Rules:
- An answer names the digest of the card that its giver read. To another card it is no answer.
- What cannot be recorded, and what comes too late, twice or from somebody else, changes nothing and says so.
- After an answer the browser is sent on, so that reloading does not give it again.
- A card that cannot be rendered is shown without what it says, and cannot be approved.
"""

from functools import partial
from typing import Annotated

import anyio.to_thread
import structlog
from fastapi import APIRouter, Form, Path, Request, Response

from pratique.approvals.question import Question
from pratique.approvals.reasons import PRESETS
from pratique.capabilities.rights import Right
from pratique.errors import (
    CardRefusesError,
    ConfirmationError,
    NotAnApproverError,
    TicketClosedError,
    TicketError,
)
from pratique.people import same_person
from pratique.server.auth.people import Person, SignedIn
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.server.web import reading
from pratique.server.web.pages import after, own_address, page
from pratique.server.web.views import CardView, Problems
from pratique.server.web.who import Answerer
from pratique.server.web.words import sentence

log = structlog.get_logger("pratique")

router = APIRouter()

LATE = "Somebody else, or the clock, was first. What was decided stands."
NO_PROBLEMS = Problems()

Ticket = Annotated[str, Path(pattern=r"^t_[0-9a-f]{4,64}$")]
Digest = Annotated[str, Form(max_length=64)]
Text = Annotated[str, Form(max_length=1000)]
Remark = Annotated[str, Form(max_length=10_000)]
Address = Annotated[str, Form(max_length=2048)]


@router.get("/queue/{ticket}")
async def card(request: Request, person: SignedIn, ticket: Ticket, back: str = "/queue") -> Response:
    """Return the card, to whoever reads the queue and to the person the agent acts for."""
    await _demand_reader(request, person, ticket)
    return await card_page(request, person, ticket, back=back)


@router.post("/queue/{ticket}/approve")
async def approve(  # the fields of the form
    request: Request,
    person: Answerer,
    ticket: Ticket,
    card: Digest = "",
    confirm: Text = "",
    back: Address = "/queue",
) -> Response:
    """Record a yes to the card that was read."""
    try:
        await demand_card(request, ticket, card)
        question = await door(request).runtime.answer(ticket, person.name, approve=True, confirm=confirm)
    except ConfirmationError:
        problems = Problems(
            confirm="This is not what it goes to. Look again, then type it as it stands there."
        )
        return await card_page(request, person, ticket, back=back, problems=problems, status=422)
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after(own_address(back), "approved" if question.state == "approved" else "counted", ticket)


@router.post("/queue/{ticket}/reject")
async def reject(  # the fields of the form
    request: Request,
    person: Answerer,
    ticket: Ticket,
    card: Digest = "",
    preset: Text = "",
    reason: Text = "",
    back: Address = "/queue",
) -> Response:
    """Record a no, with its reason."""
    why = " ".join(part.strip() for part in (preset, reason) if part.strip())
    if not why:
        problems = Problems(reason="A no needs a reason: choose one, or write one.")
        return await card_page(request, person, ticket, back=back, problems=problems, status=422)
    try:
        await demand_card(request, ticket, card)
        await door(request).runtime.answer(ticket, person.name, approve=False, reason=why)
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after(own_address(back), "rejected", ticket)


@router.post("/queue/{ticket}/delegate")
async def delegate(  # the fields of the form
    request: Request, person: Answerer, ticket: Ticket, to: Text = "", reason: Text = ""
) -> Response:
    """Hand a question to somebody else."""
    desk = door(request).runtime.desk
    try:
        await anyio.to_thread.run_sync(desk.hand_on, ticket, person.name, to.strip(), reason.strip())
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after("/queue", "delegated", ticket)


@router.post("/queue/{ticket}/ask")
async def ask(request: Request, person: Answerer, ticket: Ticket, text: Remark = "") -> Response:
    """Ask the person the agent acts for."""
    desk = door(request).runtime.desk
    try:
        await anyio.to_thread.run_sync(desk.ask_person, ticket, person.name, text)
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after(f"/queue/{ticket}", "asked")


@router.post("/queue/{ticket}/reply")
async def reply(request: Request, person: SignedIn, ticket: Ticket, text: Remark = "") -> Response:
    """Answer what an approver asked, as the person the agent acts for."""
    await _demand_reader(request, person, ticket)
    desk = door(request).runtime.desk
    try:
        await anyio.to_thread.run_sync(desk.reply, ticket, person.name, text)
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after(f"/queue/{ticket}", "replied")


async def _demand_reader(request: Request, person: Person, ticket: str) -> None:
    """Raise unless this person reads the queue, or is whom the agent acts for.

    Raises:
        Problem: 403.
    """
    if person.may(Right.QUEUE_READ):
        return
    queue = door(request).runtime.queue
    asked = await anyio.to_thread.run_sync(queue.asked, ticket)
    if same_person(asked.user) != same_person(person.name):
        raise Problem(403, "this is for approvers", "ask the owner of this installation for a role")


async def demand_card(request: Request, ticket: str, digest: str) -> None:
    """Raise unless the card that was read is the one that waits.

    Raises:
        TicketClosedError: it is another one.
    """
    question = await door(request).runtime.queue.get(ticket)
    if question.card_digest != digest:
        raise TicketClosedError(f"the card of {ticket} is not the one that you read; nothing was changed")


async def card_page(  # what the page is made of
    request: Request,
    person: Person,
    ticket: str,
    *,
    back: str,
    problems: Problems = NO_PROBLEMS,
    status: int = 200,
) -> Response:
    """Return the card, or, if it cannot be rendered, why it cannot be approved."""
    here = door(request)
    question = await here.runtime.queue.get(ticket)
    view = await anyio.to_thread.run_sync(reading.card_view, here, person, question)
    rendered = partial(_rendered, request, person, question, own_address(back), problems, status)
    try:
        return await rendered(view)
    except Exception:  # whatever keeps a card from being shown keeps it from a yes
        log.exception("a card cannot be rendered", ticket=ticket)
        unseen = {
            "card": None,
            "problem": "A part of it cannot be rendered.",
            "can_edit": False,
            "confirm": "",
        }
        return await rendered(view.model_copy(update=unseen))


async def said_no(request: Request, person: Person, ticket: str, problem: Exception) -> Response:
    """Return that an answer changed nothing, and why: 409 for what came too late, 403 for who may not."""
    late = isinstance(problem, TicketClosedError)
    kinds = {TicketClosedError: 409, NotAnApproverError: 403, CardRefusesError: 422}
    text = str(problem)
    return await page(
        request,
        person,
        "said_no.html",
        title="Nothing was changed",
        here="/queue",
        status=next((status for kind, status in kinds.items() if isinstance(problem, kind)), 422),
        heading="Too late: nothing was changed" if late else "Nothing was changed",
        problem=sentence(text) + ".",
        advice=LATE if late else "",
        ticket=ticket,
    )


async def _rendered(  # what the page is made of
    request: Request,
    person: Person,
    question: Question,
    back: str,
    problems: Problems,
    status: int,
    view: CardView,
) -> Response:
    return await page(
        request,
        person,
        "card.html",
        title=f"{question.tool}, {question.ticket}",
        here="/queue",
        status=status,
        q=question,
        view=view,
        back_href=back,
        problems=problems,
        presets=PRESETS,
    )
