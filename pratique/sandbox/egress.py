"""The only way out of a jail: a small proxy that reaches the hosts that were granted, and nothing else.

Rules:
- The inside has no network. Each connection arrives on a socket pair that was made for it here.
- A request names its host; the pair must be one of the granted ones, letter for letter (case aside).
- The name is resolved here, once for a run; every address must be public, unless the pair was granted as
  private; the connection goes to an address that was looked at. A name that later resolves to something
  else gains nothing.
- What is refused is answered with 403 and one line of why. Contents are not looked at.

Source: RFC 9110 section 9.3.6 (CONNECT), RFC 9112 section 3.2.2 (absolute form).
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pratique.sandbox.backend import Grants

_HEAD_LIMIT = 16384
_HEAD_PATIENCE = 10.0
_DIAL_PATIENCE = 10.0
_CHUNK = 65536


class RefusedError(Exception):
    """A connection that was not granted, or cannot be made; the text says why."""


@dataclass(frozen=True)
class Target:
    """What a request asks for: a host, a port, and what is sent there first."""

    host: str
    port: int
    first: bytes
    tunnel: bool


class Egress:
    """Serves one jail's connections until it is closed.

    Args:
        dial: our end of the socket on which the jail asks for a connection.
        grants: what may be reached.
    """

    def __init__(self, dial: socket.socket, grants: Grants) -> None:
        self._dial = dial
        self._grants = grants
        self._pinned: dict[tuple[str, int], list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving = self._start(self._serve())  # held, so that it is not collected

    def close(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self) -> None:
        """Answer each request for a connection with one end of a fresh pair."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._dial, 1):
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                with theirs:
                    socket.send_fds(self._dial, [b"C"], [theirs.fileno()])
                try:
                    reader, writer = await asyncio.open_connection(sock=ours, limit=_HEAD_LIMIT)
                except BaseException:
                    ours.close()
                    raise
                task = self._start(self._connection(reader, writer))
                # Not in the task: one that is cancelled before its first step would close nothing.
                task.add_done_callback(partial(_close, writer))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                async with asyncio.timeout(_HEAD_PATIENCE):
                    target = parse(await reader.readuntil(b"\r\n\r\n"))
                await self._carry(target, reader, writer)
            except RefusedError as refused:
                await _answer(writer, "403 Forbidden", str(refused))
            except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await _answer(writer, "400 Bad Request", "no request that this proxy understands")
        except OSError:
            pass  # one of the two is gone; the other hears it when this ends

    async def _carry(
        self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connect to what was asked for, if it may be, and copy both ways."""
        addresses = await self._admit(target.host, target.port)
        far_reader, far_writer = await _connect(addresses, target)
        try:
            if target.tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            far_writer.write(target.first)
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            far_writer.close()

    async def _admit(self, host: str, port: int) -> list[str]:
        """Return the addresses that a granted pair may be reached at.

        Raises:
            RefusedError: it was not granted, or an address of it is private.
        """
        pair = f"{host}:{port}".lower()
        granted = {name.lower() for name in self._grants.hosts}
        if pair not in granted:
            raise RefusedError(f"{pair} was not granted; granted: {', '.join(sorted(granted))}")
        if (host, port) not in self._pinned:
            self._pinned[host, port] = await _resolve(host, port)
        addresses = self._pinned[host, port]
        private = [address for address in addresses if not is_public(address)]
        if private and pair not in {name.lower() for name in self._grants.private_hosts}:
            raise RefusedError(f"{pair} resolves to {private[0]}, which is not public")
        return addresses


def _close(writer: asyncio.StreamWriter, _task: "asyncio.Task[None]") -> None:
    writer.close()


def parse(head: bytes) -> Target:
    """Read a proxy request: CONNECT, or a method with an absolute http URL.

    Raises:
        RefusedError: it is neither.
    """
    line, _, rest = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004  # method, target, version
        raise RefusedError("not an HTTP/1 request")
    method, target, version = words
    try:
        if method == "CONNECT":
            split = urlsplit(f"//{target}")
            host, port = split.hostname, split.port
            plain = split.path == split.query == ""
            first, tunnel = b"", True
        else:
            split = urlsplit(target)
            host, port = split.hostname, split.port or 80
            plain = split.scheme == "http"
            path = (split.path or "/") + (f"?{split.query}" if split.query else "")
            first, tunnel = f"{method} {path} {version}\r\n".encode("latin-1") + rest, False
    except ValueError as error:
        raise RefusedError(f"not an address: {error}") from None
    if not (plain and host and port) or split.username is not None:
        raise RefusedError("neither CONNECT host:port nor an absolute http URL")
    return Target(host, port, first, tunnel)


def is_public(address: str) -> bool:
    """Whether an address belongs to everybody's Internet, embedded IPv4 looked at too."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or _nat64(ip)
        if embedded is not None:
            return is_public(str(embedded))
    return ip.is_global and not ip.is_multicast


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in a NAT64 one (RFC 6052, the well-known prefix)."""
    if ip in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedError(f"{host} cannot be resolved: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _connect(addresses: list[str], target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for address in addresses:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_DIAL_PATIENCE):
                return await asyncio.open_connection(address, target.port)
    raise RefusedError(f"{target.host}:{target.port} does not answer")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _answer(writer: asyncio.StreamWriter, status: str, why: str) -> None:
    body = f"pratique: {why}\n".encode()
    fields = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    writer.write("\r\n".join((*fields, "", "")).encode() + body)
    with contextlib.suppress(OSError):
        await writer.drain()
