"""Search over all calls, and the replay of what happened under another policy. Nothing here runs anything.

Rules:
- One replay at a time: it costs a core for as long as the log is.
- A policy that is tried is read, linted and forgotten; only `pratique policy apply` puts one in force.
"""

from datetime import UTC, datetime
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Form, Request, Response

from pratique.capabilities.policy import Policy
from pratique.capabilities.replay import Change
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import PratiqueError
from pratique.ledger import policies
from pratique.ledger.replay import ReplayReport, Stretch, replay
from pratique.ledger.search import Wanted, decision_of, search, sources_of
from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.web.pages import page
from pratique.server.web.who import AuditReader, TraceReader

router = APIRouter()

MOST_FOUND = 200
MOST_POLICY = 1024 * 1024
PERIODS = {"1": "the last day", "7": "the last 7 days", "31": "the last 31 days", "0": "all of the log"}
_DAY_US = 24 * 3600 * 1_000_000

CHANGES = {
    Change.NEWLY_ALLOWED: ("would have been let through", "deny"),
    Change.NEWLY_ASKED: ("would have been put to a person", "ask"),
    Change.NEWLY_DENIED: ("would have been denied", "ask"),
    Change.UNDECIDABLE: ("cannot be known", "ask"),
    Change.MISMATCH: ("are not what their own policy answers", "deny"),
    Change.SAME: ("as it was", "allow"),
}


@router.get("/search")
async def search_page(  # noqa: PLR0913, PLR0917  # one field per thing to search by
    request: Request,
    person: TraceReader,
    agent: str = "",
    tool: str = "",
    decision: str = "",
    source: str = "",
    user: str = "",
    since: str = "",
    until: str = "",
) -> Response:
    """Return the calls that fit, the newest first."""
    ledger = door(request).ledger
    asked = {"agent": agent, "tool": tool, "decision": decision, "source": source, "user": user}
    asked = {key: text.strip()[:300] for key, text in asked.items()}
    wanted = Wanted(
        agent=asked["agent"],
        tool=asked["tool"],
        decision=asked["decision"],
        source=asked["source"],
        subject=ledger.vault.subject_id(asked["user"]) if asked["user"] else "",
        since_us=_moment(since),
        until_us=_moment(until),
        most=MOST_FOUND,
    )
    given = any(asked.values()) or wanted.since_us or wanted.until_us
    found = await ledger.query(lambda connection: search(connection, wanted)) if given else []
    return await page(
        request,
        person,
        "search.html",
        title="Search",
        here="/traces",
        asked={**asked, "since": since if wanted.since_us else "", "until": until if wanted.until_us else ""},
        given=given,
        found=[(record, decision_of(record), dict.fromkeys(sources_of(record))) for record in found[::-1]],
        most=MOST_FOUND,
    )


@router.get("/replay")
async def replay_page(request: Request, person: AuditReader) -> Response:
    """Return the form: which policy, and over which stretch of the log."""
    return await _page(request, person, None)


@router.post("/replay")
async def run_replay(
    request: Request,
    person: AuditReader,
    which: Annotated[str, Form(max_length=20)] = "in-force",
    days: Annotated[str, Form(max_length=4)] = "31",
    text: Annotated[str, Form(max_length=MOST_POLICY)] = "",
) -> Response:
    """Decide what was recorded again, by this policy, and return what would have come out otherwise."""
    here = door(request)
    period = days if days in PERIODS else "31"
    since_us = here.ledger.clock() - int(period) * _DAY_US if int(period) else 0
    try:
        report = await anyio.to_thread.run_sync(
            lambda: _replayed(here, which, text, since_us), limiter=_one(request)
        )
    except PratiqueError as problem:
        return await _page(
            request, person, None, which=which, days=period, text=text, problem=str(problem), status=422
        )
    return await _page(request, person, report, which=which, days=period, text=text)


def _replayed(here: Door, which: str, text: str, since_us: int) -> ReplayReport:
    names = {"recorded": "the recorded policies", "in-force": "the policy in force"}
    if which == "recorded":
        target = None
    elif which == "in-force":
        target = policies.in_force(here.ledger)
    else:
        target = Snapshot(Policy(text.replace("\r\n", "\n"), "your policy"), 0)
    return replay(here.ledger, target, Stretch(since_us=since_us), name=names.get(which, "your policy"))


async def _page(  # what the page is made of
    request: Request,
    person: Person,
    report: ReplayReport | None,
    *,
    which: str = "in-force",
    days: str = "31",
    text: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    return await page(
        request,
        person,
        "replay.html",
        title="What would have happened",
        here="/policy",
        status=status,
        report=report,
        changes=[(change, *CHANGES[change]) for change in Change],
        which=which,
        days=days,
        text=text,
        periods=PERIODS.items(),
        problem=problem,
    )


def _one(request: Request) -> anyio.CapacityLimiter:
    """Return what lets one replay run at a time."""
    state = request.app.state
    if not hasattr(state, "replaying"):
        state.replaying = anyio.CapacityLimiter(1)
    limiter: anyio.CapacityLimiter = state.replaying
    return limiter


def _moment(text: str) -> int:
    """Return a moment as a form gives it (`2026-12-01T06:00`, UTC), in microseconds; 0 for none."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0
