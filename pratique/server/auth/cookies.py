"""The cookie of a browser's login: signed, HttpOnly, SameSite=Strict, and worthless without the ledger's yes.

Rules:
- It holds a login's id and when it was last seen. The ledger says at each request whether the login is open.
- Whoever is idle for too long is out; the cookie is renewed on the way, at most once a minute.
- Over TLS it is Secure and has the `__Host-` prefix: no other host can set it (RFC 6265bis, 4.1.3.2).
- The CSRF token is bound to the login, and comes back in a header or a form field, never in the cookie.
"""

import hmac
from collections.abc import Callable

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RENEW_US = 60_000_000


class Cookies:
    """Makes and reads the cookie.

    Args:
        key: signs it; all processes of one ledger have the same.
        clock: gives the time, microseconds since the epoch.
        idle_us: how long a login lasts without a request.
        secure: whether the browser may send it over TLS only.
    """

    def __init__(self, key: bytes, clock: Callable[[], int], *, idle_us: int, secure: bool) -> None:
        self._key, self._clock, self._idle_us, self._secure = key, clock, idle_us, secure
        self._signer = URLSafeSerializer(key, salt="pratique login")
        self.name = "__Host-pratique" if secure else "pratique"

    def header(self, login: str) -> str:
        """Return the Set-Cookie header that makes the browser come back as this login."""
        return self._header(self._signed([login, self._clock()]))

    def gone(self) -> str:
        """Return the Set-Cookie header that takes the cookie away."""
        return self._header("", "; Max-Age=0")

    def login(self, cookie: str) -> tuple[str, bool] | None:
        """Return whose login a cookie says it is and whether to renew it; None if it is forged or idle."""
        try:
            login, seen_us = self._signer.loads(cookie)
        except (BadSignature, TypeError, ValueError):
            return None
        if not isinstance(login, str) or not isinstance(seen_us, int):
            return None
        idle = self._clock() - seen_us
        return None if idle >= self._idle_us else (login, idle >= RENEW_US)

    def token(self, login: str) -> str:
        """Return the CSRF token of a login."""
        return hmac.digest(self._key, b"csrf\x00" + login.encode(), "sha256").hex()

    def seal(self, what: object, purpose: str) -> str:
        """Return a small JSON value, signed for a purpose and dated, to travel with the browser."""
        return self._signed([what, self._clock()], purpose)

    def unseal(self, sealed: str, purpose: str, seconds: int) -> object:
        """Return a sealed value, or None when it is forged, for something else, or too old."""
        try:
            what, when_us = URLSafeSerializer(self._key, salt=purpose).loads(sealed)
        except (BadSignature, TypeError, ValueError):
            return None
        return what if isinstance(when_us, int) and self._clock() - when_us < seconds * 1_000_000 else None

    def _signed(self, value: object, purpose: str = "pratique login") -> str:
        return URLSafeSerializer(self._key, salt=purpose).dumps(value)

    def _header(self, value: str, more: str = "") -> str:
        secure = "; Secure" if self._secure else ""
        return f"{self.name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}"


class SetCookie:
    """Adds the cookie that a route or dependency left in `request.state.set_cookie` to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = scope.get("state", {}).get("set_cookie")
                if header:
                    MutableHeaders(scope=message).append("set-cookie", header)
            await send(message)

        await self._app(scope, receive, sending)
