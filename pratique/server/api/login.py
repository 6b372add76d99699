"""Logging in and out over the API, and who I am."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pratique.server.auth import entry
from pratique.server.auth.people import Person, SignedIn

router = APIRouter(tags=["people"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PasswordLogin(_Body):
    """Name and password."""

    name: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1024)]


class LinkLogin(_Body):
    """The secret of a login link."""

    link: Annotated[str, Field(max_length=128)]


@router.post("/login", status_code=204)
async def login(request: Request, body: PasswordLogin) -> None:
    """Log in with a password; the answer sets the cookie."""
    entry.remember(request, await entry.by_password(request, body.name, body.password))


@router.post("/login/link", status_code=204)
async def login_by_link(request: Request, body: LinkLogin) -> None:
    """Log in with a link that works once; the answer sets the cookie."""
    entry.remember(request, await entry.by_link(request, body.link))


@router.post("/logout", status_code=204)
async def logout(request: Request, person: SignedIn) -> None:
    """End the login."""
    await entry.sign_out(request, person)


@router.get("/me")
async def me(person: SignedIn) -> Person:
    """Return who is signed in, and the CSRF token that goes with what changes something."""
    return person
