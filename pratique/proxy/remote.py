"""A server at an address, by Streamable HTTP.

Rules:
- The way out is that of every tool (`pratique.tools.hosts`): the one declared host, an address that was
  looked at, verified TLS, no redirect, a bounded body. Plain HTTP only within the own network.
- A request that was not sent, one whose answer broke off, and one that was refused are told apart.
- An answer, and each event of a stream, is counted before the SDK reads it (`pratique.proxy.budget`).
- What is no call (notifications, the end of a session, the stream of news) gets little time, and the stream
  of news is not opened for ever.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED
from pydantic import Field, SecretStr, field_validator, model_validator

from pratique.errors import ToolError
from pratique.model import Value
from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import Budget, holds_at_most
from pratique.proxy.intake import FLOOD, Fate
from pratique.proxy.streams import Streams
from pratique.tools.hosts import DeclaredHosts, Network

CONNECT = 10.0
_SHORT = 5.0
_MOST_STREAMS = 20
_CONNECTIONS = 64
_ERROR = 400
_NO_GET = 405
_NOT_SENT = -32098
_STREAM = "text/event-stream"
_EVENT_END = re.compile(rb"(?:\r\n|\r(?!\n)|\n){2}")


class RemoteServer(Value):
    """Where a server is.

    Attributes:
        url: its MCP endpoint: `https://…`, or `http://…` in the own network.
        private: whether it may be in the own network, or on this machine.
        headers: sent with every request.
        secrets: headers whose values are secret: `Authorization` → `Bearer …`.
    """

    url: str
    private: bool = False
    headers: dict[str, str] = Field(default={})
    secrets: dict[str, SecretStr] = Field(default={})

    @field_validator("url")
    @classmethod
    def _plain(cls, text: str) -> str:
        try:
            url = httpx2.URL(text)
        except httpx2.InvalidURL as problem:
            raise ValueError(f"not a URL: {problem}") from None
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError("an MCP server's address begins with https://")
        if url.userinfo:
            raise ValueError("no credentials in a URL: it is logged. Name a secret for a header")
        return text

    @model_validator(mode="after")
    def _encrypted(self) -> "RemoteServer":
        if httpx2.URL(self.url).scheme == "http" and not self.private:
            raise ValueError("http:// can be read on the way: use https://, or say that it is private")
        return self

    @property
    def host(self) -> str:
        """The host, with its port if the URL has one."""
        return httpx2.URL(self.url).netloc.decode()


class _Declared:
    """What the way out asks of a declaration."""

    def __init__(self, server: RemoteServer, name: str) -> None:
        self.name = f"the MCP server {name}"
        self.hosts = (server.host,)
        self.private = (server.host,) if server.private else ()


@asynccontextmanager
async def remote(
    server: RemoteServer, network: Network, name: str, bounds: Bounds, fate: Fate, budget: Budget
) -> AsyncIterator[Streams]:
    """Talk to a server by HTTP until the block ends.

    Args:
        server: where it is.
        network: how names are resolved, and which certificates are believed.
        name: of the server, for people.
        bounds: what it gets.
        fate: is told how it ended.
        budget: how much it may say.
    """
    secret = {header: value.get_secret_value() for header, value in server.secrets.items()}
    way = DeclaredHosts(_Declared(server, name), network, connections=_CONNECTIONS)
    async with httpx2.AsyncClient(
        transport=_Guarded(way, bounds, fate, budget),
        headers={"accept-encoding": "gzip, deflate", "user-agent": "pratique", **server.headers, **secret},
        # An answer takes as long as its call: whoever calls keeps the time.
        timeout=httpx2.Timeout(CONNECT, read=None),
        follow_redirects=False,
        max_redirects=0,
        trust_env=False,
    ) as client:
        streams = streamable_http_client(
            server.url, http_client=client, max_sse_event_size=bounds.message_bytes
        )
        async with streams as (read, write):
            yield read, write


class _Guarded(httpx2.AsyncBaseTransport):
    """Answers in the server's place when it does not, so that one lost request does not end them all."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, bounds: Bounds, fate: Fate, budget: Budget) -> None:
        self._inner, self._bounds, self._fate, self._budget = inner, bounds, fate, budget
        self._streams = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, within its bounds."""
        if request.method == "GET":
            self._streams += 1
            if self._streams > _MOST_STREAMS:
                return httpx2.Response(_NO_GET, request=request)
        if request.method != "POST" or not await _is_asked(request):
            return await self._short(request)
        try:
            answer = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as problem:
            self._fate.problem = f"it cannot be reached ({type(problem).__name__})"
            return _in_its_place(request, _NOT_SENT, self._fate.not_sent())
        except ToolError as problem:  # our own refusal, in our own words
            self._fate.problem = str(problem)
            return _in_its_place(request, _NOT_SENT, self._fate.not_sent())
        except httpx2.HTTPError as problem:
            self._fate.problem = f"its connection broke off ({type(problem).__name__})"
            return _in_its_place(request, CONNECTION_CLOSED, "no answer")
        if answer.status_code >= _ERROR:
            self._fate.problem = f"it answered HTTP {answer.status_code}"
        elif answer.is_redirect:
            self._fate.problem = f"it redirects (HTTP {answer.status_code}), which is not followed"
        return self._bounded(answer, request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    async def _short(self, request: httpx2.Request) -> httpx2.Response:
        """Send what is no call. If the server takes too long, it was not important."""
        try:
            async with asyncio.timeout(_SHORT):
                answer = await self._inner.handle_async_request(request)
                if request.method == "GET":
                    return self._bounded(answer, request)
                await answer.aclose()
                return httpx2.Response(
                    answer.status_code, headers=answer.headers, request=request, content=b""
                )
        except (TimeoutError, ToolError, httpx2.HTTPError):
            return httpx2.Response(_NO_GET if request.method == "GET" else 202, request=request)

    def _bounded(self, answer: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        headers = httpx2.Headers(answer.headers)
        if kind == _STREAM:
            headers["content-type"] = _STREAM  # it is UTF-8, whatever charset it claims: so it was counted
            stream: httpx2.AsyncByteStream = _Events(answer, self._bounds, self._fate, self._budget)
        else:
            stream = _Body(answer, self._bounds, self._fate)
        return httpx2.Response(answer.status_code, headers=headers, stream=stream, request=request)


class _Body(httpx2.AsyncByteStream):
    """A body, given when it is whole and was counted. Its end by force is an error that the SDK expects."""

    def __init__(self, answer: httpx2.Response, bounds: Bounds, fate: Fate) -> None:
        self._answer, self._bounds, self._fate = answer, bounds, fate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = bytearray()
        async for part in self._parts():
            came += part
            self._demand_short(came, "an answer")
        yield self._counted(bytes(came))

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._answer.aiter_raw():
                yield part
        except ToolError as problem:
            raise self._ended("it gave an answer without end") from problem
        except httpx2.HTTPError as problem:
            raise httpx2.StreamError(f"the answer broke off: {type(problem).__name__}") from problem

    def _demand_short(self, came: bytearray, what: str) -> None:
        if len(came) > self._bounds.message_bytes:
            raise self._ended(f"it gave {what} of more than {self._bounds.message_bytes:,} bytes")

    def _counted(self, text: bytes) -> bytes:
        if not holds_at_most(text, self._bounds.values):
            raise self._ended(f"it gave an answer of more than {self._bounds.values:,} values")
        return text

    def _ended(self, why: str) -> httpx2.StreamError:
        self._fate.end(why)
        return httpx2.StreamError("the answer is too large")

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Events(_Body):
    """A stream of events, each given when it is whole, and was taken from the budget, whatever its kind."""

    def __init__(self, answer: httpx2.Response, bounds: Bounds, fate: Fate, budget: Budget) -> None:
        super().__init__(answer, bounds, fate)
        self._budget = budget

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = bytearray()
        async for part in self._parts():
            begin = max(0, len(came) - 3)  # the longest end of an event that may have begun
            came += part
            while end := _EVENT_END.search(came, begin):
                event = bytes(came[: end.end()])
                del came[: end.end()]
                begin = 0
                yield self._taken(event)
            self._demand_short(came, "an event")
        if came:
            yield self._taken(bytes(came))

    def _taken(self, event: bytes) -> bytes:
        if not self._budget.takes(len(event)):
            raise self._ended(FLOOD)
        return self._counted(event)


async def _is_asked(request: httpx2.Request) -> bool:
    """Whether a request wants an answer: a notification, or an answer of ours, does not."""
    message: Any = orjson.loads(await request.aread())
    return isinstance(message, dict) and "id" in message and "method" in message


def _in_its_place(request: httpx2.Request, code: int, words: str) -> httpx2.Response:
    """Return the error that the SDK takes for the server's own, to the request that it stands for."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": words}}
    return httpx2.Response(502, json=error, request=request)
