"""Errors as answers: problem details (RFC 9457) for programs, pages for people.

Rules:
- Every error of the API is `application/problem+json` with `type`, `title`, `status` and `detail`.
- An exception of ours has one status, here. Anything else is a bug: 500, logged, with nothing of its text.
- A browser that asks for a page is sent to the login when nobody is signed in.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from pratique import errors
from pratique.ledger.door import Ledger
from pratique.model import printable

log = structlog.get_logger("pratique")

MEDIA_TYPE = "application/problem+json"

_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/()'\":;,]+/)*[^\s/()'\":;,]+")
"""An absolute path of this machine. An address (`https://…`) is none."""

_BENEATH = r"(?:/[^\s/()'\":;,]+)*"
"""What stands beneath one of our folders: none of our own names has a space."""

Pages = Callable[[Request, "Problem"], Awaitable[Response]]
"""Renders a problem for a person; the web pages set it as `app.state.problem_page`."""

STATUS: Mapping[type[Exception], int] = {
    errors.CanonicalError: 422,
    errors.SessionClosedError: 410,
    errors.UnknownSessionError: 404,
    errors.UnknownTicketError: 404,
    errors.TicketClosedError: 409,
    errors.NotAnApproverError: 403,
    errors.TicketError: 422,
    errors.LoginRefusedError: 401,
    errors.IdentityError: 422,
    errors.PolicyError: 422,
    errors.LedgerUnavailableError: 503,
    errors.LedgerError: 503,
    errors.SandboxUnavailableError: 503,
}


class Problem(Exception):  # noqa: N818  # the name that RFC 9457 gives it
    """What went wrong, for whoever asked.

    Args:
        status: the HTTP status.
        title: what kind of problem it is, in a few words.
        detail: what to do about it.
        retry_after: seconds to wait, if waiting helps.
        more: further members.
    """

    def __init__(
        self, status: int, title: str, detail: str = "", *, retry_after: int | None = None, **more: Any
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.detail, self.more = status, title, detail, more
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:  # noqa: PLR2004
            self.headers["WWW-Authenticate"] = "Bearer"

    @property
    def body(self) -> dict[str, Any]:
        """The members, as JSON values."""
        known = {"type": "about:blank", "title": self.title, "status": self.status}
        return known | {"detail": printable(self.detail)} | self.more

    def response(self) -> JSONResponse:
        """Return the answer for a program."""
        return JSONResponse(self.body, self.status, self.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of the application an answer of this kind."""

    async def ours(request: Request, error: Exception) -> Response:
        here = getattr(request.app.state, "door", None)
        return await answered(request, _problem(error, places_of(here.ledger) if here else ()))

    async def invalid(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        lines = [
            {"where": printable(".".join(map(str, line["loc"]))), "what": printable(line["msg"])}
            for line in found
        ]
        detail = "; ".join(f"{line['where']}: {line['what']}" for line in lines[:3])
        return await answered(request, Problem(422, "the request is not valid", detail, errors=lines))

    async def plain(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        problem = Problem(status, str(getattr(error, "detail", "")) or "error")
        problem.headers |= dict(getattr(error, "headers", None) or {})
        return await answered(request, problem)

    async def bug(request: Request, error: Exception) -> Response:
        text = "".join(traceback.format_exception(error))  # a renderer of its own might print locals
        log.error("a request broke", path=request.url.path, traceback=text)
        return await answered(request, Problem(500, "a bug", "it was logged; nothing of it is told here"))

    app.add_exception_handler(Problem, ours)
    app.add_exception_handler(errors.PratiqueError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, bug)


async def answered(request: Request, problem: Problem) -> Response:
    """Return the problem as whoever asked can read it."""
    if not wants_page(request):
        return problem.response()
    if problem.status == 401 and request.method == "GET":  # noqa: PLR2004
        back = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
        return RedirectResponse(f"/login?next={back}", 303)
    page: Pages | None = getattr(request.app.state, "problem_page", None)
    return problem.response() if page is None else await page(request, problem)


def wants_page(request: Request) -> bool:
    """Return whether a person's browser asks for a page."""
    is_api = request.url.path.startswith(("/api/", "/metrics", "/healthz"))
    return not is_api and "text/html" in request.headers.get("accept", "")


def _problem(error: Exception, places: Iterable[Path]) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.LedgerFullError):
        return Problem(503, "too much waits for the log", str(error), retry_after=1)
    for kind in type(error).__mro__:
        if kind in STATUS:
            title = _title(kind.__name__)
            text = printable(str(error))
            if isinstance(error, errors.LedgerError | errors.SandboxUnavailableError):
                log.error(title, problem=text)
                text = told_to_strangers(error, places)
            return Problem(STATUS[kind], title, text, type=urn(title.replace(" ", "-")))
    return Problem(500, "a bug", "it was logged")


def places_of(ledger: Ledger) -> tuple[Path, ...]:
    """Return the folders that errors of a ledger may name."""
    return ledger.path.parent, ledger.keys.folder


def told_to_strangers(error: Exception, places: Iterable[Path]) -> str:
    """Return what an error says, without where our files are: that is for the server's own log.

    Args:
        error: of the ledger, or the sandbox.
        places: folders that it may name. What looks like a path is found without that, up to its first space.
    """
    text = printable(str(error))
    for place in sorted({printable(str(place)) for place in places}, key=len, reverse=True):
        text = re.sub(re.escape(place) + _BENEATH, "…", text)
    return _PATH.sub("…", text)


def urn(kind: str) -> str:
    """Return the `type` of a kind of problem."""
    return f"urn:pratique:{kind}"


def _title(name: str) -> str:
    """Return `TicketClosedError` as `ticket closed`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words.removesuffix(" error").strip()
