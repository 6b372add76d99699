"""Whether this installation can do its work: what a load balancer or a container engine asks.

Rules:
- Healthy means that a call could be recorded right now. If not, calls are denied, and this says so.
- It tells nothing that is worth knowing to a stranger: no agent, no tool, no count, no path.
- However many ask, it is looked at once a second: asking wears nothing out, and nobody is refused an answer.
"""

import asyncio
import time

import structlog
from fastapi import APIRouter, Request, Response

from pratique.errors import LedgerError
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
from pratique.server.door import door
from pratique.server.problems import places_of, told_to_strangers

FRESH_SECONDS = 1.0

router = APIRouter(tags=["health"])
log = structlog.get_logger("pratique")


class Health:
    """Whether a call could be recorded, as of a moment ago.

    Args:
        ledger: that it would be recorded in.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._lock = ledger, asyncio.Lock()
        self._why, self._looked = "", -FRESH_SECONDS

    async def why_not(self) -> str:
        """Return why nothing can be recorded, or an empty string."""
        async with self._lock:
            if time.monotonic() - self._looked >= FRESH_SECONDS:
                self._why = await self._look()
                self._looked = time.monotonic()
            return self._why

    async def _look(self) -> str:
        try:
            await self._ledger.commit(Entry(drafts=()))
        except LedgerError as problem:
            log.error("nothing can be recorded", problem=str(problem))  # noqa: TRY400  # a state, not a bug
            return told_to_strangers(problem, places_of(self._ledger))
        return ""


@router.get("/healthz")
async def healthz(request: Request, response: Response) -> dict[str, str]:
    """Say whether a call could be recorded now: 200, or 503 and why not."""
    state = request.app.state
    if not hasattr(state, "health"):
        state.health = Health(door(request).ledger)
    if why := await state.health.why_not():
        response.status_code = 503
        return {"status": "denying", "why": why}
    return {"status": "ok"}
