"""The route that is asked for most, on a shorter way: `POST …/calls`, where nothing about the request is odd.

Rules:
- What is read here is read by the same models, and the caller is known by the same look at the ledger.
- Whatever is not plain, however it is not, goes to the framework's own handler, from the start: it answers
  what it would have answered, and says what is wrong. So the short way refuses nothing, and lets nothing in.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Plain(NamedTuple):
    """A request that is as most are: its path's session, its body, and its Idempotency-Key, if it has one."""

    session: str
    body: Any
    header: str | None


def shorter(
    session: TypeAdapter[str],
    body: type[BaseModel],
    header: TypeAdapter[str | None],
    answer: Callable[[Request, Plain], Awaitable[Response]],
) -> type[APIRoute]:
    """Return a class of routes that answer plain requests themselves.

    Args:
        session: what the session's id in the path must be.
        body: what the JSON body must be.
        header: what the header Idempotency-Key must be.
        answer: answers a plain request.
    """

    async def plain(request: Request) -> Plain | None:
        if request.headers.get("content-type") != "application/json":
            return None
        try:
            value = json.loads(await request.body())  # as the framework reads it
            return Plain(
                session.validate_python(request.path_params["session"]),
                body.model_validate(value),
                header.validate_python(request.headers.get("idempotency-key")),
            )
        except Exception:  # noqa: BLE001  # whatever it is, the framework's handler says it
            return None

    class Shorter(APIRoute):
        def get_route_handler(self) -> Handler:
            general = super().get_route_handler()

            async def handler(request: Request) -> Response:
                found = await plain(request)
                return await (general(request) if found is None else answer(request, found))

            return handler

    return Shorter
