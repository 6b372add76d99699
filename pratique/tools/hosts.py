"""The way out: what every tool's HTTP client is connected through, and where it is held back.

Rules:
- Only `http` and `https`, to declared hosts. The header `Host` and the name in TLS are the URL's. A URL
  holds no credentials: it ends up in logs.
- A name is resolved once for each connection, and the connection goes to an address of that very answer: what
  the name means later (DNS rebinding) changes nothing. One forbidden address in an answer refuses all of it.
- A body is decoded here, within a limit before and after decompression. No proxy, no redirect.

An attacker who controls a declared name's DNS can choose which public address we connect to; with `https` it
must still prove the name. Use `https`.
"""

import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

import anyio
import httpcore2
import httpx2

from pratique.errors import HostRefusedError, ToolError, UndeclaredError
from pratique.tools.addresses import Reach, reach_of

LARGEST_BODY = 32 * 1024 * 1024
MOST_ADDRESSES = 4
ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})

_DEFAULT_PORT = {"http": 80, "https": 443}

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a host name and a port, and gives its addresses as text; raises OSError if it has none."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system's resolver has for a name."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Network:
    """What the host's network gives to tools.

    Args:
        resolve: how names become addresses.
        tls: which certificates are believed; left out, those that the system believes.
    """

    def __init__(self, resolve: Resolver = resolve, tls: ssl.SSLContext | None = None) -> None:
        self.resolve = resolve
        self._tls = tls

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS context of all connections: made when first needed, because that takes a while."""
        return self._tls or httpx2.create_ssl_context(trust_env=False)


class Declaring(Protocol):
    """Who declared hosts: a capability, or whoever else reaches out as tools do."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def hosts(self) -> Sequence[str]:
        """`host` or `host:port` that may be reached."""
        ...

    @property
    def private(self) -> Sequence[str]:
        """Those of them that may be in the own network, or on this machine."""
        ...


class DeclaredHosts(httpx2.AsyncBaseTransport):
    """Looks at every request on its way out, redirects included.

    Args:
        capability: which hosts were declared, and which of them may be in the own network.
        network: resolver and certificates.
        connections: how many there may be at a time.
    """

    def __init__(self, capability: Declaring, network: Network, *, connections: int = 10) -> None:
        self._name = capability.name
        self._hosts = frozenset(capability.hosts)
        self._private = frozenset(capability.private)
        self._network = network
        self._connections = connections
        self._pools: dict[bool, httpcore2.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to a declared host.

        Raises:
            UndeclaredError: the host was not declared.
            HostRefusedError: the URL, or an address of its host, is none that a tool may use.
            httpx2.HTTPError: the host did not answer as it should.
        """
        pool = self._pool(self._permit(request))
        outgoing = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            # Others would change the name in TLS, or the target.
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        with _foreign_errors():
            answer = await pool.handle_async_request(outgoing)
        return _decoded(answer, request)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    def _permit(self, request: httpx2.Request) -> bool:
        """Raise unless the request may leave; return whether its host may be in the own network."""
        url = request.url
        if url.scheme not in _DEFAULT_PORT:
            raise HostRefusedError(f"{url.scheme}: only http and https are spoken")
        if url.userinfo:
            raise HostRefusedError("a URL with credentials in it is refused: they would be logged")
        names = _names(url)
        if not names & self._hosts:
            raise UndeclaredError(f"{self._name} did not declare the host {url.netloc.decode()!r}")
        if request.headers.get("host", "") not in names:
            raise HostRefusedError("the header Host names another host than the URL")
        return bool(names & self._private)

    def _pool(self, private: bool) -> httpcore2.AsyncConnectionPool:
        """Return the connections of one kind: a host that must be public never shares one that need not."""
        if private not in self._pools:
            self._pools[private] = httpcore2.AsyncConnectionPool(
                ssl_context=self._network.tls,
                max_connections=self._connections,
                network_backend=_Pinned(self._network.resolve, private=private),
            )
        return self._pools[private]


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Resolves, looks at the addresses, and connects to one of them: one step."""

    def __init__(self, resolve: Resolver, *, private: bool) -> None:
        self._resolve = resolve
        self._private = private
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's signature
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore2.AsyncNetworkStream:
        del local_address, socket_options
        addresses = await self._addresses(host, port, timeout)
        patience = timeout / len(addresses) if timeout is not None else None
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, patience)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, patience)

    async def _addresses(self, host: str, port: int, patience: float | None) -> Sequence[str]:
        """Return the addresses that may be tried, unless one of them is forbidden."""
        try:
            with anyio.fail_after(patience):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from None
        if not found:
            raise httpcore2.ConnectError(f"{host} has no address")
        for address in found:
            reach = reach_of(address)
            if reach is Reach.NEVER or (reach is Reach.PRIVATE and not self._private):
                raise HostRefusedError(f"{host} leads to {address}, where no tool may connect to")
        return found[:MOST_ADDRESSES]


class _Body(httpx2.AsyncByteStream):
    """A stream that ends with an error after so many bytes."""

    def __init__(self, parts: AsyncIterable[bytes], close: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._close = close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        room = LARGEST_BODY
        with _foreign_errors():
            async for part in self._parts:
                room -= len(part)
                if room < 0:
                    raise ToolError(f"the answer is larger than {LARGEST_BODY:,} bytes")
                yield part

    async def aclose(self) -> None:
        await self._close()


def _names(url: httpx2.URL) -> set[str]:
    """Return what a declaration may call the URL's host."""
    netloc = url.netloc.decode()
    return {netloc} if url.port is not None else {netloc, f"{netloc}:{_DEFAULT_PORT[url.scheme]}"}


def _decoded(answer: httpcore2.Response, request: httpx2.Request) -> httpx2.Response:
    """Return the answer with its body decoded as it is read, within limits.

    Counted before, because a compressed body may be endless and mean nothing, and after, because a small one
    may mean gigabytes.
    """
    encoded = httpx2.Response(
        answer.status,
        headers=answer.headers,
        stream=_Body(answer.aiter_stream(), answer.aclose),
        request=request,
    )
    encoding = encoded.headers.get("content-encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise HostRefusedError(f"the answer is encoded as {encoding[:40]!r}, which was not asked for")
    dropped = {b"content-encoding", b"content-length"} if encoding else set()
    return httpx2.Response(
        answer.status,
        headers=[(name, value) for name, value in answer.headers if name.lower() not in dropped],
        stream=_Body(encoded.aiter_bytes(), encoded.aclose),
    )


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """Turn the connection library's errors into those of the client library, which have the same names."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as problem:
        raise getattr(httpx2, type(problem).__name__)(str(problem)) from problem
