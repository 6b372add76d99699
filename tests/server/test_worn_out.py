"""Promise: who asks too much, or tries too often, wears nothing out, and locks out nobody else."""

from pathlib import Path
from typing import Any

import pytest

from pratique.errors import LedgerUnavailableError
from pratique.identity import secret
from pratique.identity.people import People
from pratique.identity.throttle import MOST, Throttle
from pratique.ledger.database import unavailable
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
from pratique.server.bounds import Rate
from pratique.server.problems import places_of, told_to_strangers
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from tests.house import Clock, House, answer, break_log, mend_log, opened
from tests.server import test_keys
from tests.server.front import Front, front_of
from tests.server.test_keys import PAY


async def test_health_is_looked_at_once_for_everybody_who_asks_at_once(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, commit = [], front.ledger.commit

    async def counted(entry: Entry) -> Any:
        looks.append(entry)
        return await commit(entry)

    monkeypatch.setattr(front.ledger, "commit", counted)
    client = front.client()
    assert {(await client.get("/healthz")).status_code for _ in range(30)} == {200}
    assert len(looks) < 10


async def test_what_cannot_be_recorded_is_told_without_where_it_is(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = front.agent()
    session = await test_keys.opened(agent)
    folder = str(front.ledger.path.parent)
    break_log(front.ledger)
    call = await agent.post(f"{session}/calls", json={"tool": "desk.note", "args": {"text": "x"}})
    mend_log(front.ledger)

    async def full(_: Entry) -> Any:
        raise unavailable(OSError(28, "No space left on device"), front.ledger.path)

    monkeypatch.setattr(front.ledger, "commit", full)
    health = await front.client().get("/healthz")
    assert (health.status_code, call.status_code) == (503, 503)
    for told in (health.text, call.text):
        assert "cannot be written" in told
        assert folder not in told
        assert ".db" not in told


@pytest.mark.parametrize("folder", ["my ledgers of (2026), all", "a b/c d", "x"])
async def test_a_folder_with_a_space_in_it_is_told_to_nobody_either(tmp_path: Path, folder: str) -> None:
    place, keys = tmp_path / folder / "ledger", tmp_path / folder / "my keys"
    place.mkdir(parents=True)
    with Ledger(place, keys=keys) as ledger:
        for path in (ledger.path, keys / "first.key", keys):
            told = told_to_strangers(
                LedgerUnavailableError(f"{path}: it is full; see https://acme.example/full (and {path})"),
                places_of(ledger),
            )
            assert told == "…: it is full; see https://acme.example/full (and …)"


async def test_a_cookie_whose_login_has_ended_is_a_stranger_s(front: Front) -> None:
    person = await front.person()
    cookies = dict(person.cookies)
    await person.post("/api/v1/logout")
    front.app.state.door.strangers = Rate(3)
    thief = front.client(cookies=cookies)
    assert [(await thief.get("/api/v1/me")).status_code for _ in range(4)] == [401] * 3 + [429]


async def test_whoever_tries_links_locks_out_nobody_elsewhere(front: Front) -> None:
    people, throttle = People(front.ledger), front.app.state.door.throttle
    people.add("li@acme.example", "local:test")
    for number in range(MOST["name"] * 2):
        throttle.failed("", f"203.0.113.{number}")
    link = {"link": people.link("li@acme.example", "local:test")}
    assert (await front.client().post("/api/v1/login/link", json=link)).status_code == 204


async def test_links_that_log_nobody_in_are_throttled_by_address(front: Front) -> None:
    client = front.client()
    wrong = [
        (await client.post("/api/v1/login/link", json={"link": secret.new().text})).status_code
        for _ in range(MOST["address"] + 1)
    ]
    assert wrong == [401] * MOST["address"] + [429]


def test_a_name_is_still_counted_from_everywhere(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(MOST["name"]):
        throttle.failed("li@acme.example", f"203.0.113.{number}")
    with pytest.raises(Exception, match="too many"):
        throttle.demand("li@acme.example", "198.51.100.1")


async def test_a_key_s_questions_that_wait_are_bounded_and_another_key_s_are_its_own(house: House) -> None:
    runtime = house.runtime()
    runtime.queue.most_open = 2
    async with front_of(runtime) as front:
        agent, other = front.agent(), front.agent()
        session, elsewhere = await test_keys.opened(agent), await test_keys.opened(other)
        second = await test_keys.opened(agent)  # another session is the same key's
        first = await agent.post(f"{session}/calls", json=PAY)
        assert (first.status_code, (await agent.post(f"{second}/calls", json=PAY)).status_code) == (202, 202)
        denied = await agent.post(f"{second}/calls", json=PAY)
        assert denied.status_code == 403
        assert "2 questions of this agent's wait for people already" in denied.text
        assert (await other.post(f"{elsewhere}/calls", json=PAY)).status_code == 202
        answer(runtime, first.json()["ticket"])
        assert (await agent.post(f"{second}/calls", json={**PAY, "call_id": "again"})).status_code == 202


async def test_what_a_call_will_change_is_not_computed_for_each_who_asks_how_it_stands(house: House) -> None:
    looked = []

    def preview(ctx: ToolContext, text: str) -> str:
        looked.append(ctx.user)
        return f"{text} becomes something else"

    @tool("desk.shown", tier="irreversible", sources={"*": "meta"}, sinks={"text": "dest"}, preview=preview)
    async def shown(ctx: ToolContext, text: str) -> str:
        """Show."""
        del ctx
        return text

    runtime = house.runtime(tools=[shown])
    session = await opened(runtime)
    pending = await session.call("desk.shown", {"text": "x"}, call_id="c1")
    for _ in range(10):
        assert (await session.redeem(pending.ticket, wait=0)).ticket == pending.ticket
    assert len(looked) == 1
    answer(runtime, pending.ticket)
    assert (await session.redeem(pending.ticket, wait=0)).status == "done"
    assert len(looked) == 2, "before a yes is used, it is looked at again"
