"""The server: one FastAPI application before one runtime.

Rules:
- Routes under `/api/v1` speak JSON, the pages are for people; both are doors to the same runtime.
- Nobody comes in without a credential: an agent with its key, a person with their login's cookie.
"""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from importlib import import_module
from typing import NamedTuple

from fastapi import FastAPI

from pratique import __version__
from pratique.adapters.mcp import is_installed as mcp_is_installed
from pratique.approvals.notifier import Notifier
from pratique.runtime import Runtime
from pratique.server import api, health, metrics
from pratique.server.auth import oidc, resource
from pratique.server.auth.cookies import SetCookie
from pratique.server.auth.oidc import Company
from pratique.server.auth.tokens import Tokens
from pratique.server.bodies import BoundedBody
from pratique.server.checking import HOUR, checking
from pratique.server.door import Door
from pratique.server.headers import GuardedHeaders, hosts_of
from pratique.server.problems import install
from pratique.settings_sections import ServerSettings

CANCELLED_S = 5.0
"""How long calls that were cancelled when the server ends may take until they are on record."""


Beside = Callable[[], AbstractAsyncContextManager[None]]
"""What runs while the server does."""


class Secrets(NamedTuple):
    """What the settings only name: the server's secret at the company's provider, and the metrics' token."""

    oidc: str = ""
    metrics: str = ""


NO_SECRETS = Secrets()


@asynccontextmanager
async def background(notifier: Notifier | None) -> AsyncIterator[None]:
    """Let the notifier work meanwhile."""
    if notifier is None:
        yield
        return
    task = asyncio.create_task(notifier.run(), name="pratique-notifier")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _lifespan(
    here: Door, beside: list[Beside], notifier: Notifier | None, *, close: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what runs while the server does, and what ends when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with background(notifier), AsyncExitStack() as meanwhile:
            for run in beside:
                await meanwhile.enter_async_context(run())
            yield
        here.closing.set()
        await here.serving.drain(CANCELLED_S)  # what was cancelled is still being recorded
        here.glance.close()
        if close:
            await here.runtime.aclose()

    return lifespan


def create_app(
    runtime: Runtime,
    settings: ServerSettings | None = None,
    *,
    secrets: Secrets = NO_SECRETS,
    notifier: Notifier | None = None,
    close: bool = True,
) -> FastAPI:
    """Return the application that serves this runtime.

    Args:
        runtime: what runs calls.
        settings: how it listens, and what it bears.
        secrets: what the settings only name.
        notifier: lets clocks run out and sends notices, while the server runs.
        close: close the runtime when the server ends.

    Raises:
        SettingsError: the company's provider or the tokens' issuer is not reached by https, or the server has
            no address that tokens could be for.
    """
    settings = settings or ServerSettings()
    company = Company(settings.oidc, secrets.oidc) if settings.oidc else None
    tokens = Tokens(settings.oauth, settings.public_url, resource.PATH) if settings.oauth else None
    here = Door(runtime, settings, company=company, metrics_token=secrets.metrics, tokens=tokens)
    beside: list[Beside] = []
    app = FastAPI(
        title="Pratique",
        version=__version__,
        summary="The runtime between AI agents and the tools they call.",
        lifespan=_lifespan(here, beside, notifier, close=close),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.door = here
    app.state.meter = metrics.Meter(here)
    api.describe(app)
    install(app)
    app.include_router(api.router)
    app.include_router(health.router)
    app.include_router(oidc.router)
    app.include_router(resource.router)
    app.include_router(metrics.router)
    if importlib.util.find_spec("pratique.server.web") is not None:
        import_module("pratique.server.web").mount(app)
    if mcp_is_installed():
        beside.append(import_module("pratique.server.mcp").mount(app, here))
    elsewhere = runtime.registry.elsewhere
    if settings.check_hours and elsewhere is not None:
        beside.append(checking(elsewhere, settings.check_hours * HOUR))
    app.add_middleware(SetCookie)
    app.add_middleware(BoundedBody, most=settings.body_bytes)
    app.add_middleware(GuardedHeaders, hosts=hosts_of(settings), tls=settings.speaks_tls)
    return app
