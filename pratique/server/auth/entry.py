"""Logging in and out: what the login page and the API have in common.

login = await by_password(request, name, password)   # raises Problem 401 or 429
remember(request, login)                             # the response sets the cookie
"""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi import Request

from pratique.errors import LoginRefusedError, LoginThrottledError
from pratique.identity.logins import Login
from pratique.identity.people import folded
from pratique.server.auth.people import Person, demand_same_origin
from pratique.server.door import door
from pratique.server.problems import Problem

AT_ONCE = 2
"""Passwords that are looked at side by side: each takes 64 MiB and a core."""

T = TypeVar("T")


async def by_password(request: Request, name: str, password: str) -> Login:
    """Log in with a password.

    Raises:
        Problem: 401 they do not fit; 403 another site sent this; 429 too many attempts failed.
    """
    here = door(request)
    return await _attempt(request, folded(name), lambda: here.logins.by_password(name, password))


async def by_link(request: Request, text: str) -> Login:
    """Log in with a link that works once; the text is what follows `/login/link/`.

    Raises:
        Problem: as `by_password`.
    """
    here = door(request)
    return await _attempt(request, "", lambda: here.logins.by_link(text))


def remember(request: Request, login: Login) -> None:
    """Make the response to this request set the cookie of a login."""
    request.state.set_cookie = door(request).cookies.header(login.id)


async def sign_out(request: Request, person: Person) -> None:
    """End the login and take the cookie away."""
    here = door(request)
    await anyio.to_thread.run_sync(here.logins.end, person.login)
    request.state.set_cookie = here.cookies.gone()


async def _attempt(request: Request, name: str, way: Callable[[], T]) -> T:
    demand_same_origin(request)
    here, address = door(request), request.client.host if request.client else ""
    try:
        here.throttle.demand(name, address)
        here.throttle.failed(name, address)
        found = await anyio.to_thread.run_sync(way, limiter=_limiter(request))
    except LoginThrottledError as problem:
        raise Problem(429, "too many attempts", str(problem), retry_after=problem.seconds) from None
    except LoginRefusedError as problem:
        raise Problem(401, "not logged in", str(problem)) from None
    here.throttle.passed(name, address)
    return found


def _limiter(request: Request) -> anyio.CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "login_limiter"):
        state.login_limiter = anyio.CapacityLimiter(AT_ONCE)
    limiter = state.login_limiter
    if not isinstance(limiter, anyio.CapacityLimiter):
        raise TypeError("login_limiter")
    return limiter
