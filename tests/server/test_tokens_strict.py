"""Malformed claims are refused, whoever signed them, and a person is spelt as their token says."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.requests import Request

from pratique.identity.keys import Key
from pratique.server.auth.tokens import Tokens
from pratique.server.mcp import _who
from pratique.server.problems import Problem
from pratique.settings_sections import OAuthSettings

ISSUER, PUBLIC = "https://login.acme.example", "https://desk.acme.example"


class Known(Tokens):
    """Tokens of an issuer whose keys are here already."""

    def __init__(self, key: RSAKey) -> None:
        clients: dict[str, Any] = {"ide": {"agent": "support"}}
        super().__init__(OAuthSettings(issuer=ISSUER, scopes=("tools",), clients=clients), PUBLIC, "/mcp")
        self._public = KeySet.import_key_set({"keys": [key.as_dict(private=False)]})

    async def _fetch(self) -> KeySet:
        return self._public


async def key_of(**claims: Any) -> Key:
    now = int(time.time())
    key = RSAKey.generate_key(2048, parameters={"kid": "k1"})
    good = {"iss": ISSUER, "aud": f"{PUBLIC}/mcp", "exp": now + 60, "sub": "li", "client_id": "ide"}
    header = {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
    return await Known(key).key(
        jwt.encode(header, {**good, "scope": "tools", **claims}, key), now * 1_000_000
    )


@pytest.mark.parametrize(
    "claims",
    [
        *({"scope": scope} for scope in (5, None, {"tools": 1}, [["tools"]])),
        *({"exp": end} for end in (1e308, 10**400, True)),
        *({"sub": name} for name in ("li\u202ebo", "li\u200b", "li\u200e")),
    ],
)
async def test_a_malformed_claim_is_no_good_token(claims: dict[str, Any]) -> None:
    with pytest.raises(Problem) as problem:
        await key_of(**claims)
    assert problem.value.status == 401


@pytest.mark.parametrize("name", ["li", "דנה", "auth0|aBc"])
async def test_a_name_in_any_script_is_one(name: str) -> None:
    assert (await key_of(sub=name, scope=["tools"])).acts_for == (name,)


@pytest.mark.parametrize(
    ("own", "named"), [("auth0|aBc", "auth0|AbC"), ("GROSS@acme.example", "gross@acme.example")]
)
async def test_a_person_is_spelt_as_their_token_says(own: str, named: str) -> None:
    request = cast("Request", SimpleNamespace(headers={"pratique-user": named}))
    assert _who(request, await key_of(sub=own)).user == own


@pytest.mark.parametrize(
    ("own", "named"),
    [("groß@acme.example", "gross@acme.example"), ("gross@acme.example", "groß@acme.example")],
)
async def test_letters_that_fold_alike_are_not_one_person(own: str, named: str) -> None:
    request = cast("Request", SimpleNamespace(headers={"pratique-user": named}))
    with pytest.raises(Problem) as problem:
        _who(request, await key_of(sub=own))
    assert problem.value.status == 403


async def test_of_two_letters_that_fold_alike_neither_spells_the_other() -> None:
    key = (await key_of()).model_copy(update={"acts_for": ("*@acme.example", "groß@acme.example")})
    request = cast("Request", SimpleNamespace(headers={"pratique-user": "gross@acme.example"}))
    assert _who(request, key).user == "gross@acme.example"
