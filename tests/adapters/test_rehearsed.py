"""Each framework in a rehearsal: what an application's own test of its agent looks like."""

import pytest

from pratique.testing import rehearsal
from tests.adapters.rigs import RIGS, ToolCall, rig_of
from tests.house import POLICY, Desk

PAY = ToolCall("call-pay", "desk_pay", {"to": "DE02", "amount": 5})
LOOK = ToolCall("call-look", "desk_look", {"text": "lamp"})


@pytest.mark.parametrize("framework", sorted(RIGS))
@pytest.mark.parametrize("yes", [True, False], ids=["approves", "rejects"])
async def test_a_scripted_person_answers_while_the_agent_waits(
    framework: str, desk: Desk, *, yes: bool
) -> None:
    tools = [one for one in desk.tools() if not one.capability.secrets]
    async with rehearsal(policy=POLICY, tools=tools) as house:
        if yes:
            house.approves("desk.*", by="li@acme.example")
        else:
            house.rejects("desk.*", by="li@acme.example", reason="not today")
        rig = rig_of(framework)([[LOOK], [PAY]])
        async with house.session(agent="support", user="kim@acme.example", request="Pay DE02 5.") as session:
            turn = await rig.start(session)
        assert (turn.output, turn.waiting) == ("done", ())
        house.assert_asked("desk.pay", because="irreversible", origin={"to": "is in the request"})
        house.assert_ran("desk.look", times=1)
        if yes:
            house.assert_ran("desk.pay", times=1)
        else:
            house.assert_not_ran("desk.pay")
            assert "not today" in rig.heard["call-pay"]
