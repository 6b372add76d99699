"""What happened: traces of sessions, and the log itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse

from pratique.audit.chain import Head
from pratique.capabilities.rights import Right
from pratique.ledger import pages, queries
from pratique.model import Value
from pratique.server.api.shapes import LARGEST, After, Limit, SessionId, problems
from pratique.server.auth.people import Demand
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.sessions.trace import trace

traces = APIRouter(prefix="/traces", tags=["traces"], dependencies=[Demand(Right.TRACE_READ)])
audit = APIRouter(prefix="/audit", tags=["audit"], dependencies=[Demand(Right.AUDIT_READ)])

Before = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,16}:[0-9a-z_]{1,64}$", description="The cursor that the page before gave."),
]


class SessionRow(Value):
    """A session in the list of traces."""

    session: str
    trace_id: str
    agent: str
    tenant: str
    opened_us: int
    closed_us: int


class Sessions(Value):
    """A page of sessions, newest first. `next` is the cursor of the page after it, when there is one."""

    items: tuple[SessionRow, ...]
    next: str | None = None


class Records(Value):
    """A page of the log. `next` is the cursor of the page after it, when there is one."""

    items: tuple[dict[str, Any], ...]
    next: int | None = None


class LogHead(Value):
    """The end of the chain: keep it where the log's owner cannot change it."""

    log: str
    seq: int
    leaf: str


@traces.get("", responses=problems(401, 403))
async def sessions(
    request: Request,
    before: Before = None,
    agent: Annotated[str, Query(max_length=128, description="Only this agent's.")] = "",
    limit: Limit = 50,
) -> Sessions:
    """Return sessions, newest first."""
    opened, _, name = (before or f"{LARGEST}:").partition(":")
    rows = await door(request).ledger.query(
        lambda connection: pages.sessions(connection, (min(int(opened), LARGEST), name), limit + 1, agent)
    )
    items = tuple(
        SessionRow(
            session=row.id, **{key: getattr(row, key) for key in SessionRow.model_fields if key != "session"}
        )
        for row in rows[:limit]
    )
    more = f"{items[-1].opened_us}:{items[-1].session}" if len(rows) > limit else None
    return Sessions(items=items, next=more)


@traces.get("/{session}", responses=problems(401, 403, 404))
async def one_trace(request: Request, session: SessionId) -> dict[str, Any]:
    """Return one run as operators reconstruct it, by its session or trace id. Secrets are taken out."""
    ledger = door(request).ledger
    return await ledger.query(lambda connection: trace(connection, ledger, session))


@audit.get("/head", responses=problems(401, 403))
async def head(request: Request) -> LogHead:
    """Return the head of the chain."""
    ledger = door(request).ledger
    found: Head = await ledger.query(queries.head)
    return LogHead(log=ledger.log, seq=found.seq, leaf=found.leaf)


@audit.get(
    "/checkpoint",
    response_class=PlainTextResponse,
    responses=problems(401, 403, 404) | {200: {"content": {"text/plain": {}}}},
)
async def checkpoint(request: Request) -> PlainTextResponse:
    """Return the newest signed checkpoint (C2SP): keep it where the log's owner cannot change it."""
    note = await door(request).ledger.query(pages.newest_checkpoint)
    if note is None:
        raise Problem(404, "no checkpoint yet", "the first records make one, a moment after they are written")
    return PlainTextResponse(note)


@audit.get("/records", responses=problems(401, 403))
async def records(request: Request, after: After = 0, limit: Limit = 100) -> Records:
    """Return records of the log, oldest first. They commit to values, and hold none."""
    found = await door(request).ledger.query(lambda connection: pages.records(connection, after, limit + 1))
    more = found[limit - 1]["seq"] if len(found) > limit else None
    return Records(items=tuple(dict(record) for record in found[:limit]), next=more)
