"""Nothing that an agent or another person wrote reaches an approver's page with characters that hide."""

from typing import Any

import pytest

from tests.server.front import Front
from tests.server.test_keys import opened
from tests.server.test_people_api import LI

HIDDEN = "\u202etxt.exe\u202c and \u200bmore\U000e0041"
SHOWN = ["⟨U+202E⟩", "⟨U+200B⟩", "⟨U+E0041⟩"]
PAY = {"tool": "desk.pay", "call_id": "c1", "args": {"to": "mo", "amount": 5}}


async def page(front: Front, ticket: str) -> str:
    li = await front.person(LI)
    answer = await li.get(f"/queue/{ticket}")
    assert answer.status_code == 200, answer.text
    return answer.text


def demand_shown(text: str, times: int = 1) -> None:
    for character in "\u202e\u202c\u200b\U000e0041":
        assert character not in text
    for written in SHOWN:
        assert text.count(written) >= times


async def ask(front: Front, **more: Any) -> str:
    agent = front.agent()
    session = await opened(agent)
    answer = await agent.post(f"{session}/calls", json={**PAY, **more})
    return str(answer.json()["ticket"])


async def test_an_agent_s_reason_is_shown_as_it_is(front: Front) -> None:
    text = await page(front, await ask(front, why=f"because {HIDDEN}"))
    assert HIDDEN not in text
    demand_shown(text)


@pytest.mark.parametrize("who", ["approver", "person"])
async def test_what_is_said_in_a_thread_is_shown_as_it_is(front: Front, who: str) -> None:
    ticket = await ask(front)
    li, kim = await front.person(LI), await front.person("kim@acme.example")
    said = HIDDEN if who == "approver" else "why?"
    asked = await li.post(f"/api/v1/approvals/{ticket}/questions", json={"text": said})
    assert asked.status_code == 201, asked.text
    if who == "person":
        replied = await kim.post(f"/api/v1/approvals/{ticket}/replies", json={"text": HIDDEN})
        assert replied.status_code == 201, replied.text
    demand_shown(await page(front, ticket))


async def test_what_an_editor_typed_is_shown_as_it_is(front: Front) -> None:
    ticket = await ask(front)
    li = await front.person(LI)
    edited = await li.post(
        f"/api/v1/approvals/{ticket}/edit",
        json={"args": {"to": HIDDEN, "amount": 5}, "reason": "because"},
    )
    assert edited.status_code == 201, edited.text
    demand_shown(await page(front, edited.json()["ticket"]), times=2)  # the argument, and the change
