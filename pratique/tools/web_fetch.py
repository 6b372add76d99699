"""Sends one request and reads one answer, within limits of size, time and type.

Rules:
- Redirects are followed by hand, at most `MOST_REDIRECTS`, each hop looked at like the first one; never from
  `https` to `http`. A body is only sent again to the same origin, and only where the server says that it has
  not acted on it (RFC 9110, 15.4: 307 and 308).
- A write that was never answered ends as `unknown`: nobody can say whether the server acted on it.
- The whole exchange has one deadline, so that a server cannot win time by sending a byte now and then.
"""

import asyncio
from typing import Any, NamedTuple

import httpx2

from pratique.errors import OutcomeUnknownError, ToolError
from pratique.sandbox.threads import in_thread
from pratique.tools.context import ToolContext
from pratique.tools.web_text import ContentType, read_content_type, readable

LARGEST_PAGE = 4 * 1024 * 1024
LONGEST_TEXT = 200_000
MOST_REDIRECTS = 5
LONGEST_URL = 8192

_AGAIN = frozenset({307, 308})
_ELSEWHERE = frozenset({301, 302, 303}) | _AGAIN


class Exchange(NamedTuple):
    """What is asked of the web.

    `body` holds the client's keyword arguments for a body: `json`, `data` or `content`, with `headers`.
    """

    method: str
    url: str
    body: dict[str, Any]
    seconds: float
    source: bool

    @property
    def writes(self) -> bool:
        """Whether it may change something there."""
        return self.method != "GET"


async def exchange(ctx: ToolContext, asked: Exchange) -> dict[str, Any]:
    """Send a request, and return the answer as a tool's result.

    Raises:
        ToolError: there is no answer that could be read; what was asked for did not happen.
        OutcomeUnknownError: a write was sent, and what became of it is not known.
    """
    try:
        async with asyncio.timeout(asked.seconds):
            return await _follow(ctx, asked)
    except TimeoutError:
        raise _failure(asked)(f"no whole answer within {asked.seconds:g} s") from None


async def _follow(ctx: ToolContext, asked: Exchange) -> dict[str, Any]:
    """Send the request, and again where the answer says so."""
    url, passed = _parsed(asked.url), list[str]()
    while True:
        request = ctx.http.build_request(asked.method, url, **asked.body)
        response = await _send(ctx, request, asked)
        try:
            target = _target(response, asked)
            if target is None:
                return await _result(response, asked, passed)
        finally:
            await response.aclose()
        if len(passed) == MOST_REDIRECTS:
            raise ToolError(f"redirected more than {MOST_REDIRECTS} times")
        passed.append(str(url))
        url = target


async def _send(ctx: ToolContext, request: httpx2.Request, asked: Exchange) -> httpx2.Response:
    """Return the head of an answer; the body is still to be read."""
    where = request.url.netloc.decode()
    try:
        return await ctx.http.send(request, stream=True)
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as problem:
        raise ToolError(f"{where} cannot be reached: {problem}") from None
    except httpx2.HTTPError as problem:
        raise _failure(asked)(f"{where} gave no answer: {_words(problem)}") from None


def _target(response: httpx2.Response, asked: Exchange) -> httpx2.URL | None:
    """Return where a redirect leads that is to be followed, or None."""
    location = response.headers.get("location", "")
    followed = _AGAIN if asked.writes else _ELSEWHERE
    if response.status_code not in followed or not location:
        return None
    here = response.request.url
    target = _parsed(location, here)
    if here.scheme == "https" and target.scheme != "https":
        raise ToolError(f"redirected from https to {target.scheme}: not followed")
    if asked.writes and _origin(here) != _origin(target):
        raise ToolError(f"redirected to {target.netloc.decode()!r}: nothing is sent to another host again")
    return target


async def _result(response: httpx2.Response, asked: Exchange, passed: list[str]) -> dict[str, Any]:
    """Read the answer. Of a write, its status is worth telling even if its text is lost."""
    declared = read_content_type(response.headers.get("content-type", ""))
    body, lost = await _body(response, declared)
    if lost and not asked.writes:
        raise ToolError(lost)
    # Parsing a page takes up to a second, and other calls wait on this thread.
    text, problems = await in_thread(
        lambda: readable(body, declared, source=asked.source), abandon_on_cancel=True
    )
    return {
        "url": str(response.request.url),
        "status": response.status_code,
        "location": response.headers.get("location", "")[:LONGEST_URL],
        "content_type": declared.type,
        "text": text[:LONGEST_TEXT],
        "characters": len(text),
        "truncated": len(text) > LONGEST_TEXT,
        "bytes": len(body),
        "redirects": passed,
        "problems": [lost, *problems] if lost else problems,
    }


async def _body(response: httpx2.Response, declared: ContentType) -> tuple[bytes, str]:
    """Return the decoded body, or as much of it as may be read, and why that is not all."""
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            if not declared.is_text:
                return b"", f"the answer is {declared.type or 'of no stated type'}, not text"
            body += part
            if len(body) > LARGEST_PAGE:
                return b"", f"the answer is larger than {LARGEST_PAGE:,} bytes"
    except httpx2.HTTPError as problem:
        return b"", f"the answer broke off: {_words(problem)}"
    return bytes(body), ""


def _parsed(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Return a URL without its fragment, which servers are not told."""
    try:
        parsed = base.join(url) if base is not None else httpx2.URL(url)
        parsed = parsed.copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as problem:
        raise ToolError(f"the URL is none: {problem}") from None
    if not parsed.host or len(str(parsed)) > LONGEST_URL:
        raise ToolError("the URL names no host, or is too long")
    return parsed


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _failure(asked: Exchange) -> type[ToolError]:
    """Return the error for a request that was sent and never answered."""
    return OutcomeUnknownError if asked.writes else ToolError


def _words(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
