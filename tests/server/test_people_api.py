"""What people may do over the API: by their roles, as whoever is signed in, and nobody else."""

import asyncio
from typing import Any

import pytest

from pratique.capabilities.rights import Right, Role, may
from pratique.errors import NotAnApproverError
from pratique.identity.people import People
from tests.house import DENY_ALL, POLICY, Desk, House, records
from tests.server.front import PASSWORD, Front
from tests.server.test_keys import PAY, opened

LI, BO, MO = "li@acme.example", "bo@acme.example", "mo@acme.example"

APPROVE = {"vote": "approve", "confirm": "mo"}

READS = {
    "/api/v1/approvals": Right.QUEUE_READ,
    "/api/v1/traces": Right.TRACE_READ,
    "/api/v1/audit/head": Right.AUDIT_READ,
    "/api/v1/audit/records": Right.AUDIT_READ,
    "/api/v1/policy": Right.POLICY_READ,
    "/api/v1/tools": Right.TOOLS_READ,
    "/api/v1/agents": Right.AGENTS_READ,
    "/api/v1/people": Right.PEOPLE_READ,
    "/api/v1/keys": Right.KEYS_READ,
}


def test_no_role_has_no_right_and_nobody_has_all() -> None:
    for right in Right:
        assert not may([], right)
        assert not may(["nobody", "approving", "looking", "*"], right)
        assert any(may([role], right) for role in Role)
        assert not all(may([role], right) for role in Role) or right.value.endswith(".read")
    assert not may([Role.ADMIN], Right.QUEUE_ANSWER)
    assert not may([Role.ADMIN], Right.AUDIT_READ)
    assert not any(may([Role.AUDITOR], right) for right in Right if not right.value.endswith(".read"))


@pytest.mark.parametrize("role", ["", *Role])
async def test_what_a_role_may_read_it_gets_and_nothing_else(front: Front, role: str) -> None:
    name = LI if role == Role.APPROVER else MO
    person = await front.person(name, *([role] if role and role != Role.APPROVER else []))
    for path, right in READS.items():
        answer = await person.get(path)
        assert answer.status_code == (200 if may([role], right) else 403), path


async def test_an_agent_s_key_opens_no_door_of_people_and_a_cookie_none_of_agents(front: Front) -> None:
    agent, person = front.agent(), await front.person(LI, "owner", "admin", "auditor")
    for path in READS:
        assert (await agent.get(path)).status_code == 401
    assert (await person.post("/api/v1/sessions", json={"user": LI})).status_code == 401


async def asked(front: Front, **more: Any) -> tuple[Any, str, str]:
    agent = front.agent()
    session = await opened(agent)
    ticket = (await agent.post(f"{session}/calls", json={**PAY, **more})).json()["ticket"]
    return agent, session, ticket


async def test_a_person_reads_the_card_says_yes_and_the_agent_hears_it(front: Front, desk: Desk) -> None:
    agent, session, ticket = await asked(front)
    li = await front.person(LI)
    (item,) = (await li.get("/api/v1/approvals")).json()["items"]
    assert item["ticket"] == ticket
    card = (await li.get(f"/api/v1/approvals/{ticket}")).json()["card"]
    assert [argument["text"] for argument in card["arguments"]] == ["5", "mo"]
    vote = await li.post(f"/api/v1/approvals/{ticket}/votes", json=APPROVE)
    assert (vote.status_code, vote.json()["state"], vote.json()["decided_by"]) == (201, "approved", [LI])
    outcome = (await agent.post(f"{session}/tickets/{ticket}/redeem", json={})).json()
    assert (outcome["status"], outcome["approved_by"]) == ("done", [LI])
    assert len(desk.effects) == 1
    shown = (await li.get(f"/api/v1/approvals/{ticket}")).json()
    assert shown["votes"] == [{"voter": LI, "vote": "approve", "reason": ""}]


async def test_who_votes_is_who_is_signed_in_whatever_the_body_says(front: Front) -> None:
    _, _, ticket = await asked(front)
    mo = await front.person(MO, "owner", "admin")
    path = f"/api/v1/approvals/{ticket}/votes"
    assert (await mo.post(path, json=APPROVE)).status_code == 403
    li = await front.person(LI)
    assert (await li.post(path, json={**APPROVE, "voter": BO})).status_code == 422
    assert records(front.ledger, "approval.vote") == []


async def test_nobody_answers_what_was_asked_for_them(front: Front) -> None:
    _, _, ticket = await asked(front)
    kim = await front.person("kim@acme.example")
    answer = await kim.post(f"/api/v1/approvals/{ticket}/votes", json=APPROVE)
    assert answer.status_code == 403
    assert "on their behalf" in answer.json()["detail"]


