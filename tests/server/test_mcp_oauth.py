"""MCP with an access token of a real authorization server: whose it opens, and whose it does not."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from pratique.adapters.mcp.shown import TICKET_TOOL
from pratique.audit.chain import Verdict
from pratique.errors import SettingsError
from pratique.ledger.verification import verify_file
from pratique.server.auth.tokens import Tokens, is_token
from pratique.settings_sections import OAuthSettings, ServerSettings
from tests.adapters.clients import MODERN, text_of, ticket_of
from tests.house import SECOND, Clock, Desk, House, answer, records
from tests.server.front import BASE, Front, front_of
from tests.servers.oidc import OidcProvider, oidc_provider

PAY = {"to": "DE02", "amount": 5}
KIM = "kim@acme.example"
BACK = f"{BASE}/back"
RESOURCE = f"{BASE}/mcp"
ELSEWHERE = "https://elsewhere.example/mcp"
CLIENTS = {"ide": {"agent": "support"}, "robot": {"agent": "support", "acts_for": ["*@acme.example"]}}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "desk_note", "arguments": {"text": "x"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with oidc_provider(BACK) as made:
        yield made


@pytest.fixture
def today(clock: Clock) -> None:
    """Let it be as late here as it is at the provider."""
    clock.now_us = int(time.time()) * SECOND


@asynccontextmanager
async def running(house: House, provider: OidcProvider, **more: Any) -> AsyncIterator[Front]:
    oauth = {"issuer": provider.issuer, "clients": CLIENTS, "scopes": ["tools"], **more}
    async with (
        front_of(house.runtime(), public_url=BASE, oauth=oauth) as front,
        front.app.router.lifespan_context(front.app),
    ):
        yield front


async def robots(provider: OidcProvider, resource: str = RESOURCE, **more: str) -> str:
    return await anyio.to_thread.run_sync(lambda: provider.token(resource, **more))


async def persons(provider: OidcProvider, name: str = "li", resource: str = RESOURCE) -> str:
    return await anyio.to_thread.run_sync(provider.token_of, name, resource, BACK)


def bearer(front: Front, token: str, user: str = "") -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token}", **ACCEPT}
    return front.client(headers={**headers, **({"Pratique-User": user} if user else {})})


@asynccontextmanager
async def come(front: Front, token: str, user: str = "") -> AsyncIterator[Client]:
    way = streamable_http_client(f"{BASE}/mcp", http_client=bearer(front, token, user))
    async with Client(way, mode=MODERN) as client:
        yield client


async def refused(front: Front, token: str, status: int, user: str = "") -> httpx2.Response:
    said = await bearer(front, token, user).post("/mcp", json=CALL)
    assert said.status_code == status, said.text
    return said


@pytest.mark.usefixtures("today")
async def test_a_person_s_token_is_that_person_with_the_client_s_agent(
    house: House, provider: OidcProvider, desk: Desk
) -> None:
    async with running(house, provider) as front:
        async with come(front, await persons(provider)) as client:
            assert '"noted":"x"' in text_of(await client.call_tool("desk_note", {"text": "x"}))
            ticket = ticket_of(await client.call_tool("desk_pay", PAY))
            answer(front.runtime, ticket)
            assert '"paid":5' in text_of(await client.call_tool(TICKET_TOOL, {"ticket": ticket}))
        (opened,) = records(front.ledger, "session.open")
        assert opened["agent"] == "support"
        assert opened["api_key"].startswith("token:")
        assert opened["subject"] == front.ledger.vault.subject_id("li")
        await refused(front, await persons(provider), 403, user="bo@acme.example")
    assert len(desk.effects) == 2
    await anyio.to_thread.run_sync(house.close)
    assert verify_file(house.folder / "ledger.db").verdict is Verdict.UNANCHORED


@pytest.mark.usefixtures("today")
async def test_a_robot_s_token_acts_for_whom_the_settings_allow(house: House, provider: OidcProvider) -> None:
    async with running(house, provider) as front:
        token = await robots(provider)
        async with come(front, token, KIM) as client:
            assert '"noted":"x"' in text_of(await client.call_tool("desk_note", {"text": "x"}))
        await refused(front, token, 403, user="eve@elsewhere.example")
        await refused(front, token, 400)
    async with running(house, provider, clients={"robot": {"agent": "support"}}) as front:
        said = await refused(front, token, 403, user=KIM)
        assert "names nobody" in said.json()["detail"]


@pytest.mark.usefixtures("today")
async def test_a_question_is_its_holder_s_also_after_a_restart(
    house: House, provider: OidcProvider, desk: Desk
) -> None:
    token, other = await robots(provider), await persons(provider)
    async with running(house, provider) as front, come(front, token, KIM) as client:
        ticket = ticket_of(await client.call_tool("desk_pay", PAY))
    async with running(house, provider) as front:
        answer(front.runtime, ticket)
        async with come(front, other) as client:
            assert (await client.call_tool(TICKET_TOOL, {"ticket": ticket})).is_error
        async with come(front, token, "bo@acme.example") as client:
            assert (await client.call_tool(TICKET_TOOL, {"ticket": ticket})).is_error
        assert desk.effects == []
        async with come(front, token, KIM) as client:
            assert '"paid":5' in text_of(await client.call_tool(TICKET_TOOL, {"ticket": ticket}))
    assert len(desk.effects) == 1


@pytest.mark.usefixtures("today")
async def test_a_token_for_another_resource_is_worth_nothing(
    house: House, provider: OidcProvider, desk: Desk
) -> None:
    async with running(house, provider) as front:
        said = await refused(front, await robots(provider, ELSEWHERE), 401, user=KIM)
    assert said.json()["detail"] == "it was issued for another resource"
    assert 'error="invalid_token"' in said.headers["www-authenticate"]
    assert desk.effects == []


async def test_a_token_that_has_expired_is_worth_nothing(
    house: House, provider: OidcProvider, clock: Clock
) -> None:
    token = await robots(provider)
    clock.now_us = (int(time.time()) + 300 + 31) * SECOND
    async with running(house, provider) as front:
        said = await refused(front, token, 401, user=KIM)
        assert said.json()["detail"] == "the token has expired"
        clock.now_us = int(time.time()) * SECOND
        await bearer(front, token, KIM).post("/mcp", json=CALL)


@pytest.mark.usefixtures("today")
async def test_a_client_that_no_setting_names_is_no_agent(house: House, provider: OidcProvider) -> None:
    async with running(house, provider, clients={}) as front:
        await refused(front, await robots(provider), 403, user=KIM)
    async with running(house, provider, clients={"robot": {"agent": "nobody", "acts_for": ["*"]}}) as front:
        said = await refused(front, await robots(provider), 403, user=KIM)
        assert "has no agent nobody" in said.json()["detail"]


@pytest.mark.usefixtures("today")
async def test_a_token_without_the_scope_is_told_which(house: House, provider: OidcProvider) -> None:
    async with running(house, provider, scopes=["tools", "more"]) as front:
        said = await refused(front, await robots(provider), 403, user=KIM)
    assert 'error="insufficient_scope"' in said.headers["www-authenticate"]
    assert 'scope="tools more"' in said.headers["www-authenticate"]


def forged(provider: OidcProvider, key: Any, alg: str, header: dict[str, Any], **claims: Any) -> str:
    now = int(time.time())
    good = {
        "iss": provider.issuer,
        "aud": RESOURCE,
        "sub": "li",
        "client_id": "ide",
        "scope": "tools",
        "iat": now,
        "exp": now + 300,
    }
    told = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode({"alg": alg, **header}, told, key, algorithms=[alg])


def confused(token: str, public: RSAKey, kid: str) -> str:
    """Return the token signed anew with the public key, as if that were a shared secret: everybody has it."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": kid}).encode()).rstrip(b"=").decode()
    signed = f"{head}.{token.split('.')[1]}"
    mac = hmac.digest(public.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.usefixtures("today")
async def test_a_token_that_the_issuer_did_not_sign_is_worth_nothing(
    house: House, provider: OidcProvider
) -> None:
    async with httpx2.AsyncClient() as client:
        (public, *_) = (await client.get(f"{provider.issuer}/jwks")).json()["keys"]
    theirs, kid = RSAKey.import_key(public), {"kid": public["kid"]}
    ours = RSAKey.generate_key(2048)
    good = await robots(provider)
    head, body, signature = good.split(".")
    async with running(house, provider) as front:
        for token in (
            forged(provider, ours, "RS256", kid),
            forged(provider, ours, "RS256", {"kid": "another"}),
            forged(provider, ours, "RS256", {}),
            confused(good, theirs, public["kid"]),
            f"{head}.{body}.",
            f"{head}.{body[:-4]}AAAA.{signature}",
            "e30.e30.e30",
            "..",
            "%.$.!",
        ):
            said = await refused(front, token, 401, user=KIM)
            assert "resource_metadata=" in said.headers["www-authenticate"]


OUR_KEY = RSAKey.generate_key(2048, {"kid": "ours"})


class Signer:
    """The issuer, with one more key, which we hold."""

    def __init__(self, front: Front) -> None:
        self.key = OUR_KEY
        self._tokens: Tokens = front.app.state.door.tokens

    async def install(self) -> None:
        await self._tokens._known_keys()
        self._tokens._keys.keys.append(self.key)


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "it is another issuer's"),
        ({"iss": None}, "it is another issuer's"),
        ({"aud": [ELSEWHERE]}, "it was issued for another resource"),
        ({"aud": RESOURCE + "/"}, "it was issued for another resource"),
        ({"aud": None}, "it was issued for another resource"),
        ({"sub": None}, "it names no subject"),
        ({"sub": ""}, "it names no subject"),
        ({"sub": 5}, "it names no subject"),
        ({"sub": "*"}, "the token's claim sub names nobody"),
        ({"sub": "*@acme.example"}, "the token's claim sub names nobody"),
        ({"sub": "li mo"}, "the token's claim sub names nobody"),
        ({"exp": None}, "it does not say when it expires"),
        ({"exp": 10**9}, "the token has expired"),
        ({"nbf": 10**10}, "it is not valid yet"),
        ({"iat": 10**10}, "it was issued in the future"),
        ({"client_id": None}, "the token does not say which client it was issued to"),
    ],
)
async def test_every_claim_counts(
    house: House, provider: OidcProvider, claims: dict[str, Any], why: str
) -> None:
    async with running(house, provider) as front:
        signer = Signer(front)
        await signer.install()
        good = forged(provider, signer.key, "RS256", {"kid": "ours"}, aud=[ELSEWHERE, RESOURCE])
        assert (await bearer(front, good).post("/mcp", json=CALL)).status_code == 200
        bad = forged(provider, signer.key, "RS256", {"kid": "ours"}, **claims)
        assert (await refused(front, bad, 401)).json()["detail"] == why


