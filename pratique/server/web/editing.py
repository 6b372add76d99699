"""Edit a call that waits: a form out of the tool's schema, and another call in its place."""

from typing import Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pratique.approvals.question import Question
from pratique.approvals.queue import Asked
from pratique.errors import ConfirmationError, EditError, TicketClosedError, TicketError
from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.problems import Problem
from pratique.server.web import forms
from pratique.server.web.answering import Ticket, demand_card, said_no
from pratique.server.web.pages import after, page
from pratique.server.web.who import Answerer

router = APIRouter()


@router.get("/queue/{ticket}/edit")
async def edit_page(request: Request, person: Answerer, ticket: Ticket) -> Response:
    """Return the form."""
    here = door(request)
    question = await here.runtime.queue.get(ticket)
    if not question.is_open(here.ledger.clock()):
        return RedirectResponse(f"/queue/{ticket}", 303)
    shown, _ = await anyio.to_thread.run_sync(_fields, here, question)
    return await _page(request, person, question, shown)


@router.post("/queue/{ticket}/edit")
async def edit(request: Request, person: Answerer, ticket: Ticket) -> Response:
    """Ask about the edited call in place of the one that waits; the editor's yes is given on its card."""
    here = door(request)
    form = {name: text for name, text in (await request.form()).items() if isinstance(text, str)}
    posted = {name.removeprefix("arg."): text for name, text in form.items() if name.startswith("arg.")}
    reason = form.get("reason", "").strip()[:1000]
    question = await here.runtime.queue.get(ticket)
    try:
        await demand_card(request, ticket, form.get("card", ""))
        shown, arguments = await anyio.to_thread.run_sync(_fields, here, question)
        edited, problems = forms.read(shown, posted, arguments)
        again = forms.with_posted(shown, posted, problems)
        if problems or not reason:
            why = "" if reason else "Say why: the agent and the person are told."
            return await _page(
                request, person, question, again, reason=reason, reason_problem=why, status=422
            )
        try:
            made = await here.runtime.edit(ticket, person.name, edited, reason=reason, approve=False)
        except (EditError, ConfirmationError) as problem:
            text = f"{str(problem)[:1].upper()}{str(problem)[1:]}."
            return await _page(request, person, question, again, reason=reason, problem=text, status=422)
    except TicketClosedError as problem:
        return await said_no(request, person, ticket, problem)
    except TicketError as problem:
        return await said_no(request, person, ticket, problem)
    return after(f"/queue/{made.ticket}", "edited")


def _fields(here: Door, question: Question) -> tuple[list[forms.Field], dict[str, Any]]:
    tool = here.runtime.registry.get(question.tool)
    if tool is None:
        raise Problem(409, "this tool is not here any more", "the question cannot be edited; reject it")
    asked: Asked = here.runtime.queue.asked(question.ticket)
    arguments: dict[str, Any] = orjson.loads(asked.args_json)
    return forms.fields(tool.capability.parameters, arguments), arguments


async def _page(  # what the page is made of
    request: Request,
    person: Person,
    question: Question,
    fields: list[forms.Field],
    *,
    reason: str = "",
    reason_problem: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    return await page(
        request,
        person,
        "edit.html",
        title=f"Edit {question.tool}",
        here="/queue",
        status=status,
        q=question,
        fields=fields,
        reason=reason,
        reason_problem=reason_problem,
        problem=problem,
    )
