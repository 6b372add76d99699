"""A server at an address, by Streamable HTTP.

Rules:
- The way out is that of every tool (`pratique.tools.hosts`): the one declared host, an address that was
  looked at, verified TLS, no redirect, a bounded body. Plain HTTP only within the own network.
- A request that was not sent, one whose answer broke off, and one that was refused are told apart.
- What is no call (notifications, the end of a session, the stream of news) gets little time, and the stream
  of news is not opened for ever.
"""

import asyncio
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
from pratique.proxy.intake import NOT_SENT, Fate
from pratique.proxy.streams import Streams
from pratique.tools.hosts import DeclaredHosts, Network

CONNECT = 10.0
_SHORT = 5.0
_MOST_STREAMS = 20
_CONNECTIONS = 64
_ERROR = 400
_NO_GET = 405


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
    server: RemoteServer, network: Network, name: str, bounds: Bounds, fate: Fate
) -> AsyncIterator[Streams]:
    """Talk to a server by HTTP until the block ends.

    Args:
        server: where it is.
        network: how names are resolved, and which certificates are believed.
        name: of the server, for people.
        bounds: what it gets.
        fate: is told how it ended.
    """
    secret = {header: value.get_secret_value() for header, value in server.secrets.items()}
    way = DeclaredHosts(_Declared(server, name), network, connections=_CONNECTIONS)
    async with httpx2.AsyncClient(
        transport=_Guarded(way, bounds, fate),
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

    def __init__(self, inner: httpx2.AsyncBaseTransport, bounds: Bounds, fate: Fate) -> None:
        self._inner, self._bounds, self._fate = inner, bounds, fate
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
            return _in_its_place(request, NOT_SENT)
        except ToolError as problem:  # our own refusal, in our own words
            self._fate.problem = str(problem)
            return _in_its_place(request, NOT_SENT)
        except httpx2.HTTPError as problem:
            self._fate.problem = f"its connection broke off ({type(problem).__name__})"
            return _in_its_place(request, CONNECTION_CLOSED)
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
        # The SDK bounds each event of a stream, and the way out the whole of it.
        most = None if kind == "text/event-stream" else self._bounds.message_bytes
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_Body(answer, most, self._fate),
            request=request,
        )


class _Body(httpx2.AsyncByteStream):
    """A body whose end by force is an error that the SDK expects."""

    def __init__(self, answer: httpx2.Response, most: int | None, fate: Fate) -> None:
        self._answer, self._most, self._fate = answer, most, fate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        try:
            async for part in self._answer.aiter_raw():
                came += len(part)
                if self._most is not None and came > self._most:
                    self._fate.end(f"it gave an answer of more than {self._most:,} bytes")
                    raise httpx2.StreamError("the answer is too large")
                yield part
        except ToolError as problem:
            self._fate.end("it gave an answer without end")
            raise httpx2.StreamError("the answer is too large") from problem
        except httpx2.HTTPError as problem:
            raise httpx2.StreamError(f"the answer broke off: {type(problem).__name__}") from problem

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _is_asked(request: httpx2.Request) -> bool:
    """Whether a request wants an answer: a notification, or an answer of ours, does not."""
    message: Any = orjson.loads(await request.aread())
    return isinstance(message, dict) and "id" in message and "method" in message


def _in_its_place(request: httpx2.Request, code: int) -> httpx2.Response:
    """Return the error that the SDK takes for the server's own, to the request that it stands for."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": "no answer"}}
    return httpx2.Response(502, json=error, request=request)
