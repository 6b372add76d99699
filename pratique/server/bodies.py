"""How large a request may be: counted while it comes in, whatever its headers say."""

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pratique.server.problems import Problem


class BoundedBody:
    """Answers a body of more than `most` bytes with 413, before anybody has read it whole.

    Args:
        app: what is behind it.
        most: bytes.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        if not (stated.isascii() and stated.isdigit() and int(stated[:20]) <= self._most):
            await self._refusal()(scope, receive, send)
            return
        came = 0

        async def receiving() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            return message if came <= self._most else {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            if came <= self._most:
                await send(message)
            elif message["type"] == "http.response.start":  # whatever it made of the half body
                await self._refusal()(scope, receive, send)

        await self._app(scope, receiving, sending)

    def _refusal(self) -> JSONResponse:
        return Problem(413, "the request is too large", f"at most {self._most} bytes").response()
