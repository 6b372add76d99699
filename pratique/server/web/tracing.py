"""What agents did: the sessions, and one of them as a timeline."""

from collections import Counter

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from pratique.ledger import queries
from pratique.redaction import Redaction
from pratique.server.door import door
from pratique.server.web.pages import page
from pratique.server.web.who import TraceReader
from pratique.server.web.words import FROM_WORDS
from pratique.sessions.trace import trace

router = APIRouter()

MOST_SESSIONS = 200
MOST_ORIGINS = 12
"""Origins that the page tells of one call; the CLI has all."""


@router.get("/traces")
async def sessions(request: Request, person: TraceReader) -> Response:
    """Return the newest sessions."""
    found = await door(request).ledger.query(lambda connection: queries.sessions(connection, MOST_SESSIONS))
    return await page(request, person, "traces.html", title="Sessions", here="/traces", sessions=found)


@router.get("/traces/{name}")
async def session(request: Request, person: TraceReader, name: str) -> Response:
    """Return one session: what was read, where it came from, what was decided and why, what ran."""
    ledger = door(request).ledger
    found = await anyio.to_thread.run_sync(
        lambda: ledger.read(lambda connection: trace(connection, ledger, name, Redaction()))
    )
    counts = Counter(call["status"] for call in found["tool_calls"])
    return await page(
        request,
        person,
        "trace.html",
        title=f"{found['agent']}, {found['session']}",
        here="/traces",
        trace=found,
        counts=counts.most_common(),
        from_words=FROM_WORDS,
        most_origins=MOST_ORIGINS,
    )
