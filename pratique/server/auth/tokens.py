"""Access tokens of an authorization server, at the MCP endpoint: who signed them, for whom, and for where.

Rules:
- A token counts if the configured issuer signed it with an asymmetric key, for this very resource, and it has
  not expired. One that was meant for somebody else is worth nothing here, however good it is.
- Its client is an agent of ours only if the settings say which. The user is the token's own subject; a client
  with a token of its own (its subject is the client) names the user, within what the settings allow it.
- Keys are fetched from the issuer, kept for an hour, and looked at again for a key that is new, at most once
  a minute, whoever sends what. If they cannot be had, nobody comes in by a token.
- A token cannot be revoked here: it is the issuer's to make it short-lived.

Source: RFC 9728 (protected resource metadata), RFC 9068 and 7519 (tokens), RFC 8707 (the audience is the
resource), RFC 8414 (where the issuer's keys are), RFC 6750 (refusals); MCP specification, authorization.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from pratique.appearance import LEFT_TO_RIGHT, visible
from pratique.audit.identity import HOLDER
from pratique.errors import SettingsError
from pratique.identity.keys import Key
from pratique.model import clip, printable
from pratique.server.auth.oidc import ASYMMETRIC
from pratique.server.problems import Problem
from pratique.settings_sections import OAuthSettings

log = structlog.get_logger("pratique")

METADATA = "/.well-known/oauth-protected-resource"
SECONDS = 10.0
LARGEST_ANSWER = 1 << 20
KEEP_SECONDS = 3600.0
AGAIN_SECONDS = 60.0
FAILED_SECONDS = 5.0
LEEWAY_SECONDS = 30
TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})

_USER = re.compile(r"[^\s*]{1,254}")
_LAST_SECOND = 253_402_300_800  # the year 10000: no clock here goes that far
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Tokens:
    """What the tokens of one issuer open here.

    Args:
        settings: the issuer, and which client is which agent.
        public_url: the address that people type.
        path: of the endpoint that the tokens are for.
        clock: seconds, monotonic.

    Raises:
        SettingsError: the issuer is not reached by https, or the resource has no address.
    """

    def __init__(
        self,
        settings: OAuthSettings,
        public_url: str,
        path: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not public_url and not settings.resource:
            raise SettingsError("server.oauth: set server.public_url: tokens are issued for that address")
        _demand_https("server.oauth.issuer", settings.issuer)
        self._settings, self._clock = settings, clock
        self.resource = settings.resource or f"{public_url}{path}"
        split = urlsplit(self.resource)
        self.metadata_path = f"{METADATA}{split.path}"
        self._metadata_url = f"{split.scheme}://{split.netloc}{self.metadata_path}"
        self._keys = KeySet([])
        self._fetched = self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    @property
    def metadata(self) -> dict[str, Any]:
        """What this resource says of itself (RFC 9728, section 2)."""
        return {
            "resource": self.resource,
            "authorization_servers": [self._settings.issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "Pratique",
            **({"scopes_supported": list(self._settings.scopes)} if self._settings.scopes else {}),
        }

    def challenge(self, error: str = "", description: str = "") -> str:
        """Return the header `WWW-Authenticate` of a refusal (RFC 9728, section 5.1; RFC 6750, section 3)."""
        parts = {"error": error, "error_description": description, "scope": " ".join(self._settings.scopes)}
        words = [f'{name}="{_quotable(text)}"' for name, text in parts.items() if text]
        return "Bearer " + ", ".join([f'resource_metadata="{self._metadata_url}"', *words])

    async def key(self, text: str, now_us: int) -> Key:
        """Return what a token amounts to: a key that its client holds, as long as the token lives.

        Raises:
            Problem: 401 it is no good token for this place; 403 its client or its rights are not enough; 503
                the issuer's keys cannot be had.
        """
        claims = await self._claims(text, now_us // 1_000_000)
        client = claims.get("client_id") or claims.get("azp")
        if not isinstance(client, str) or not client:
            raise self._no("the token does not say which client it was issued to")
        known = self._settings.clients.get(client)
        if known is None:
            raise self._forbidden("this client is no agent here: name it in server.oauth.clients")
        ends, granted = claims["exp"], claims.get("scope", "")
        if isinstance(ends, bool) or not isinstance(ends, int | float) or not 0 < ends < _LAST_SECOND:
            raise self._no("it does not say when it expires")
        words = granted.split() if isinstance(granted, str) else granted
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise self._no("its scope is no text")
        if not set(self._settings.scopes) <= set(words):
            raise self._forbidden("the token lacks a scope", "insufficient_scope")
        own = claims["sub"] == client
        if own and not known.acts_for:
            raise self._forbidden("the token is the client's own, and names nobody for whom it acts")
        who = f"{self._settings.issuer}\n{client}\n{claims['sub']}"
        return Key(
            id=f"{HOLDER}{hashlib.sha256(who.encode()).hexdigest()[:32]}",
            agent=known.agent,
            acts_for=known.acts_for if own else (self._user(claims),),
            label=clip(client),
            issued_by=self._settings.issuer,
            issued_us=0,
            ends_us=int(ends * 1_000_000),
            revoked_us=0,
        )

    def _user(self, claims: dict[str, Any]) -> str:
        name = self._settings.user_claim
        user = claims.get(name)
        if not isinstance(user, str) or not _USER.fullmatch(user) or not _is_seen(user):
            raise self._no(f"the token's claim {name} names nobody")
        if name == "email" and claims.get("email_verified") is not True:
            raise self._no("the token's e-mail address was not verified")
        return user

    async def _claims(self, text: str, now: int) -> dict[str, Any]:
        """Return the claims of a token that is good here."""
        keys = await self._known_keys()
        try:
            try:
                token = jwt.decode(text, keys, algorithms=ASYMMETRIC)
            except InvalidKeyIdError:
                token = jwt.decode(text, await self._known_keys(again=True), algorithms=ASYMMETRIC)
            if str(token.header.get("typ", "jwt")).lower() not in TYPES:
                raise self._no("this is no access token")
            jwt.JWTClaimsRegistry(
                now=now,
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self.resource},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(token.claims)
        except ExpiredTokenError:
            raise self._no("the token has expired") from None
        except (JoseError, ValueError, TypeError) as problem:
            raise self._no(_told(problem)) from None
        return token.claims

    async def _known_keys(self, *, again: bool = False) -> KeySet:
        """Return the issuer's keys, fetched anew when they are old, or when one is missing."""
        asked = self._clock()
        async with self._fetching:
            now = self._clock()
            fresh = now - self._fetched < KEEP_SECONDS
            if fresh and (not again or now - self._tried < AGAIN_SECONDS or self._tried >= asked):
                return self._keys
            if (
                not fresh and now - self._tried < FAILED_SECONDS
            ):  # it failed a moment ago: not once for each request
                raise _unreachable()
            self._tried = now
            try:
                async with asyncio.timeout(SECONDS):
                    self._keys = await self._fetch()
            except (httpx2.HTTPError, TimeoutError, JoseError, ValueError, TypeError, KeyError) as problem:
                why = f"{type(problem).__name__}: {problem}"
                log.warning("the issuer's keys cannot be fetched", issuer=self._settings.issuer, why=why)
                if fresh:
                    return self._keys
                raise _unreachable() from None
            self._fetched = self._clock()
            return self._keys

    async def _fetch(self) -> KeySet:
        issuer = self._settings.issuer.rstrip("/")
        split = urlsplit(issuer)
        root = f"{split.scheme}://{split.netloc}/.well-known"
        async with httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            metadata = None
            for url in (
                f"{root}/oauth-authorization-server{split.path}",
                f"{issuer}/.well-known/openid-configuration",
            ):
                metadata = metadata or await _json(client, url)
            if metadata is None or metadata.get("issuer") != self._settings.issuer:
                raise ValueError("it has no metadata, or calls itself otherwise")
            place = str(metadata["jwks_uri"])
            if not _is_safe(place):
                raise ValueError("its keys are not fetched over plain HTTP")
            keys: Any = await _json(client, place)
            if keys is None:
                raise ValueError("its keys are not where it says")
            signing = [key for key in keys["keys"] if key.get("use", "sig") == "sig"]
            return KeySet.import_key_set({"keys": signing})

    def _no(self, why: str) -> Problem:
        problem = Problem(401, "no token that opens this door", why)
        problem.headers["WWW-Authenticate"] = self.challenge("invalid_token", why)
        return problem

    def _forbidden(self, why: str, error: str = "") -> Problem:
        problem = Problem(403, "the token does not open this door", why)
        if error:
            problem.headers["WWW-Authenticate"] = self.challenge(error, why)
        return problem


