"""The server: one FastAPI application before one runtime.

Rules:
- Routes under `/api/v1` speak JSON, the pages are for people; both are doors to the same runtime.
- Nobody comes in without a credential: an agent with its key, a person with their login's cookie.
"""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI

from pratique import __version__
from pratique.runtime import Runtime
from pratique.server import api, health
from pratique.server.auth.cookies import SetCookie
from pratique.server.bodies import BoundedBody
from pratique.server.door import Door
from pratique.server.headers import GuardedHeaders, hosts_of
from pratique.server.problems import install
from pratique.settings import ServerSettings

CANCELLED_S = 5.0
"""How long calls that were cancelled when the server ends may take until they are on record."""


def create_app(runtime: Runtime, settings: ServerSettings | None = None, *, close: bool = True) -> FastAPI:
    """Return the application that serves this runtime.

    Args:
        runtime: what runs calls.
        settings: how it listens, and what it bears.
        close: close the runtime when the server ends.
    """
    settings = settings or ServerSettings()
    here = Door(runtime, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        here.closing.set()
        await here.serving.drain(CANCELLED_S)  # what was cancelled is still being recorded
        if close:
            await runtime.aclose()

    app = FastAPI(
        title="Pratique",
        version=__version__,
        summary="The runtime between AI agents and the tools they call.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.door = here
    api.describe(app)
    install(app)
    app.include_router(health.router)
    app.include_router(api.router)
    if importlib.util.find_spec("pratique.server.web") is not None:
        import_module("pratique.server.web").mount(app)
    app.add_middleware(SetCookie)
    app.add_middleware(BoundedBody, most=settings.body_bytes)
    app.add_middleware(GuardedHeaders, hosts=hosts_of(settings), tls=settings.speaks_tls)
    return app
