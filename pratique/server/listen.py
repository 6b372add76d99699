"""Listening: on which address, with which protection, and how it ends.

Rules:
- Beyond loopback it listens only with TLS, or behind a proxy that speaks it, and only if somebody can log in.
- When told to stop it takes nothing new, answers what waits for a person with `pending`, lets running calls
  finish for a while, cancels the rest, and records what became of them.
"""

import asyncio
import errno
import ipaddress
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from pratique.errors import SettingsError, told
from pratique.identity.people import People
from pratique.ledger.door import Ledger
from pratique.server.door import Door
from pratique.settings import Settings
from pratique.settings_sections import ServerSettings

BACKLOG = 1024


class Server(uvicorn.Server):
    """uvicorn, which tells the application when it is about to end.

    Args:
        config: of uvicorn.
        door: of the application.
    """

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door
        self._running: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._running = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: from now on nothing waits. A second Ctrl-C ends it without waiting for anybody.

        uvicorn's own would raise the signal again in the end; ending when told to is no failure.
        """
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        if self._running is not None:
            self._running.call_soon_threadsafe(self._door.closing.set)


def server_for(app: FastAPI, settings: Settings) -> Server:
    """Return a server for the application; run it with the socket from `listening`."""
    of = settings.server
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(of.proxies),
        forwarded_allow_ips=list(of.proxies),
        limit_concurrency=of.connections,
        timeout_graceful_shutdown=max(1, round(of.shutdown_seconds)),
        ssl_certfile=settings.path(of.certificate) if of.certificate else None,
        ssl_keyfile=settings.path(of.private_key) if of.private_key else None,
    )
    return Server(config, app.state.door)


def listening(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens where the settings say. What it accepts sends each part at once.

    asyncio sees to that only for sockets that name TCP as their protocol, which this one does not. A streamed
    answer would wait for an acknowledgement between its parts (RFC 1122, 4.2.3.2): 40 ms for a call over MCP.

    Raises:
        SettingsError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        made = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as problem:
        raise SettingsError(f"server: {settings.host} port {settings.port}: {_why(problem)}") from None
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
    return made


def _why(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return (
            "already in use, perhaps by another `pratique serve`; choose another with --port or server.port"
        )
    return told(problem)


def demand_safe(settings: Settings, ledger: Ledger) -> None:
    """Raise unless it is safe to listen there.

    Raises:
        SettingsError: it would be reachable from elsewhere without TLS, or without anybody who can log in.
    """
    of = settings.server
    if bool(of.certificate) != bool(of.private_key):
        raise SettingsError("server: certificate and private_key belong together")
    for file in (of.certificate, of.private_key):
        if file is not None and not settings.path(file).is_file():
            raise SettingsError(f"server: {file}: there is no such file")
    if is_loopback(of.host):
        return
    if not of.speaks_tls:
        raise SettingsError(
            f"server: {of.host} can be reached from elsewhere, and keys and cookies would travel in clear. "
            "Set server.certificate and server.private_key; or, where only a proxy that speaks TLS can reach "
            "it, server.unencrypted_behind_tls_proxy = true"
        )
    if of.oidc is None and not any(person.is_enabled for person in People(ledger).all()):
        raise SettingsError(
            f"server: {of.host} can be reached from elsewhere, and nobody can log in. Make the first owner: "
            "pratique people add NAME --role owner"
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(settings: ServerSettings, port: int | None = None) -> str:
    """Return the address that people type."""
    if settings.public_url:
        return settings.public_url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.certificate else "http"
    return f"{scheme}://{host}:{settings.port if port is None else port}"
