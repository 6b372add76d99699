"""Logging in and out over the API, and who I am."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import Field

from pratique.server.api.shapes import Body, Text, problems
from pratique.server.auth import entry
from pratique.server.auth.people import Person, SignedIn
from pratique.server.door import door

router = APIRouter(tags=["people"])


class PasswordLogin(Body):
    """Name and password."""

    name: Annotated[Text, Field(max_length=254)]
    password: Annotated[Text, Field(max_length=1024)]


class LinkLogin(Body):
    """The secret of a login link."""

    link: Annotated[Text, Field(max_length=128)]


class NewPassword(Body):
    """A new password, and the one before it, if there is one."""

    password: Annotated[Text, Field(max_length=1024)]
    current: Annotated[Text, Field(max_length=1024)] = ""


@router.post("/login", status_code=204, responses=problems(401, 403))
async def login(request: Request, body: PasswordLogin) -> None:
    """Log in with a password; the answer sets the cookie."""
    entry.remember(request, await entry.by_password(request, body.name, body.password))


@router.post("/login/link", status_code=204, responses=problems(401, 403))
async def login_by_link(request: Request, body: LinkLogin) -> None:
    """Log in with a link that works once; the answer sets the cookie."""
    entry.remember(request, await entry.by_link(request, body.link))


@router.post("/logout", status_code=204, responses=problems(401, 403))
async def logout(request: Request, person: SignedIn) -> None:
    """End the login."""
    await entry.sign_out(request, person)


@router.post("/me/password", status_code=204, responses=problems(401, 403))
async def set_password(request: Request, body: NewPassword, person: SignedIn) -> None:
    """Choose a password: all other logins of this person end, and this one is opened anew."""
    here = door(request)
    account = await to_thread.run_sync(here.people.find, person.name)
    if account is not None and account.password_seq:
        await entry.by_password(request, person.name, body.current)
    await to_thread.run_sync(here.people.set_password, person.name, body.password, person.name)
    entry.remember(request, await entry.by_password(request, person.name, body.password))


@router.get("/me", responses=problems(401))
async def me(person: SignedIn) -> Person:
    """Return who is signed in, and the CSRF token that goes with what changes something."""
    return person