async def test_late_double_and_raced_answers_are_409_and_change_nothing(front: Front) -> None:
    _, _, ticket = await asked(front)
    li, bo = await front.person(LI), await front.person(BO)
    path = f"/api/v1/approvals/{ticket}/votes"
    answers = await asyncio.gather(*(person.post(path, json=APPROVE) for person in (li, bo, li, bo)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert (await bo.post(path, json={"vote": "reject", "reason": "x"})).status_code == 409
    assert len(records(front.ledger, "approval.vote")) == 1


async def test_a_no_needs_a_reason(front: Front) -> None:
    _, _, ticket = await asked(front)
    li = await front.person(LI)
    path = f"/api/v1/approvals/{ticket}/votes"
    assert (await li.post(path, json={"vote": "reject", "reason": " "})).status_code == 403
    assert (await li.post(path, json={"vote": "reject", "reason": "wrong account"})).status_code == 201


async def test_a_vote_needs_the_csrf_token(front: Front) -> None:
    _, _, ticket = await asked(front)
    li = await front.person(LI)
    del li.headers["X-CSRF-Token"]
    answer = await li.post(f"/api/v1/approvals/{ticket}/votes", json=APPROVE)
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["title"]


async def test_a_disabled_person_is_in_no_group(front: Front) -> None:
    _, _, ticket = await asked(front)
    people = People(front.ledger)
    people.add(BO, "local:test")
    assert front.runtime.desk.why_not(ticket, BO) == ""
    people.disable(BO, "local:test")
    assert front.runtime.desk.why_not(ticket, BO) != ""
    with pytest.raises(NotAnApproverError):
        await front.runtime.answer(ticket, BO, approve=True, confirm="mo")


async def test_lists_come_in_pages_without_gaps_or_repeats(front: Front) -> None:
    for amount in range(5):
        await asked(front, args={"to": "mo", "amount": amount})
    li = await front.person(LI, "auditor")
    for path, cursor in (("approvals", "after"), ("traces", "before"), ("audit/records", "after")):
        whole = (await li.get(f"/api/v1/{path}?limit=500")).json()["items"]
        found, more = [], ""
        while True:
            page = (await li.get(f"/api/v1/{path}?limit=2{more}")).json()
            found += page["items"]
            if page["next"] is None:
                break
            more = f"&{cursor}={page['next']}"
        assert found == whole, path
        assert len(found) >= 5


async def test_a_trace_tells_the_run(front: Front) -> None:
    _, session, ticket = await asked(front)
    auditor = await front.person(MO, "auditor")
    trace = (await auditor.get(session.replace("sessions", "traces"))).json()
    assert trace["tool_calls"][0]["ticket"] == ticket
    assert (await auditor.get("/api/v1/traces/s_nothing")).status_code == 404


async def test_a_policy_is_compared_and_applied_against_the_epoch_that_was_looked_at(front: Front) -> None:
    owner = await front.person(MO, "owner")
    epoch = (await owner.get("/api/v1/policy")).json()["epoch"]
    tighter = {"text": POLICY + DENY_ALL}
    difference = (await owner.post("/api/v1/policy/diff", json=tighter)).json()
    assert difference["direction"] == "tighter"
    assert {cell["tool"] for cell in difference["cells"]} >= {"desk.pay", "desk.note"}
    applied = await owner.post("/api/v1/policy/apply", json={**tighter, "epoch": epoch})
    assert applied.json()["epoch"] == epoch + 1
    late = await owner.post("/api/v1/policy/apply", json={"text": POLICY, "epoch": epoch})
    assert late.status_code == 409
    broken = await owner.post("/api/v1/policy/apply", json={"text": "[", "epoch": epoch + 1})
    assert broken.status_code == 422
    assert records(front.ledger, "policy.load")[-1]["applied_by"] == MO


async def test_an_admin_issues_and_revokes_keys(front: Front) -> None:
    admin = await front.person(MO, "admin")
    body = {"agent": "support", "acts_for": ["*@acme.example"], "days": 7, "label": "tickets"}
    issued = (await admin.post("/api/v1/keys", json=body)).json()
    agent = front.client(headers={"Authorization": f"Bearer {issued['text']}"})
    session = await opened(agent)
    listed = (await admin.get("/api/v1/keys")).text
    assert issued["text"] not in listed
    assert issued["key"]["id"] in listed
    revoked = await admin.post(f"/api/v1/keys/{issued['key']['id']}/revoke", json={"reason": "lost"})
    assert revoked.json()["revoked_us"] > 0
    assert (await agent.get(session)).status_code == 401
    assert (await admin.post("/api/v1/keys/0/revoke", json={})).status_code == 404


async def test_a_person_chooses_a_password_and_the_other_logins_end(front: Front) -> None:
    li, other = await front.person(LI), await front.person(LI)
    answer = await li.post("/api/v1/me/password", json={"password": PASSWORD})
    assert answer.status_code == 204
    assert (await other.get("/api/v1/me")).status_code == 401
    li.headers["X-CSRF-Token"] = (await li.get("/api/v1/me")).json()["csrf"]
    wrong = await li.post("/api/v1/me/password", json={"password": "another " + PASSWORD, "current": "x"})
    assert wrong.status_code == 401
    right = {"password": "another " + PASSWORD, "current": PASSWORD}
    assert (await li.post("/api/v1/me/password", json=right)).status_code == 204
    assert (await li.post("/api/v1/me/password", json={"password": "short"})).status_code == 403


async def test_a_group_may_name_a_company_s_group(front: Front, house: House) -> None:
    house.apply(POLICY.replace('"li@acme.example", ', '"oidc:money", '))
    logins = front.app.state.door.logins
    login = logins.by_company("https://id.example", "1", LI, ["money", "other"], add=True)
    _, _, ticket = await asked(front)
    assert (await front.runtime.answer(ticket, LI, approve=True, confirm="mo")).state == "approved"
    known = logins.known(login.id)
    assert known is not None
    assert known.groups == {"leads"}
    logins.by_company("https://id.example", "1", LI, ["other"], add=True)
    again = logins.known(login.id)
    assert again is not None
    assert again.groups == frozenset()
