"""Agents come in by their key: bound to one agent, acting for whom it may, over at once when revoked."""

import asyncio

import httpx2
import pytest

from pratique.errors import IdentityError
from pratique.identity import secret
from pratique.identity.keys import Keys
from pratique.model import Status
from tests.house import PEOPLE, Clock, Desk, House, answer, records, until
from tests.server.front import Front

USER = {"user": "kim@acme.example"}
PAY = {"tool": "desk.pay", "args": {"to": "mo", "amount": 5}}


async def opened(agent: httpx2.AsyncClient) -> str:
    answer = await agent.post("/api/v1/sessions", json=USER)
    assert answer.status_code == 201, answer.text
    return f"/api/v1/sessions/{answer.json()['session']}"


async def test_the_agent_is_the_key_s_and_no_payload_names_it(front: Front) -> None:
    agent = front.agent()
    assert (await agent.post("/api/v1/sessions", json=USER)).json()["agent"] == "support"
    answer = await agent.post("/api/v1/sessions", json={**USER, "agent": "root"})
    assert answer.status_code == 422
    answer = await agent.post("/api/v1/sessions", json={**USER, "api_key": "k"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("acts_for", "user", "status"),
    [
        ("*", "kim@acme.example", 201),
        ("*@acme.example", "Kim@ACME.example", 201),
        ("*@acme.example", "kim@evil.example", 403),
        ("*@acme.example", "kim@acme.example@evil.example", 403),
        ("*@acme.example", "@acme.example", 403),
        ("*@ss.example", "bob@\u00df.example", 403),
        ("*@kiosk.example", "bob@\u212aiosk.example", 403),
        ("kim@ss.example", "kim@\u00df.example", 403),
        ("kim@acme.example", "kim@acme.example", 201),
        ("kim@acme.example", "bo@acme.example", 403),
    ],
)
async def test_a_key_acts_for_whom_it_may(front: Front, acts_for: str, user: str, status: int) -> None:
    agent = front.agent(front.key(acts_for=[acts_for]))
    assert (await agent.post("/api/v1/sessions", json={"user": user})).status_code == status


@pytest.mark.parametrize(
    ("acts_for", "user", "spelt"),
    [
        (["kim@acme.example"], "KIM@Acme.example", "kim@acme.example"),
        (["Kim@acme.example", "kim@acme.example"], "kim@acme.example", "kim@acme.example"),
        (["*@acme.example"], "KIM@Acme.example", "KIM@Acme.example"),
    ],
)
async def test_a_person_is_spelt_as_the_key_spells_them(
    front: Front, acts_for: list[str], user: str, spelt: str
) -> None:
    """Their values lie under the name: an erasure of the one spelling would leave those of another."""
    agent = front.agent(front.key(acts_for=acts_for))
    answer = await agent.post("/api/v1/sessions", json={"user": user})
    assert (answer.status_code, answer.json()["user"]) == (201, spelt)


def test_a_key_is_shown_once_and_kept_as_a_hash(house: House) -> None:
    with house.ledger() as ledger:
        issued = Keys(ledger).issue("support", ["*"], "ana@acme.example")
        kept = secret.read(issued.text)
        assert kept is not None
        assert issued.text.startswith("pratique_")
        everything = str(records(ledger)) + ledger.path.read_bytes().decode("latin-1")
        assert issued.text.split("_")[2][:43] not in everything
        assert kept.digest in everything


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"), lambda t: t + "x", str.upper]
)
async def test_a_mistyped_key_opens_nothing(front: Front, damage: object) -> None:
    text = front.key().text
    agent = front.client(headers={"Authorization": f"Bearer {damage(text)}"})  # type: ignore[operator]
    assert (await agent.post("/api/v1/sessions", json=USER)).status_code == 401


