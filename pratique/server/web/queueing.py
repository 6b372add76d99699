"""The queue page: what waits, most urgent and most risky first; its search is its address."""

from typing import NamedTuple
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from pratique.ledger import queries_approvals as asking
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

    def address(self, after: str = "") -> str:
        """Return the address that asks for it, from a place on."""
        asked = {key: value for key, value in {**self._asdict(), "after": after}.items() if value}
        return f"/queue?{urlencode(asked)}" if asked else "/queue"


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
    after: str = "",
) -> Response:
    """Return what waits."""
    here, wanted = door(request), Wanted(q.strip()[:200], tier, taint, agent, mine)
    found = await anyio.to_thread.run_sync(lambda: _find(here, person, wanted, after))
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
        filtered=wanted._replace(mine="") != Wanted(),
        more=found.more,
        first=wanted.address() if after else "",
        back="" if wanted == Wanted() else f"?{urlencode({'back': wanted.address()})}",
    )


def _find(here: Door, person: Person, wanted: Wanted, after: str) -> Found:
    chosen = _chosen(here, person, wanted)

    def read(connection: Connection) -> Found:
        found = asking.most_urgent(connection, chosen, _place(after), PAGE + 1)
        shown = found[:PAGE]
        last = shown[-1] if len(found) > PAGE else None
        more = wanted.address(f"{last.rank},{last.wait_until_us},{last.ticket}") if last else ""
        rows = reading.rows(here, person, connection, shown)
        return Found(rows, asking.how_many(connection, chosen), more)

    return here.ledger.read(read)


def _chosen(here: Door, person: Person, wanted: Wanted) -> asking.Chosen:
    named = "@" in wanted.q  # a person is found by their whole name: rows hold a pseudonym
    everybody = wanted.mine == "all"
    return asking.Chosen(
        text="" if named else wanted.q,
        subject=here.ledger.vault.subject_id(wanted.q) if named else "",
        tier=wanted.tier,
        taint=wanted.taint,
        agent=wanted.agent,
        groups=None if everybody or not person.groups else tuple(sorted(person.groups)),
        person="" if everybody or not person.groups else person.name,
        now_us=here.ledger.clock(),
    )


def _place(after: str) -> tuple[int, int, str] | None:
    """Return the place in the queue that an address names; none, if it names none of ours."""
    rank, _, rest = after.partition(",")
    until_us, _, ticket = rest.partition(",")
    try:
        return (int(rank), int(until_us), ticket) if ticket else None
    except ValueError:
        return None
