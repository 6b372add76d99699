"""Standing approvals: the yeses given beforehand, on one page; made out of a question, ended by a button."""

from typing import Annotated, Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Path, Request, Response

from pratique.approvals.queue import Asked
from pratique.capabilities.patterns import in_words
from pratique.capabilities.rights import Right
from pratique.errors import StandingError, TicketError
from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.problems import Problem
from pratique.server.web.answering import said_no
from pratique.server.web.pages import after, page
from pratique.server.web.patterns import PatternField, pattern_fields, read_pattern_form
from pratique.server.web.who import StandingMaker, StandingReader

router = APIRouter()

Identity = Annotated[str, Path(pattern=r"^sa_[0-9a-f]{4,64}$")]

PERIODS = {
    "1": "an hour",
    "8": "8 hours",
    "24": "a day",
    "168": "a week",
    "720": "30 days",
    "2160": "90 days",
}
_HOUR_US = 3_600_000_000


@router.get("/standing")
async def standing(request: Request, person: StandingReader) -> Response:
    """Return all of them, the newest first."""
    found = await anyio.to_thread.run_sync(door(request).runtime.desk.standings.all)
    shown = [
        (one, "erased: it counts for nothing" if one.pattern is None else in_words(one.pattern))
        for one in found
    ]
    return await page(
        request,
        person,
        "standing.html",
        title="Standing approvals",
        here="/standing",
        standings=shown,
        may_end=person.may(Right.STANDING_WRITE),
    )


@router.get("/standing/new")
async def new_page(request: Request, person: StandingMaker, ticket: str) -> Response:
    """Return the form to make one out of a question."""
    here = door(request)
    fields, _ = await anyio.to_thread.run_sync(_fields, here, ticket)
    return await _form(request, person, ticket, fields)


@router.post("/standing/new")
async def make(request: Request, person: StandingMaker) -> Response:
    """Give a yes beforehand."""
    here = door(request)
    form = {name: text for name, text in (await request.form()).items() if isinstance(text, str)}
    ticket = form.get("ticket", "")
    fields, agent = await anyio.to_thread.run_sync(_fields, here, ticket)
    tool = here.runtime.registry.demand((await here.runtime.queue.get(ticket)).tool)
    fields, pattern, problems = read_pattern_form(fields, form)
    hours, uses = form.get("hours", ""), form.get("uses", "")
    try:
        if problems:
            raise StandingError(f"{', '.join(problems)}: what was written there cannot be read")
        if hours not in PERIODS or not uses.isascii() or not uses.isdigit():
            raise StandingError("say for how long, and how often")
        await anyio.to_thread.run_sync(
            lambda: here.runtime.desk.make_standing(
                person.name,
                tool.capability,
                agent=agent,
                pattern=pattern,
                expires_us=here.ledger.clock() + int(hours) * _HOUR_US,
                max_uses=int(uses),
                reason=form.get("reason", "").strip()[:1000],
            )
        )
    except TicketError as problem:
        text = f"{str(problem)[:1].upper()}{str(problem)[1:]}."
        return await _form(request, person, ticket, fields, form=form, problem=text, status=422)
    return after("/standing", "standing")


@router.post("/standing/{identity}/revoke")
async def revoke(request: Request, person: StandingMaker, identity: Identity) -> Response:
    """End one at once."""
    desk = door(request).runtime.desk
    try:
        await anyio.to_thread.run_sync(desk.revoke_standing, identity, person.name)
    except TicketError as problem:
        return await said_no(request, person, "", problem)
    return after("/standing", "revoked")


@router.post("/standing/{identity}/join")
async def join(request: Request, person: StandingMaker, identity: Identity) -> Response:
    """Stand behind one as well."""
    desk = door(request).runtime.desk
    try:
        await anyio.to_thread.run_sync(desk.join_standing, identity, person.name)
    except TicketError as problem:
        return await said_no(request, person, "", problem)
    return after("/standing", "joined")


def _fields(here: Door, ticket: str) -> tuple[list[PatternField], str]:
    question = here.runtime.queue.look(ticket)
    tool = here.runtime.registry.get(question.tool)
    if tool is None:
        raise Problem(409, "this tool is not here any more", "nothing can be allowed beforehand")
    asked: Asked = here.runtime.queue.asked(ticket)
    arguments: dict[str, Any] = orjson.loads(asked.args_json)
    return pattern_fields(arguments, tool.capability.sinks), question.agent


async def _form(  # what the page is made of
    request: Request,
    person: Person,
    ticket: str,
    fields: list[PatternField],
    *,
    form: dict[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    question = await door(request).runtime.queue.get(ticket)
    given = form or {}
    return await page(
        request,
        person,
        "standing_new.html",
        title="Allow calls beforehand",
        here="/standing",
        status=status,
        q=question,
        fields=fields,
        periods=PERIODS.items(),
        hours=given.get("hours", "24"),
        uses=given.get("uses", "10"),
        reason=given.get("reason", ""),
        problem=problem,
    )
