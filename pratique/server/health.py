"""Whether this installation can do its work: what a load balancer or a container engine asks.

Rules:
- Healthy means that a call could be recorded right now. If not, calls are denied, and this says so.
- It tells nothing that is worth knowing to a stranger: no agent, no tool, no count.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response

from pratique.errors import LedgerError
from pratique.ledger.sequencer import Entry
from pratique.runtime import Runtime


def health_app(runtime: Runtime) -> FastAPI:
    """Return the application that answers `/healthz` for this runtime, and closes it in the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await runtime.aclose()

    app = FastAPI(title="Pratique", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz(response: Response) -> dict[str, str]:
        try:
            await runtime.ledger.commit(Entry(drafts=()))
        except LedgerError as problem:
            response.status_code = 503
            return {"status": "denying", "why": str(problem)}
        return {"status": "ok"}

    return app
