"""What every page has: who reads it, where they may go, how much waits, and what was just done.

Rules:
- A page is offered to whoever has the right to read it; the route itself demands the right.
- What was just done travels in the address as one of our words: an address cannot make a page say things.
"""

from functools import partial
from typing import Any, NamedTuple

import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from pratique.capabilities.rights import Right
from pratique.ledger.queries_approvals import Chosen, how_many
from pratique.server.auth.people import Person, visitor
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.server.web.render import render
from pratique.server.web.words import sentence

NAV = (
    ("/queue", "Queue", Right.QUEUE_READ),
    ("/decided", "Decisions", Right.QUEUE_READ),
    ("/standing", "Standing", Right.STANDING_READ),
    ("/traces", "Traces", Right.TRACE_READ),
    ("/tools", "Tools", Right.TOOLS_READ),
    ("/servers", "Servers", Right.SERVERS_READ),
    ("/policy", "Policy", Right.POLICY_READ),
    ("/audit", "Log", Right.AUDIT_READ),
    ("/figures", "Figures", Right.METRICS_READ),
)


class Flash(NamedTuple):
    """What was just done, in one line, and where to look at it."""

    kind: str
    text: str
    href: str = ""
    link: str = ""


DONE = {
    "approved": Flash("good", "Approved. The agent's call runs now, once."),
    "counted": Flash("info", "Your yes is recorded. More people must agree."),
    "rejected": Flash("info", "Rejected. The agent is told why."),
    "edited": Flash("info", "Edited. The new call is asked about in its own right."),
    "delegated": Flash("info", "Handed over."),
    "asked": Flash("info", "Your question is recorded."),
    "replied": Flash("info", "Your answer is recorded."),
    "standing": Flash("good", "Recorded. Calls that fit are no longer asked about, until it ends."),
    "joined": Flash("good", "Recorded. You stand behind it as well."),
    "revoked": Flash("info", "Revoked. Calls like it are asked about again."),
    "pinned": Flash("good", "Approved. Agents that the policy lets call it are offered it from now on."),
    "unpinned": Flash("info", "Refused. No call of it runs any more."),
    "checked": Flash("info", "It was asked. What is new or changed is below, in quarantine."),
    "password": Flash("good", "Your password is changed."),
}


async def page(  # what a page is made of
    request: Request,
    person: Person | None,
    template: str,
    *,
    title: str,
    here: str = "",
    status: int = 200,
    flash: Flash | None = None,
    threaded: bool = False,
    **context: Any,
) -> Response:
    """Return a page for this person. A `threaded` one may be long: it is made beside the event loop."""
    parts = door(request)
    nav = [(href, name) for href, name, right in NAV if person is not None and person.may(right)]
    waiting = 0
    if person is not None and person.may(Right.QUEUE_READ):
        open_now = Chosen(now_us=parts.ledger.clock())
        waiting = await parts.ledger.query(lambda connection: how_many(connection, open_now))
    make = partial(
        render,
        template,
        {
            "me": person,
            "csrf": person.csrf if person is not None else "",
            "nav": nav,
            "here": here,
            "title": title,
            "waiting": waiting,
            "now_us": parts.ledger.clock(),
            "flash": flash or _done(request),
            **context,
        },
        status=status,
    )
    return await anyio.to_thread.run_sync(make) if threaded else make()


def after(address: str, done: str, ticket: str = "") -> RedirectResponse:
    """Return the way on after something was done: See Other, so that reloading does not do it again."""
    mark = "&" if "?" in address else "?"
    about = f"&about={ticket}" if ticket else ""
    return RedirectResponse(f"{address}{mark}done={done}{about}", 303)


def own_address(text: str, otherwise: str = "/queue") -> str:
    """Return an address of ours out of a form, or another one: nobody is sent away from here."""
    plain = text.isascii() and text.isprintable() and not set(text) & set('\\"<>')
    return text if plain and text.startswith("/") and not text.startswith("//") else otherwise


async def problem_page(request: Request, problem: Problem) -> Response:
    """Return what went wrong, as a page."""
    person = await visitor(request)
    heading = sentence(problem.title)
    response = await page(
        request,
        person,
        "error.html",
        title=heading,
        status=problem.status,
        heading=heading,
        problem=problem.detail or problem.title,
    )
    response.headers.update(problem.headers)
    return response


def _done(request: Request) -> Flash | None:
    found = DONE.get(request.query_params.get("done", ""))
    ticket = request.query_params.get("about", "")
    if found is None or not (ticket.startswith("t_") and ticket[2:].isalnum()):
        return found
    return found._replace(href=f"/queue/{ticket}", link="See what became of it")
