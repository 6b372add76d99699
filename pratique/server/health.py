"""Whether this installation can do its work: what a load balancer or a container engine asks.

Rules:
- Healthy means that a call could be recorded right now. If not, calls are denied, and this says so.
- It tells nothing that is worth knowing to a stranger: no agent, no tool, no count.
"""

from fastapi import APIRouter, Request, Response

from pratique.errors import LedgerError
from pratique.ledger.sequencer import Entry
from pratique.server.door import door

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz(request: Request, response: Response) -> dict[str, str]:
    """Say whether a call could be recorded now: 200, or 503 and why not."""
    try:
        await door(request).ledger.commit(Entry(drafts=()))
    except LedgerError as problem:
        response.status_code = 503
        return {"status": "denying", "why": str(problem)}
    return {"status": "ok"}
