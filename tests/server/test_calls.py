"""What a call's answer says: statuses, problem details, limits; calls that outlive the server's memory."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.house import DENY_ALL, POLICY, Desk, House, answer, until
from tests.server.front import Front, front_of
from tests.server.test_keys import PAY, USER, opened

NOTE = {"tool": "desk.note", "args": {"text": "x"}}


async def test_the_status_says_what_became_of_it(front: Front, house: House) -> None:
    agent = front.agent()
    session = await opened(agent)
    assert (await agent.post(f"{session}/calls", json=NOTE)).status_code == 200
    pending = await agent.post(f"{session}/calls", json=PAY)
    assert (pending.status_code, pending.json()["status"]) == (202, "pending")
    house.apply(POLICY + DENY_ALL)
    denied = await agent.post(f"{session}/calls", json=NOTE)
    assert denied.status_code == 403
    assert denied.headers["content-type"] == "application/problem+json"
    problem = denied.json()
    assert problem["type"] == "urn:pratique:denied"
    assert "everything is switched off" in problem["detail"]
    assert problem["outcome"]["status"] == "denied"
    assert problem["outcome"]["reasons"]


async def test_the_idempotency_key_is_the_call_id(front: Front, desk: Desk) -> None:
    agent = front.agent()
    session = await opened(agent)
    headers = {"Idempotency-Key": "n1"}
    first = (await agent.post(f"{session}/calls", json=NOTE, headers=headers)).json()
    again = (await agent.post(f"{session}/calls", json={**NOTE, "call_id": "n1"})).json()
    assert first == again
    assert first["call_id"] == "n1"
    assert len(desk.effects) == 1
    both = await agent.post(f"{session}/calls", json={**NOTE, "call_id": "n2"}, headers=headers)
    assert both.status_code == 422


async def test_a_session_goes_on_after_the_server_was_started_anew(house: House, desk: Desk) -> None:
    async with front_of(house.runtime()) as front:
        key = front.key()
        agent = front.agent(key)
        session = await opened(agent)
        ticket = (await agent.post(f"{session}/calls", json={**PAY, "call_id": "p1"})).json()["ticket"]
    async with front_of(house.runtime()) as front:
        agent = front.agent(key)
        assert (await agent.get(f"{session}/tickets/{ticket}")).json()["state"] == "proposed"
        answer(front.runtime, ticket)
        done = await agent.post(f"{session}/calls", json={**PAY, "call_id": "p1"})
        assert done.json()["status"] == "done"
    assert len(desk.effects) == 1


async def test_sessions_that_are_too_many_for_memory_go_on_all_the_same(house: House) -> None:
    async with front_of(house.runtime(), sessions=2) as front:
        agent = front.agent()
        sessions = [await opened(agent) for _ in range(5)]
        for session in sessions + sessions[::-1]:
            assert (await agent.post(f"{session}/calls", json=NOTE)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b'{"tool": "desk.note", "args": NaN}', 403),
        (b'{"tool": "desk.note", "args": {"text": "\\ud800"}}', 403),
        (b'{"tool": "\\ud800"}', 422),
        (b'{"tool": "desk.note", "\\ud800": 1}', 422),
        (b'{"tool": "desk.note", "wait": NaN}', 422),
        (b'{"tool": "desk.note", "wait": -1}', 422),
        (b'{"tool": "desk.note", "wait": 1e999}', 422),
        (b'{"tool": "desk.note", "call_id": "a b"}', 422),
        (b'{"tool": "desk.note", "args": ' + b"[" * 40 + b"]" * 40 + b"}", 403),
        (b'{"tool": "desk.note", "args": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"tool": "desk.note", "args": ' + b"9" * 5000 + b"}", 400),
        (b'{"tool": "desk.note", "args": "' + b"x" * 300_000 + b'"}', 403),
        (b'{"tool": "desk.note", "args": "' + b"x" * 1_100_000 + b'"}', 413),
    ],
)
async def test_whatever_the_body_is_the_answer_is_a_problem_that_says_so(
    front: Front, desk: Desk, body: bytes, status: int
) -> None:
    agent = front.agent()
    session = await opened(agent)
    answer = await agent.post(f"{session}/calls", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()
    assert desk.effects == []


async def test_a_body_without_a_stated_length_is_counted(front: Front) -> None:
    async def chunks() -> Any:
        for _ in range(200):
            yield b"x" * 10_000

    answer = await front.agent().post("/api/v1/sessions", content=chunks())
    assert answer.status_code == 413


async def test_requests_of_one_caller_are_bounded_and_others_are_not_touched(house: House) -> None:
    async with front_of(house.runtime(), rate=5) as front:
        one, other = front.agent(), front.agent()
        answers = [await one.get("/api/v1/agent/tools") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 13
        assert (await other.get("/api/v1/agent/tools")).status_code == 200


async def test_calls_that_wait_are_bounded(house: House) -> None:
    async with front_of(house.runtime(), open_waits=2) as front:
        agent = front.agent()
        session = await opened(agent)
        bodies = [{**PAY, "args": {"to": "mo", "amount": n}, "wait": 30} for n in range(2)]
        waiting = [asyncio.create_task(agent.post(f"{session}/calls", json=body)) for body in bodies]
        await until(lambda: len(front.runtime.queue.questions()) == 2)
        assert (await agent.post(f"{session}/calls", json={**PAY, "wait": 1})).status_code == 429
        assert (await agent.post(f"{session}/calls", json=NOTE)).status_code == 200
        front.app.state.door.closing.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}


async def test_calls_under_way_are_bounded_for_each_caller(house: House) -> None:
    async with front_of(house.runtime(), open_calls=2) as front:
        agent, other = front.agent(), front.agent()
        session, others = await opened(agent), await opened(other)
        bodies = [{**PAY, "args": {"to": "mo", "amount": n}, "wait": 30} for n in range(2)]
        waiting = [asyncio.create_task(agent.post(f"{session}/calls", json=body)) for body in bodies]
        await until(lambda: len(front.runtime.queue.questions()) == 2)
        refused = await agent.post(f"{session}/calls", json=NOTE)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert (await other.post(f"{others}/calls", json=NOTE)).status_code == 200
        front.app.state.door.closing.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}


async def test_one_request_waits_no_longer_than_the_server_lets_it(house: House) -> None:
    async with front_of(house.runtime(), longest_wait=0.05) as front:
        agent = front.agent()
        session = await opened(agent)
        assert (await agent.post(f"{session}/calls", json={**PAY, "wait": 3600})).status_code == 202


async def test_what_is_no_route_is_a_problem(front: Front) -> None:
    for method, path, status in [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/sessions", 405)]:
        answer = await front.agent().request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_trace_is_joined_once(front: Front) -> None:
    agent = front.agent()
    body = {**USER, "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    first: httpx2.Response = await agent.post("/api/v1/sessions", json=body)
    assert first.json()["trace_id"] == body["trace_id"]
    assert (await agent.post("/api/v1/sessions", json=body)).status_code == 409


async def test_every_answer_has_the_headers_that_protect_it(front: Front) -> None:
    for path in ("/healthz", "/api/v1/nothing"):
        headers = (await front.client().get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
