"""The JSON API, under `/api/v1`: each file is one resource."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from pratique.server.api import (
    approvals,
    calls,
    catalogue,
    history,
    login,
    policy,
    servers,
    sessions,
    standing,
)
from pratique.server.api.shapes import ProblemShape

router = APIRouter(prefix="/api/v1")
for part in (
    calls.router,  # first, because it is asked for most
    sessions.router,
    approvals.router,
    standing.router,
    servers.router,
    history.traces,
    history.audit,
    policy.router,
    catalogue.router,
    catalogue.identities,
    login.router,
):
    router.include_router(part)


def describe(app: FastAPI) -> None:
    """Let the application's OpenAPI document say what problems look like, and which credential goes where."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {})["ProblemShape"] = ProblemShape.model_json_schema()
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's own manual gives
