"""Promise 2 of the API: no identity is ever read from a payload; a login can be ended at once."""

import pytest

from pratique.audit import identity as drafts
from pratique.errors import IdentityError
from pratique.identity import passwords
from pratique.identity.people import People
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
from tests.house import Clock, House, rebuilt_state, records, state_of
from tests.server.front import PASSWORD, Front, front_of


@pytest.fixture
def people(front: Front) -> People:
    return People(front.ledger)


async def test_a_password_logs_in_and_the_answer_says_who_and_what_one_is(
    front: Front, people: People
) -> None:
    people.add("li@acme.example", "local:test", roles=["auditor"])
    people.set_password("li@acme.example", PASSWORD, "local:test")
    client = front.client()
    answer = await client.post("/api/v1/login", json={"name": "Li@acme.example", "password": PASSWORD})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    me = (await client.get("/api/v1/me")).json()
    assert me["name"] == "li@acme.example"
    assert set(me["roles"]) == {"auditor", "approver"}
    assert me["groups"] == ["leads"]


@pytest.mark.parametrize(
    ("name", "password"), [("li@acme.example", "wrong " + PASSWORD), ("nobody@acme.example", PASSWORD)]
)
async def test_what_does_not_fit_gets_one_answer_whoever_is_named(
    front: Front, people: People, name: str, password: str
) -> None:
    people.add("li@acme.example", "local:test")
    people.set_password("li@acme.example", PASSWORD, "local:test")
    answer = await front.client().post("/api/v1/login", json={"name": name, "password": password})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "name and password do not fit, or the account is disabled"
    assert "set-cookie" not in answer.headers


async def test_a_link_logs_in_once(front: Front, people: People) -> None:
    people.add("li@acme.example", "local:test")
    link = {"link": people.link("li@acme.example", "local:test")}
    assert (await front.client().post("/api/v1/login/link", json=link)).status_code == 204
    assert (await front.client().post("/api/v1/login/link", json=link)).status_code == 401


async def test_a_link_is_too_old_after_an_hour(front: Front, people: People, clock: Clock) -> None:
    people.add("li@acme.example", "local:test")
    link = {"link": people.link("li@acme.example", "local:test")}
    clock.forward(3600)
    assert (await front.client().post("/api/v1/login/link", json=link)).status_code == 401


async def test_without_a_login_nobody_is_anybody(front: Front) -> None:
    answer = await front.client().get("/api/v1/me")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "nobody is signed in"


