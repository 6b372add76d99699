"""Logging in with a company's account, against a real provider."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest

from pratique.errors import SettingsError
from pratique.identity.people import People
from pratique.runtime import Runtime
from pratique.server.app import Secrets, create_app
from pratique.server.auth.oidc import Company, local, name_of
from pratique.server.problems import Problem
from pratique.settings_sections import OidcSettings, ServerSettings
from tests.house import Clock, records
from tests.server.front import BASE, Front
from tests.servers.oidc import OidcProvider, oidc_provider

LI = "li@acme.example"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with oidc_provider(f"{BASE}/login/oidc/back") as made:
        yield made


def settings(provider: OidcProvider, **more: object) -> OidcSettings:
    facts = {"client_id": "pratique", "scopes": ("email", "groups"), "roles": {"it": "admin"}, **more}
    return OidcSettings.model_validate({"issuer": provider.issuer, **facts})


@pytest.fixture
async def front(runtime: Runtime, provider: OidcProvider) -> AsyncIterator[Front]:
    front = Front(runtime, ServerSettings())
    front.app = create_app(
        runtime,
        ServerSettings(oidc=settings(provider)),
        secrets=Secrets(oidc="a secret of the tests"),
        close=False,
    )
    yield front
    await front.aclose()
    await runtime.aclose()


async def back(provider: OidcProvider, name: str, browser: httpx2.AsyncClient) -> httpx2.Response:
    """Begin here, log in there, and come back."""
    away = await browser.get("/login/oidc", params={"next": "/queue?state=proposed"})
    assert away.status_code == 302, away.text
    where = await anyio.to_thread.run_sync(provider.log_in, away.headers["location"], name)
    return await browser.get(where.removeprefix(BASE))


async def test_a_person_logs_in_with_the_company_s_account(front: Front, provider: OidcProvider) -> None:
    browser = front.client()
    answer = await back(provider, "li", browser)
    assert answer.status_code == 200, answer.text
    assert 'url=/queue?state=proposed"' in answer.text
    me = (await browser.get("/api/v1/me")).json()
    assert me["name"] == LI
    assert set(me["roles"]) == {"admin", "approver"}
    (added,) = records(front.ledger, "person.add")
    assert (added["issuer"], added["subject"]) == (provider.issuer, "li")
    assert records(front.ledger, "login.open")[0]["groups"] == ["money", "it"]
    await back(provider, "li", front.client())
    assert len(records(front.ledger, "person.add")) == 1


async def test_the_request_has_state_nonce_and_pkce(front: Front) -> None:
    away = await front.client().get("/login/oidc")
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert len(asked["state"][0]) >= 20
    assert len(asked["nonce"][0]) >= 20
    cookie = away.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_another_subject_with_the_same_name_does_not_get_the_account(
    front: Front, provider: OidcProvider
) -> None:
    People(front.ledger).add(LI, "local:test")
    answer = await back(provider, "eve", front.client())
    assert answer.status_code == 403
    assert "belongs to another login" in answer.json()["detail"]


async def test_an_address_that_nobody_verified_is_no_name(front: Front, provider: OidcProvider) -> None:
    answer = await back(provider, "mo", front.client())
    assert answer.status_code == 403
    assert "not verified" in answer.json()["detail"]


async def test_a_disabled_person_stays_out_whatever_the_company_says(
    front: Front, provider: OidcProvider
) -> None:
    await back(provider, "li", front.client())
    People(front.ledger).disable(LI, "local:test")
    assert (await back(provider, "li", front.client())).status_code == 403


@pytest.mark.parametrize(
    "damage", ["no cookie", "other state", "other code", "other issuer", "late", "twice"]
)
async def test_an_answer_that_was_tampered_with_logs_nobody_in(
    front: Front, provider: OidcProvider, clock: Clock, damage: str
) -> None:
    browser = front.client()
    away = await browser.get("/login/oidc")
    where = await anyio.to_thread.run_sync(provider.log_in, away.headers["location"], "li")
    path = where.removeprefix(BASE)
    if damage == "no cookie":
        browser = front.client()
    elif damage == "other state":
        path = path.replace("state=", "state=x")
    elif damage == "other code":
        path = path.replace("code=", "code=x")
    elif damage == "other issuer":
        path = path.replace("iss=http", "iss=https")
    elif damage == "late":
        clock.forward(600)
    elif damage == "twice":
        other = front.client(cookies=dict(browser.cookies))
        assert (await other.get(path)).status_code == 200
    answer = await browser.get(path)
    assert answer.status_code == 401, answer.text
    assert "pratique=" not in answer.headers.get("set-cookie", "")


async def test_without_a_provider_there_is_no_such_door(runtime: Runtime) -> None:
    front = Front(runtime, ServerSettings())
    assert (await front.client().get("/login/oidc")).status_code == 404
    await front.aclose()


async def test_a_provider_that_does_not_answer_is_said(runtime: Runtime, provider: OidcProvider) -> None:
    front = Front(runtime, ServerSettings())
    front.app = create_app(
        runtime, ServerSettings(oidc=settings(provider, issuer="http://127.0.0.1:1")), close=False
    )
    assert (await front.client().get("/login/oidc")).status_code == 502
    await front.aclose()


def test_a_provider_elsewhere_is_reached_by_https_only(provider: OidcProvider) -> None:
    with pytest.raises(SettingsError, match="https"):
        Company(settings(provider, issuer="http://id.acme.example"), "")


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "",
        "queue",
        "/a\nb",
        '/"><script>',
        "/\\/x",
    ],
)
def test_nobody_is_sent_elsewhere_after_the_login(path: str) -> None:
    assert local(path) == "/"


@pytest.mark.parametrize("path", ["/", "/queue?state=proposed&x=%20", "/trace/s_1#call"])
def test_a_page_here_is_gone_back_to(path: str) -> None:
    assert local(path) == path


def test_a_claim_that_is_missing_is_no_name(provider: OidcProvider) -> None:
    with pytest.raises(Problem):
        name_of({"sub": "1"}, settings(provider))
    assert name_of({"name": "li"}, settings(provider, name_claim="name")) == "li"
