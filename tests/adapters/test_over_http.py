"""The same adapters with a session on a server: an application changes one line."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from pratique import client
from tests.adapters.rigs import RIGS, ToolCall
from tests.house import Desk, answer, reject
from tests.server.front import BASE, Front

PAY = ToolCall("call-pay", "desk_pay", {"to": "DE02", "amount": 5})
LOOK = ToolCall("call-look", "desk_look", {"text": "lamp"})


@pytest.fixture
async def session(front: Front) -> AsyncIterator[client.RemoteSession]:
    transport = httpx2.ASGITransport(app=front.app, raise_app_exceptions=False)
    async with (
        client.connect(BASE, front.key().text, transport=transport) as remote,
        remote.session(agent="support", user="kim@acme.example") as made,
    ):
        yield made


@pytest.mark.parametrize("name", sorted(RIGS))
async def test_a_yes_runs_it_once(name: str, session: client.RemoteSession, front: Front, desk: Desk) -> None:
    rig = RIGS[name]([[LOOK], [PAY]])
    [ticket] = (await rig.start(session)).waiting
    assert desk.effects == []
    answer(front.runtime, ticket)
    turn = await rig.resume(session)
    assert (turn.output, [effect.text for effect in desk.effects]) == ("done", ["DE02:5"])
    assert len(desk.reads) == 1


@pytest.mark.parametrize("name", sorted(RIGS))
async def test_a_no_is_told_with_its_reason(
    name: str, session: client.RemoteSession, front: Front, desk: Desk
) -> None:
    rig = RIGS[name]([[PAY]])
    [ticket] = (await rig.start(session)).waiting
    reject(front.runtime, ticket)
    turn = await rig.resume(session)
    assert "not this one" in turn.heard["call-pay"]
    assert "This is final" in turn.heard["call-pay"]
    assert desk.effects == []
