"""The queue page: what waits, most urgent and most risky first; its search is its address."""

from typing import NamedTuple
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from pratique.server.auth.people import Person
from pratique.server.door import Door, door
from pratique.server.web import reading
from pratique.server.web.pages import page
from pratique.server.web.views import Row
from pratique.server.web.who import QueueReader

router = APIRouter()

PAGE = 50


class Wanted(NamedTuple):
    """What the address asks for."""

    q: str = ""
    tier: str = ""
    taint: str = ""
    agent: str = ""
    mine: str = ""

    @property
    def address(self) -> str:
        """The address that asks for it."""
        asked = urlencode({key: value for key, value in self._asdict().items() if value})
        return f"/queue?{asked}" if asked else "/queue"


class Found(NamedTuple):
    """One page of the queue."""

    rows: list[Row]
    found: int
    more: str


@router.get("/queue")
async def queue(  # the parts of the address
    request: Request,
    person: QueueReader,
    q: str = "",
    tier: str = "",
    taint: str = "",
    agent: str = "",
    mine: str = "",
) -> Response:
    """Return what waits."""
    here, wanted = door(request), Wanted(q.strip()[:200], tier, taint, agent, mine)
    found = await anyio.to_thread.run_sync(lambda: _find(here, person, wanted))
    return await page(
        request,
        person,
        "queue.html",
        title="Queue",
        here="/queue",
        wanted=wanted,
        agents=sorted(here.runtime.enforcement.snapshot.policy.file.agents),
        rows=found.rows,
        found=found.found,
        filtered=wanted != Wanted(),
        more=found.more,
        before="",
        back=f"?{urlencode({'back': wanted.address})}" if wanted != Wanted() else "",
    )


def _find(here: Door, person: Person, wanted: Wanted) -> Found:
    now_us = here.ledger.clock()
    rows = [
        reading.row(here, person, question)
        for question in here.runtime.queue.questions()
        if question.is_open(now_us)
    ]
    fitting = [row for row in rows if _fits(row, wanted)]
    tiers, taints = ("irreversible", "write", "egress", "read"), ("sink", "argument", "context", "none")
    fitting.sort(
        key=lambda row: (not row.urgent, tiers.index(row.tier), taints.index(row.taint), row.until_us)
    )
    return Found(fitting[:PAGE], len(fitting), "")


def _fits(row: Row, wanted: Wanted) -> bool:
    words = " ".join((row.tool, row.agent, row.user, row.ticket, *(value for _, value in row.gist)))
    return (
        wanted.q.casefold() in words.casefold()
        and wanted.tier in {"", row.tier}
        and wanted.taint in {"", row.taint}
        and wanted.agent in {"", row.agent}
        and (wanted.mine == "all" or not row.not_mine)
    )
