"""The person behind a request: who is signed in, by the cookie and by nothing else.

Use in a route:

    async def queue(person: SignedIn) -> Response: ...
    @router.get("/audit", dependencies=[Demand(Right.AUDIT_READ)])

Rules:
- Who somebody is and what they are in the house is looked up at every request: a login that was ended, an
  account that was disabled, or a group that was left counts at once.
- What changes something needs the CSRF token of the login, and comes from our own pages.
"""

import hmac
from typing import Annotated, Any
from urllib.parse import urlsplit

import anyio.to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyCookie

from pratique.capabilities.rights import Right, may
from pratique.identity.logins import Known, Login
from pratique.model import Value
from pratique.server.door import Door, door
from pratique.server.problems import Problem

SAFE = {"GET", "HEAD", "OPTIONS"}
cookie = APIKeyCookie(
    name="pratique",
    auto_error=False,
    scheme_name="login",
    description="Set by `/api/v1/login`; over TLS it is called `__Host-pratique`.",
)


class Person(Value):
    """Who is signed in.

    Attributes:
        name: as records and the policy's groups call them.
        roles: owner, admin, auditor; `approver` for whoever is in an approver group.
        groups: the approver groups they are in.
        csrf: goes back with what changes something: form field `csrf` or header `X-CSRF-Token`.
        login: the login itself.
    """

    name: str
    roles: frozenset[str]
    groups: frozenset[str]
    csrf: str
    login: Login

    def may(self, right: Right) -> bool:
        """Return whether they have this right."""
        return may(self.roles, right)


async def visitor(request: Request, _: Annotated[object, Depends(cookie)] = None) -> Person | None:
    """Return who is signed in, or None."""
    here = door(request)
    found = here.cookies.login(request.cookies.get(here.cookies.name, ""))
    if found is None:
        here.strangers.demand(request.client.host if request.client else "")
        return None
    login, renew = found
    known = await anyio.to_thread.run_sync(here.logins.known, login, await here.policy())
    if known is None:  # a cookie of ours whose login has ended: whoever holds it is a stranger now
        here.strangers.demand(request.client.host if request.client else "")
        return None
    here.rate.demand(f"person:{known.login.person}")
    if renew:
        request.state.set_cookie = here.cookies.header(login)
    return _person(here, known)


async def signed_in(request: Request, person: Annotated[Person | None, Depends(visitor)]) -> Person:
    """Return who is signed in, after the CSRF check if the request changes something.

    Raises:
        Problem: 401 nobody is; 403 the request does not come from our own pages.
    """
    if person is None:
        raise Problem(401, "nobody is signed in", "log in at /login, then come back")
    await demand_own_page(request, person)
    return person


async def demand_own_page(request: Request, person: Person) -> None:
    """Raise unless a request that changes something carries the login's CSRF token.

    Raises:
        Problem: 403.
    """
    if request.method in SAFE:
        return
    demand_same_origin(request)
    given = request.headers.get("x-csrf-token")
    if given is None and _is_form(request):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), person.csrf.encode()):
        raise Problem(403, "the CSRF token is missing or wrong", "reload the page, then try again")


def demand_same_origin(request: Request) -> None:
    """Raise when a browser says that another site sent this; for forms that nobody is signed in for yet.

    Raises:
        Problem: 403.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    foreign = origin is not None and urlsplit(origin).netloc.casefold() != host.casefold()
    if site not in {"same-origin", "none"} or foreign:
        raise Problem(403, "the request comes from another site", "open the page here, then try again")


SignedIn = Annotated[Person, Depends(signed_in)]
Visitor = Annotated[Person | None, Depends(visitor)]


def holder(right: Right) -> Any:
    """Return a dependency that gives the signed-in person if they have the right, else answers 403."""

    async def demand(person: SignedIn) -> Person:
        if not person.may(right):
            raise Problem(403, f"{person.name} may not do this", f"it takes the right {right.value}")
        return person

    return demand


def Demand(right: Right) -> Any:  # noqa: N802  # read like FastAPI's own `Depends`
    """Return `Depends(holder(right))`."""
    return Depends(holder(right))


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"application/x-www-form-urlencoded", "multipart/form-data"}


def _person(here: Door, known: Known) -> Person:
    return Person(
        name=known.login.person,
        roles=known.roles,
        groups=known.groups,
        csrf=here.cookies.token(known.login.id),
        login=known.login,
    )
