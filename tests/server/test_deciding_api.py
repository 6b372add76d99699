"""The door of deciding: edit, delegate, ask, answer many, stand for; the domain has tests of its own."""

import asyncio
from typing import Any

from tests.house import POLICY, Desk, House, until
from tests.server.front import Front
from tests.server.test_keys import PAY, opened
from tests.server.test_people_api import BO, LI, asked

KIM = "kim@acme.example"
APPROVE = {"vote": "approve"}


async def test_an_edited_call_is_another_one_and_the_agent_that_waits_gets_its_outcome(
    front: Front, desk: Desk
) -> None:
    agent, li, bo = front.agent(), await front.person(LI), await front.person(BO)
    session = await opened(agent)
    waiting = asyncio.create_task(agent.post(f"{session}/calls", json={**PAY, "wait": 30}))
    await until(lambda: bool(front.runtime.queue.questions()))
    (question,) = front.runtime.queue.questions()
    body = {"args": {"to": "mo", "amount": 3}, "reason": "half of it"}
    edited = await li.post(f"/api/v1/approvals/{question.ticket}/edit", json=body)
    assert edited.status_code == 201, edited.text
    ticket = edited.json()["ticket"]
    assert ticket != question.ticket
    confirm = (await bo.get(f"/api/v1/approvals/{ticket}")).json()["card"]["confirm"]
    vote = await bo.post(f"/api/v1/approvals/{ticket}/votes", json={**APPROVE, "confirm": confirm})
    assert vote.status_code == 201, vote.text
    assert (await waiting).json()["status"] == "done"
    assert [effect.text for effect in desk.effects] == ["mo:3"]


async def test_a_question_is_handed_on_asked_about_and_replied_to(front: Front) -> None:
    _, _, ticket = await asked(front)
    li, bo, kim = await front.person(LI), await front.person(BO), await front.person(KIM)
    mo = await front.person("mo@acme.example")
    path = f"/api/v1/approvals/{ticket}"
    handed = await li.post(f"{path}/delegate", json={"to": BO, "reason": "on leave"})
    assert handed.status_code == 201, handed.text
    assert (await bo.post(f"{path}/questions", json={"text": "Is it due?"})).status_code == 201
    assert (await kim.post(f"{path}/replies", json={"text": "Yes."})).status_code == 201
    for person, status in ((bo, 200), (kim, 200), (mo, 403), (front.client(), 401)):
        answer = await person.get(f"{path}/thread")
        assert answer.status_code == status
    thread = (await bo.get(f"{path}/thread")).json()
    assert [(remark["speaker"], remark["text"]) for remark in thread] == [(BO, "Is it due?"), (KIM, "Yes.")]
    assert (await mo.post(f"{path}/replies", json={"text": "No."})).status_code == 403
    assert (await li.post(f"{path}/votes", json=APPROVE)).status_code in {403, 409, 422}


async def test_a_yes_to_what_cannot_be_undone_takes_its_destination(front: Front) -> None:
    _, _, ticket = await asked(front)
    li = await front.person(LI)
    card = (await li.get(f"/api/v1/approvals/{ticket}")).json()["card"]
    path = f"/api/v1/approvals/{ticket}/votes"
    assert (await li.post(path, json={**APPROVE, "confirm": "elsewhere"})).status_code == 422
    assert (await li.post(path, json={**APPROVE, "confirm": card["confirm"]})).status_code == 201


async def test_many_questions_of_one_shape_are_answered_at_once(front: Front, house: House) -> None:
    house.apply(POLICY.replace('tier = "irreversible"\napprovers', 'tier = "write"\napprovers'))
    notes = [{"tool": "desk.note", "args": {"text": str(n)}} for n in range(3)]
    tickets = [(await asked(front, **note))[2] for note in notes]
    li = await front.person(LI)
    body: dict[str, Any] = {"tickets": tickets, "vote": "reject", "reason": "not this month"}
    answered = await li.post("/api/v1/approvals/votes", json=body)
    assert answered.status_code == 201, answered.text
    assert [one["question"]["state"] for one in answered.json()] == ["rejected"] * 3
    again = (await li.post("/api/v1/approvals/votes", json=body)).json()
    assert all(one["question"] is None and one["problem"] for one in again)


async def test_a_standing_approval_is_made_seen_and_revoked(front: Front) -> None:
    li, mo = await front.person(LI), await front.person("mo@acme.example", "auditor")
    body = {
        "agent": "support",
        "tool": "desk.pay",
        "pattern": {"to": {"equals": "mo"}, "amount": {"equals": 5}},
        "expires_us": front.ledger.clock() + 3_600_000_000,
        "max_uses": 2,
        "reason": "the weekly payment",
    }
    made = await li.post("/api/v1/standing", json=body)
    assert made.status_code in {201, 422}, made.text
    assert (await mo.post("/api/v1/standing", json=body)).status_code == 403
    assert (await li.post("/api/v1/standing", json={**body, "tool": "no.such"})).status_code == 404
    if made.status_code == 422:  # the policy lets no standing approval count for what cannot be undone
        assert "undone" in made.json()["detail"]
        return
    (listed,) = (await mo.get("/api/v1/standing")).json()
    assert listed["people"] == [LI]
    ended = await li.post(f"/api/v1/standing/{listed['id']}/revoke", json={"reason": "over"})
    assert ended.json()["state"] == "revoked"