async def test_a_key_with_another_secret_and_a_good_checksum_opens_nothing(front: Front) -> None:
    known, other = front.key().text, secret.new().text
    body = f"pratique_{known.split('_')[1]}_{other.split('_')[2][:43]}"
    forged = body + secret._checksum(body)
    agent = front.client(headers={"Authorization": f"Bearer {forged}"})
    assert secret.read(forged) is not None
    assert (await agent.post("/api/v1/sessions", json=USER)).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Basic eDp5", "Bearer", "Bearer ", "bearer pratique_x", "Bearer \xff"]
)
async def test_without_a_key_nothing_is_answered(front: Front, header: str) -> None:
    stranger = front.client(headers={"Authorization": header.encode("latin-1")})
    answer = await stranger.post("/api/v1/sessions", json=USER)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_expires(front: Front, clock: Clock) -> None:
    agent = front.agent(front.key(days=1))
    session = await opened(agent)
    clock.forward(24 * 3600)
    assert (await agent.get(session)).status_code == 401


async def test_a_key_of_an_agent_that_the_policy_dropped_opens_nothing(front: Front, house: House) -> None:
    agent = front.agent()
    assert (await agent.post("/api/v1/sessions", json=USER)).status_code == 201
    house.apply(PEOPLE.replace("agents.support", "agents.other"))
    assert (await agent.post("/api/v1/sessions", json=USER)).status_code == 401


def test_a_key_is_for_an_agent_that_the_policy_names(house: House) -> None:
    with house.ledger() as ledger, pytest.raises(IdentityError, match="it has: support"):
        Keys(ledger).issue("nobody", ["*"], "ana@acme.example")


async def test_a_revoked_key_is_over_at_once_whoever_revokes_it(front: Front, house: House) -> None:
    key = front.key()
    agent = front.agent(key)
    session = await opened(agent)
    with house.ledger() as elsewhere:
        Keys(elsewhere).revoke(key.key.id, "ana@acme.example", "lost")
        Keys(elsewhere).revoke(key.key.id, "ana@acme.example", "lost")
        assert len(records(elsewhere, "key.revoke")) == 1
    assert (await agent.get(session)).status_code == 401


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_call_that_waits_under_a_revoked_key_never_runs(
    front: Front, house: House, desk: Desk, *, elsewhere: bool
) -> None:
    key = front.key()
    agent = front.agent(key)
    session = await opened(agent)
    waiting = asyncio.create_task(agent.post(f"{session}/calls", json={**PAY, "wait": 30}))
    await until(lambda: bool(front.runtime.queue.questions()))
    (question,) = front.runtime.queue.questions()
    ledger = house.ledger() if elsewhere else front.ledger
    await asyncio.to_thread(Keys(ledger).revoke, key.key.id, "ana@acme.example")
    await asyncio.to_thread(answer, front.runtime, question.ticket)
    outcome = (await waiting).json()["outcome"]
    assert outcome["status"] == Status.DENIED
    assert "closed" in outcome["error"]
    assert desk.effects == []


async def test_a_session_is_the_key_s_that_opened_it(front: Front) -> None:
    mine, other = front.agent(), front.agent()
    session = await opened(mine)
    ticket = (await mine.post(f"{session}/calls", json=PAY)).json()["ticket"]
    requests = [
        ("GET", session, None),
        ("POST", f"{session}/resume", {}),
        ("POST", f"{session}/close", {}),
        ("POST", f"{session}/calls", PAY),
        ("GET", f"{session}/tickets/{ticket}", None),
        ("POST", f"{session}/tickets/{ticket}/redeem", {}),
        ("GET", f"{session}/events", None),
    ]
    for method, path, body in requests:
        assert (await other.request(method, path, json=body)).status_code == 404, path
    own = await opened(other)
    assert (await other.get(f"{own}/tickets/{ticket}")).status_code == 404
    assert (await other.post(f"{own}/tickets/{ticket}/redeem", json={})).status_code == 404
    assert (await mine.get(session)).status_code == 200


async def test_a_session_in_process_is_nobody_s_over_http(front: Front) -> None:
    session = await front.runtime.open_session(agent="support", user="kim@acme.example")
    assert (await front.agent().get(f"/api/v1/sessions/{session.id}")).status_code == 404
