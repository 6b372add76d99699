"""Coming in and going out: the login page, login links, logging out, one's own account."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from pratique.server.auth import entry
from pratique.server.auth.people import SignedIn, Visitor
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.server.web.pages import own_address, page
from pratique.server.web.words import sentence

router = APIRouter()

Name = Annotated[str, Form(max_length=254)]
Password = Annotated[str, Form(max_length=1024)]
Secret = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9_.~-]+$")]
Next = Annotated[str, Form(max_length=2048)]


@router.get("/")
async def home() -> Response:
    """Go where the work is."""
    return RedirectResponse("/queue", 303)


@router.get("/login")
async def login_page(request: Request, person: Visitor, next: str = "/queue") -> Response:  # noqa: A002  # its name in the address
    """Return the form to log in with."""
    if person is not None:
        return RedirectResponse(own_address(next), 303)
    return await _form(request, next)


@router.post("/login")
async def log_in(
    request: Request,
    name: Name = "",
    password: Password = "",
    next: Next = "/queue",  # noqa: A002  # its name in the form
) -> Response:
    """Log in with a password."""
    try:
        entry.remember(request, await entry.by_password(request, name, password))
    except Problem as problem:
        return await _form(request, next, name=name, problem=problem)
    return RedirectResponse(own_address(next), 303)


@router.get("/login/link/{secret}")
async def link_page(request: Request, secret: Secret) -> Response:
    """Return a button to log in with a link: a mail scanner that looks at it does not use it up."""
    return await page(request, None, "link.html", title="Log in", secret=secret, problem="")


@router.post("/login/link/{secret}")
async def log_in_by_link(request: Request, secret: Secret) -> Response:
    """Log in with a link that works once."""
    try:
        entry.remember(request, await entry.by_link(request, secret))
    except Problem as problem:
        text = problem.detail or problem.title
        return await page(
            request,
            None,
            "link.html",
            title="Log in",
            status=problem.status,
            secret="",
            problem=sentence(text),
        )
    return RedirectResponse("/queue", 303)


@router.post("/logout")
async def log_out(request: Request, person: SignedIn) -> Response:
    """End this login."""
    await entry.sign_out(request, person)
    return RedirectResponse("/login", 303)


@router.get("/account")
async def account(request: Request, person: SignedIn) -> Response:
    """Return what this house knows of whoever is signed in."""
    return await page(request, person, "account.html", title="Your account", here="/account")


async def _form(request: Request, next_: str, *, name: str = "", problem: Problem | None = None) -> Response:
    text = "" if problem is None else problem.detail or problem.title
    response = await page(
        request,
        None,
        "login.html",
        title="Log in",
        status=problem.status if problem else 200,
        next=own_address(next_),
        name=name,
        problem=sentence(text),
        company=door(request).company is not None,
    )
    if problem is not None:
        response.headers.update(
            {key: value for key, value in problem.headers.items() if key == "Retry-After"}
        )
    return response
