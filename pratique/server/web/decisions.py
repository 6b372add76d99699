"""Decisions made: what people answered, and how each question ended."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from pratique.approvals.question import Question, question_of
from pratique.ledger import tables as t
from pratique.server.door import door
from pratique.server.web.pages import page
from pratique.server.web.who import QueueReader

router = APIRouter()

STATES = ("approved", "started", "finished", "unknown", "rejected", "expired", "void", "edited")
PAGE = 100


@router.get("/decided")
async def decided(
    request: Request,
    person: QueueReader,
    state: str = "",
    tool: str = "",
    before: int = 0,
) -> Response:
    """Return the newest decisions, of one state and one tool if given."""
    chosen = select(t.approvals).where(t.approvals.c.state != "proposed")
    if state in STATES:
        chosen = chosen.where(t.approvals.c.state == state)
    if tool:
        chosen = chosen.where(t.approvals.c.tool == tool)
    if before > 0:
        chosen = chosen.where(t.approvals.c.proposed_us < before)
    chosen = chosen.order_by(t.approvals.c.proposed_us.desc()).limit(PAGE + 1)
    rows = await door(request).ledger.query(lambda connection: list(connection.execute(chosen)))
    found: list[Question] = [question_of(row, row.ticket) for row in rows[:PAGE]]
    more = ""
    if len(rows) > PAGE:
        more = "/decided?" + urlencode({"state": state, "tool": tool, "before": found[-1].proposed_us})
    return await page(
        request,
        person,
        "decided.html",
        title="Decisions made",
        here="/decided",
        decided=found,
        states=STATES,
        state=state,
        tool=tool,
        more=more,
    )
