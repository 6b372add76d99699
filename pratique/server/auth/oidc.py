"""Logging in with a company's account: OpenID Connect, code flow with PKCE; the protocol is Authlib's.

Rules:
- State, nonce and the PKCE verifier travel in a signed cookie that lives ten minutes. It is SameSite=Lax: the
  provider's redirect is a request from another site, and has to bring it.
- The ID token is signed by a key of the provider, with an asymmetric algorithm; issuer, audience, nonce and
  times are checked. What the userinfo endpoint adds counts only for the same subject (OIDC Core, 5.3.2).
- An answer that says which issuer it is from must be from ours (RFC 9207).
- An e-mail address is a name only when the provider says that it was verified.
- The login's own cookie is SameSite=Strict, so the browser does not show it on the way back: a page of ours
  comes in between, and goes on by itself.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx2
import structlog
from anyio import to_thread
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from joserfc.errors import JoseError

from pratique.errors import IdentityError, LoginRefusedError, SettingsError
from pratique.server.auth import entry
from pratique.server.door import Door, door
from pratique.server.problems import Problem
from pratique.settings_sections import OidcSettings

log = structlog.get_logger("pratique")

WAY = "pratique_oidc"
MINUTES = 10
BACK = "/login/oidc/back"
PURPOSE = "oidc"

ASYMMETRIC = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
SECONDS = 10.0

router = APIRouter(prefix="/login/oidc", include_in_schema=False)


class Company:
    """The provider of a company's logins.

    Args:
        settings: which one, and what its claims mean here.
        secret: this server's secret there; empty for a public client.

    Raises:
        SettingsError: the provider is not reached by https.
    """

    def __init__(self, settings: OidcSettings, secret: str) -> None:
        parts = urlsplit(settings.issuer)
        if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise SettingsError(f"server.oidc.issuer: {settings.issuer}: must be https")
        self.settings = settings
        self._app: Any = OAuth().register(
            "company",
            client_id=settings.client_id,
            client_secret=secret or None,
            server_metadata_url=settings.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(("openid", *settings.scopes)),
                "code_challenge_method": "S256",
                "timeout": SECONDS,
                **({} if secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def away(self, request: Request, back: str) -> Response:
        """Return the redirect to the provider, and leave in the request's session what must come back."""
        await self._metadata()
        found = await self._app.authorize_redirect(request, back)
        if not isinstance(found, Response):
            raise TypeError("Authlib's redirect")
        return found

    async def claims(self, request: Request) -> Mapping[str, Any]:
        """Return what the provider says of the person who came back, checked."""
        metadata = await self._metadata()
        stated = request.query_params.get("iss")
        if stated is not None and stated != metadata["issuer"]:
            raise OAuthError("invalid_issuer", "the answer is from another issuer")
        options = {
            "iss": {"essential": True, "value": metadata["issuer"]},
            "aud": {"essential": True, "value": self.settings.client_id},
        }
        token = await self._app.authorize_access_token(request, claims_options=options)
        claims = token.get("userinfo")
        if not claims or not claims.get("sub"):
            raise OAuthError("invalid_token", "there is no ID token")
        if metadata.get("userinfo_endpoint"):
            more = await self._app.userinfo(token=token)
            if more.get("sub") != claims["sub"]:
                raise OAuthError("invalid_token", "the userinfo is another person's")
            claims = {**more, **claims}
        return dict(claims)

    async def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = await self._app.load_server_metadata()
        if metadata.get("issuer") != self.settings.issuer:
            raise OAuthError("invalid_issuer", f"the provider calls itself {metadata.get('issuer')!r}")
        supported = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        metadata["id_token_signing_alg_values_supported"] = [one for one in supported if one in ASYMMETRIC]
        return metadata


@router.get("")
async def away(request: Request, next: str = "/") -> Response:  # noqa: A002  # the name in the address
    """Send the browser to the provider."""
    here, company = door(request), _company(request)
    request.scope["session"] = way = {"next": local(next)}
    try:
        response = await company.away(request, _back(here, request))
    except (OAuthError, JoseError, httpx2.HTTPError, RuntimeError, KeyError, ValueError) as problem:
        _no(problem)
    response.set_cookie(
        WAY,
        here.cookies.seal(way, PURPOSE),
        max_age=MINUTES * 60,
        path=BACK,
        httponly=True,
        samesite="lax",
        secure=here.settings.speaks_tls,
    )
    return response


@router.get("/back")
async def back(request: Request) -> Response:
    """Take what the provider says, log the person in, and go on to where they were."""
    here, company = door(request), _company(request)
    way = here.cookies.unseal(request.cookies.get(WAY, ""), PURPOSE, MINUTES * 60)
    if not isinstance(way, dict):
        raise Problem(401, "the login took too long", "begin again at /login")
    request.scope["session"] = way
    try:
        claims = await company.claims(request)
    except (OAuthError, JoseError, httpx2.HTTPError, RuntimeError, KeyError, ValueError) as problem:
        _no(problem)
    name, groups = name_of(claims, company.settings), groups_of(claims, company.settings)
    roles = sorted({company.settings.roles[group] for group in groups if group in company.settings.roles})

    def log_in() -> Any:
        return here.logins.by_company(
            company.settings.issuer,
            str(claims["sub"]),
            name,
            groups,
            add=company.settings.add,
            roles=roles if company.settings.roles else None,
        )

    try:
        entry.remember(request, await to_thread.run_sync(log_in))
    except LoginRefusedError as problem:
        raise Problem(403, "not logged in", str(problem)) from None
    except IdentityError as problem:
        raise Problem(403, "this name cannot be an account's", str(problem)) from None
    response = HTMLResponse(PAGE.format(next=escape(str(way.get("next", "/")), quote=True)))
    response.delete_cookie(WAY, path=BACK)
    return response


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Logged in</title>
<meta http-equiv="refresh" content="0; url={next}"></head>
<body><p>You are logged in. <a href="{next}">Go on</a></p></body></html>"""


def local(path: str) -> str:
    """Return the path if it leads to a page here, else the first page: nobody is sent elsewhere."""
    return path if re.fullmatch(r"/(?![/\\])[\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7e]*", path) else "/"


def name_of(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    """Return what the person is called here.

    Raises:
        Problem: 403 the claim is not there, or is an e-mail address that nobody verified.
    """
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or not name:
        raise Problem(403, "not logged in", f"the provider gives no {settings.name_claim}")
    if settings.name_claim == "email" and claims.get("email_verified") is not True:
        raise Problem(403, "not logged in", "the provider has not verified the e-mail address")
    return name


def groups_of(claims: Mapping[str, Any], settings: OidcSettings) -> Sequence[str]:
    """Return what the person belongs to, as the provider says it."""
    found = claims.get(settings.groups_claim, [])
    found = [found] if isinstance(found, str) else found
    return [group for group in found if isinstance(group, str)] if isinstance(found, list) else []


def _company(request: Request) -> Company:
    company = door(request).company
    if not isinstance(company, Company):
        raise Problem(404, "no company login", "server.oidc is not set")
    return company


def _back(here: Door, request: Request) -> str:
    return (here.settings.public_url or f"{request.url.scheme}://{request.headers['host']}") + BACK


def _no(problem: Exception) -> NoReturn:
    log.warning("company login", problem=type(problem).__name__, detail=str(problem)[:200])
    if isinstance(problem, httpx2.HTTPError):
        raise Problem(502, "the provider does not answer", "try again; the log says more") from None
    raise Problem(401, "not logged in", "the provider's answer was not good; the log says why") from None
