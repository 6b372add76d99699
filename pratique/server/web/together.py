"""Several questions answered at once: of one shape, without taint, each card read and named by its digest.

Rules:
- Which questions may be answered together is decided by `Desk.answer_all`, for all of them or none.
- Each is a vote of its own. What became of each is said.
"""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Form, Request, Response

from pratique.approvals.desk import MOST_AT_ONCE
from pratique.errors import NotAnApproverError, TicketClosedError, TicketError
from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.web import reading
from pratique.server.web.answering import Text, demand_card, said_no
from pratique.server.web.pages import page
from pratique.server.web.views import CardView
from pratique.server.web.who import Answerer

router = APIRouter()

Tickets = Annotated[list[str], Form(max_length=MOST_AT_ONCE)]


@router.post("/queue/bulk")
async def look(request: Request, person: Answerer, ticket: Tickets = []) -> Response:  # noqa: B006  # FastAPI copies it
    """Return the cards of what was selected, in full, with one answer for all."""
    here = door(request)
    if not ticket:
        return await said_no(request, person, "", NotAnApproverError("nothing was selected"))
    found = await anyio.to_thread.run_sync(_cards, here, person, list(dict.fromkeys(ticket)))
    unread = [one for one, view in found if view.card is None or view.problem]
    if unread:
        problem = NotAnApproverError(
            f"{unread[0]} cannot be shown whole, so it cannot be answered with others"
        )
        return await said_no(request, person, unread[0], problem)
    return await page(
        request, person, "together.html", title="Several at once", here="/queue", cards=found, problem=""
    )


@router.post("/queue/bulk/answer")
async def answer(
    request: Request,
    person: Answerer,
    ticket: Tickets = [],  # noqa: B006  # FastAPI copies it
    card: Tickets = [],  # noqa: B006  # as above
    answer: Text = "",
    reason: Text = "",
) -> Response:
    """Record one answer to each, if they may be answered together."""
    desk = door(request).runtime.desk
    try:
        if len(card) != len(ticket) or answer not in {"approve", "reject"}:
            raise TicketClosedError("the form is not whole; nothing was changed")
        for one, digest in zip(ticket, card, strict=True):
            await demand_card(request, one, digest)
        if answer == "reject" and not reason.strip():
            raise NotAnApproverError("a no needs a reason; nothing was changed")
        given = await anyio.to_thread.run_sync(
            lambda: desk.answer_all(ticket, person.name, approve=answer == "approve", reason=reason.strip())
        )
    except TicketError as problem:
        return await said_no(request, person, "", problem)
    return await page(
        request, person, "together_done.html", title="Several at once", here="/queue", given=given
    )


def _cards(here: Door, person: Person, tickets: list[str]) -> list[tuple[str, CardView]]:
    questions = [here.runtime.queue.look(ticket) for ticket in tickets]
    return [(one.ticket, reading.card_view(here, person, one)) for one in questions]