def _is_seen(user: str) -> bool:
    """Whether every character of a name can be seen: two names that look the same would be two people."""
    return printable(user) == user and visible(user).replace(LEFT_TO_RIGHT, "") == user


def is_token(text: str) -> bool:
    """Whether a credential looks like a signed JWT (RFC 7515, section 3.1), which no key of ours does."""
    return text.count(".") == 2  # noqa: PLR2004  # header, claims, signature


async def _json(client: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """Return the object at an address; None if there is none."""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != 200:  # noqa: PLR2004
            return None
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise ValueError("the answer is too large")
    found = httpx2.Response(200, content=bytes(body)).json()
    if not isinstance(found, dict):
        raise TypeError("the answer is no object")
    return found


def _demand_https(key: str, url: str) -> None:
    if not _is_safe(url):
        raise SettingsError(f"{key}: {url}: must be https")


def _is_safe(url: str) -> bool:
    split = urlsplit(url)
    return split.scheme == "https" or (split.scheme == "http" and split.hostname in _LOOPBACK)


_CLAIMS = {
    "iss": "it is another issuer's",
    "aud": "it was issued for another resource",
    "sub": "it names no subject",
    "exp": "it does not say when it expires",
    "nbf": "it is not valid yet",
    "iat": "it was issued in the future",
}
_ERRORS = {
    "bad_signature": "the issuer did not sign it",
    "invalid_key_id": "no key of the issuer's signed it",
    "unsupported_algorithm": "it is not signed with an asymmetric key",
}


def _told(problem: Exception) -> str:
    """Say what is wrong with a token without a word that its sender wrote."""
    claims = str(getattr(problem, "claim", "")).split(",")
    wrong = [words for claim, words in _CLAIMS.items() if claim in claims]
    return "; ".join(wrong) or _ERRORS.get(getattr(problem, "error", ""), "it cannot be read")


def _unreachable() -> Problem:
    hint = "try again later, or come with an API key"
    return Problem(503, "the issuer's keys cannot be had", hint, retry_after=5)


def _quotable(text: str) -> str:
    return re.sub(r"[^\x20\x21\x23-\x5b\x5d-\x7e]", " ", text)
