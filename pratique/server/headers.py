"""Headers that every answer has, and the one that every request must have right.

Rules:
- Nothing is cached, framed, sniffed, or told to the next site. What a page loads comes from here only.
- A request names a host that this server is called by: a name that an attacker points here is refused.
"""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pratique.server.problems import Problem
from pratique.settings_sections import ServerSettings

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ALWAYS = {
    "cache-control": "no-store",
    "content-security-policy": CSP,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
OVER_TLS = {"strict-transport-security": "max-age=31536000"}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class GuardedHeaders:
    """Adds the headers that a route did not set itself, and looks at the host.

    Args:
        app: what is behind it.
        hosts: the names that requests may be for.
        tls: whether people reach it by https.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], tls: bool) -> None:
        self._app, self._hosts = app, frozenset(hosts)
        headers = ALWAYS | (OVER_TLS if tls else {})
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                message["headers"] = headers + [own for own in self._headers if own[0] not in there]
            await send(message)

        if scope["path"] != "/healthz" and _host(scope) not in self._hosts:
            problem = Problem(421, "unknown host", "set server.public_url to the address that people type")
            await problem.response()(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)


def hosts_of(settings: ServerSettings) -> frozenset[str]:
    """Return the names by which a server with these settings may be called."""
    public = urlsplit(settings.public_url).hostname
    return LOOPBACK | {settings.host} | ({public} if public else set())


def _host(scope: Scope) -> str:
    return _named(Headers(scope=scope).get("host", ""))


@lru_cache(maxsize=64)  # whoever calls says the same name every time
def _named(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