async def test_a_changed_cookie_is_no_cookie(front: Front) -> None:
    person = await front.person()
    name, value = next(iter(person.cookies.items()))
    other = front.client(cookies={name: ("A" if value[0] != "A" else "B") + value[1:]})
    assert (await other.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize("end", ["disable", "password", "logout"])
async def test_a_login_that_was_ended_is_over_at_once_whoever_holds_the_cookie(
    front: Front, people: People, end: str
) -> None:
    person = await front.person()
    thief = front.client(cookies=dict(person.cookies))
    assert (await thief.get("/api/v1/me")).status_code == 200
    if end == "disable":
        people.disable("li@acme.example", "local:test", "left")
    elif end == "password":
        people.set_password("li@acme.example", PASSWORD, "local:test")
    else:
        assert (await person.post("/api/v1/logout")).status_code == 204
    assert (await thief.get("/api/v1/me")).status_code == 401


async def test_a_login_ends_when_idle_and_is_renewed_when_not(front: Front, clock: Clock) -> None:
    person = await front.person()
    for _ in range(3):
        clock.forward(59 * 60)
        assert (await person.get("/api/v1/me")).status_code == 200
    clock.forward(60 * 60)
    assert (await person.get("/api/v1/me")).status_code == 401


async def test_a_login_ends_after_its_hours_however_busy(front: Front, clock: Clock) -> None:
    person = await front.person()
    for _ in range(24):
        clock.forward(29 * 60)
        assert (await person.get("/api/v1/me")).status_code == 200
    clock.forward(29 * 60)
    assert (await person.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_what_changes_something_comes_from_our_own_pages(front: Front, headers: dict[str, str]) -> None:
    person = await front.person()
    assert (await person.post("/api/v1/logout", headers=headers)).status_code == 403
    assert (await person.get("/api/v1/me")).status_code == 200


async def test_another_login_s_token_is_no_token(front: Front) -> None:
    li, bo = await front.person(), await front.person("bo@acme.example")
    answer = await li.post("/api/v1/logout", headers={"X-CSRF-Token": bo.headers["X-CSRF-Token"]})
    assert answer.status_code == 403


async def test_attempts_are_throttled_by_name_and_address_until_time_passes(
    front: Front, people: People, clock: Clock
) -> None:
    people.add("li@acme.example", "local:test")
    client, wrong = front.client(), {"name": "li@acme.example", "password": "wrong"}
    assert [(await client.post("/api/v1/login", json=wrong)).status_code for _ in range(6)] == [401] * 5 + [
        429
    ]
    people.set_password("li@acme.example", PASSWORD, "local:test")
    right = {"name": "li@acme.example", "password": PASSWORD}
    refused = await client.post("/api/v1/login", json=right)
    assert refused.status_code == 429
    clock.forward(int(refused.headers["retry-after"]))
    assert (await client.post("/api/v1/login", json=right)).status_code == 204
    assert len(records(front.ledger, "login.refuse")) == 5


async def test_what_was_done_is_on_record_and_the_tables_follow_from_it(front: Front, people: People) -> None:
    person = await front.person("li@acme.example", "owner")
    people.set_password("li@acme.example", PASSWORD, "local:test")
    people.give("li@acme.example", ["admin"], "local:test")
    people.disable("li@acme.example", "local:test", "left")
    people.enable("li@acme.example", "local:test")
    await person.get("/api/v1/me")
    assert rebuilt_state(front.ledger) == front.ledger.read(state_of)
    everything = str(records(front.ledger))
    assert PASSWORD not in everything
    assert "argon2" not in everything


async def test_a_host_that_is_not_ours_is_refused(front: Front) -> None:
    answer = await front.client().get("/api/v1/me", headers={"Host": "evil.example"})
    assert answer.status_code == 421


async def test_the_cookie_is_for_tls_only_where_there_is_tls(house: House) -> None:
    async with front_of(house.runtime(), unencrypted_behind_tls_proxy=True) as front:
        link = {"link": _linked(front)}
        cookie = (await front.client().post("/api/v1/login/link", json=link)).headers["set-cookie"]
    assert cookie.startswith("__Host-pratique=")
    assert "Secure" in cookie


def _linked(front: Front) -> str:
    people = People(front.ledger)
    people.add("li@acme.example", "local:test")
    return people.link("li@acme.example", "local:test")


def forced_password(people: People, ledger: Ledger, name: str) -> None:
    """Commit a password as `set_password` does, past its check: an older release may have done it."""
    draft = drafts.person_password(name, "local:test")
    owner = ledger.vault.subject_id(name)
    ledger.know_now(owner)
    kept = ledger.seal(owner, queries.about(draft), {"password": passwords.hashed(PASSWORD).encode()})
    ledger.commit_now(Entry(drafts=({**draft, **kept.commitments},), values=(kept,)))
    account = people.find(name)
    assert account is not None
    assert account.password_seq


async def test_whom_a_company_logs_in_has_no_password_here(front: Front, people: People) -> None:
    people.add("li@acme.example", "local:test", issuer="https://login.acme.example", subject="li")
    with pytest.raises(IdentityError, match="logs in with the account of https://login"):
        people.set_password("li@acme.example", PASSWORD, "local:test")
    assert records(front.ledger, "person.password") == []
    forced_password(people, front.ledger, "li@acme.example")
    answer = await front.client().post(
        "/api/v1/login", json={"name": "li@acme.example", "password": PASSWORD}
    )
    assert answer.status_code == 401
    assert len(records(front.ledger, "login.refuse")) == 1
    people.add("bo@acme.example", "local:test")
    forced_password(people, front.ledger, "bo@acme.example")
    answer = await front.client().post(
        "/api/v1/login", json={"name": "bo@acme.example", "password": PASSWORD}
    )
    assert answer.status_code == 204