@pytest.mark.usefixtures("today")
async def test_a_token_of_another_kind_is_no_access_token(house: House, provider: OidcProvider) -> None:
    async with running(house, provider) as front:
        signer = Signer(front)
        await signer.install()
        for kind in ("dpop+jwt", "logout+jwt", "secevent+jwt"):
            bad = forged(provider, signer.key, "RS256", {"kid": "ours", "typ": kind})
            assert (await refused(front, bad, 401)).json()["detail"] == "this is no access token"


@pytest.mark.usefixtures("today")
async def test_an_e_mail_address_is_a_name_only_when_it_was_verified(
    house: House, provider: OidcProvider
) -> None:
    async with running(house, provider, user_claim="email") as front:
        signer = Signer(front)
        await signer.install()
        head = {"kid": "ours"}
        for claims in ({}, {"email": KIM}, {"email": KIM, "email_verified": "yes"}):
            await refused(front, forged(provider, signer.key, "RS256", head, **claims), 401)
        good = forged(provider, signer.key, "RS256", head, email=KIM, email_verified=True)
        await bearer(front, good).post("/mcp", json=CALL)
        (opened,) = records(front.ledger, "session.open")
        assert opened["subject"] == front.ledger.vault.subject_id(KIM)


async def test_the_resource_says_where_tokens_come_from(house: House, provider: OidcProvider) -> None:
    async with running(house, provider) as front:
        stranger = front.client(headers=ACCEPT)
        said = await stranger.post("/mcp", json=CALL)
        assert said.status_code == 401
        place = f"{BASE}/.well-known/oauth-protected-resource/mcp"
        assert said.headers["www-authenticate"] == f'Bearer resource_metadata="{place}", scope="tools"'
        about = (await stranger.get(place)).json()
        assert about == {
            "resource": RESOURCE,
            "authorization_servers": [provider.issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "Pratique",
            "scopes_supported": ["tools"],
        }
        assert (await stranger.get("/.well-known/oauth-protected-resource")).json() == about
        assert (await stranger.get("/.well-known/oauth-protected-resource/other")).status_code == 404


async def test_an_api_key_opens_the_same_door_and_a_token_no_other(
    house: House, provider: OidcProvider, clock: Clock
) -> None:
    clock.now_us = int(time.time()) * SECOND
    async with running(house, provider) as front:
        agent = front.agent(front.key(acts_for=[KIM]))
        assert (await agent.post("/mcp", json=CALL, headers=ACCEPT)).status_code == 200
        token = await robots(provider)
        assert (await bearer(front, token).get("/api/v1/tools")).status_code == 401
        assert (await bearer(front, "pratique_no", KIM).post("/mcp", json=CALL)).status_code == 401


async def test_without_an_issuer_a_token_opens_nothing(house: House, provider: OidcProvider) -> None:
    async with front_of(house.runtime(), public_url=BASE) as front:
        said = await bearer(front, await robots(provider), KIM).post("/mcp", json=CALL)
        assert said.status_code == 401
        assert said.headers["www-authenticate"] == "Bearer"
        assert (await front.client().get("/.well-known/oauth-protected-resource/mcp")).status_code == 404


@pytest.mark.usefixtures("today")
async def test_an_issuer_that_does_not_answer_lets_nobody_in(house: House, provider: OidcProvider) -> None:
    token = await robots(provider)
    async with running(house, provider, issuer="http://127.0.0.1:1") as front:
        assert (await refused(front, token, 503, user=KIM)).headers["retry-after"] == "5"
    async with running(house, provider, issuer=f"{provider.issuer}/") as front:
        await refused(front, token, 503, user=KIM)  # it calls itself otherwise


@pytest.mark.usefixtures("today")
async def test_tokens_of_unknown_keys_do_not_make_us_ask_the_issuer_each_time(
    house: House, provider: OidcProvider
) -> None:
    async with running(house, provider) as front:
        tokens: Tokens = front.app.state.door.tokens
        fetched = 0
        fetch = tokens._fetch

        async def counted() -> Any:
            nonlocal fetched
            fetched += 1
            return await fetch()

        tokens._fetch = counted  # type: ignore[method-assign]  # to count
        key = RSAKey.generate_key(2048)
        for number in range(20):
            await refused(front, forged(provider, key, "RS256", {"kid": f"k{number}"}), 401)
        assert fetched == 1


@pytest.mark.parametrize(
    ("settings", "public_url"),
    [
        ({"issuer": "http://issuer.example"}, BASE),
        ({"issuer": "https://issuer.example"}, ""),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], public_url: str) -> None:
    with pytest.raises(SettingsError):
        Tokens(OAuthSettings.model_validate(settings), public_url, "/mcp")


def test_no_key_of_ours_looks_like_a_token(house: House) -> None:
    assert not is_token(Front(house.runtime(), ServerSettings()).key().text)
