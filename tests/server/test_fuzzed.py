"""Schemathesis over the OpenAPI document, with every kind of credential.

Whatever is sent: no 5xx, every answer as the document says, and nothing for whoever shows no credential.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pratique.identity.people import People
from tests.server.process import Place, Served, served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPEN = {"/healthz", "/api/v1/login", "/api/v1/login/link"}
ENDS_THE_LOGIN = {"/api/v1/logout", "/api/v1/me/password"}
LI, MO = "li@acme.example", "mo@acme.example"

Credential = dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("fuzz") / "place", "rate = 0\nlongest_wait = 0.01\n")


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[Served]:
    with served(place) as made:
        yield made


@pytest.fixture(scope="module")
def credentials(place: Place, server: Served) -> dict[str, Credential]:
    """Return the headers of every kind of caller."""
    with place.ledger() as ledger:
        for role in ("owner", "admin", "auditor"):
            People(ledger).add(f"{role}@acme.example", "local:test", roles=[role])
    people = {"approver": LI, "nobody": MO} | {
        role: f"{role}@acme.example" for role in ("owner", "admin", "auditor")
    }
    found = {"none": {}, "agent": {"Authorization": f"Bearer {place.key()}"}}
    return found | {kind: logged_in(place, server, name) for kind, name in people.items()}


def logged_in(place: Place, server: Served, name: str) -> Credential:
    with server.client() as client:
        client.post("/login/link", json={"link": place.link(name)})
        csrf = client.get("/me").json()["csrf"]
        cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
        return {"Cookie": cookie, "X-CSRF-Token": csrf}


KINDS = ["none", "agent", "nobody", "approver", "auditor", "owner", "admin"]


def fuzz(server: Served, credential: Credential, kind: str, examples: int) -> int:
    """Send so many requests to every operation; return how many were sent."""
    document: dict[str, Any] = httpx2.get(f"{server.url}/api/v1/openapi.json").json()
    sent = 0
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        streams = operation.path.endswith("/events") and kind != "none"
        if streams or (operation.path in ENDS_THE_LOGIN and kind != "none"):
            continue

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            nonlocal sent
            sent += 1
            case.headers = {
                name: value
                for name, value in (case.headers or {}).items()
                if name.lower() not in {"authorization", "cookie", "host"}
            }
            case.cookies = {}
            response = case.call(base_url=server.url, headers=credential, timeout=20)
            case.validate_response(response, checks=CHECKS)
            if kind == "none" and case.path not in OPEN:
                assert response.status_code >= 400, case.as_curl_command()

        send()
    return sent


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_sent_the_answer_is_one_that_the_document_names(
    server: Served, credentials: dict[str, Credential], kind: str
) -> None:
    assert fuzz(server, credentials[kind], kind, 2) > 30
    assert httpx2.get(f"{server.url}/healthz").json() == {"status": "ok"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_sent_for_long(server: Served, credentials: dict[str, Credential], kind: str) -> None:
    assert fuzz(server, credentials[kind], kind, 60) > 1000
    assert httpx2.get(f"{server.url}/healthz").json() == {"status": "ok"}
