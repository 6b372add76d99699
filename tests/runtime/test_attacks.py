"""What an attacker tried, and found once: each of these let something through before it was mended."""

import anyio
import pytest

from pratique.errors import NotAnApproverError
from pratique.model import Integrity, Status
from tests.house import PEOPLE, Desk, House, answer, opened, records

READS_ASK = """
[[allow]]
id = "desk"
to = "support"
tools = ["desk.*"]
tier = "irreversible"
confidentiality = "confidential"
taint = "sink"

[[ask]]
id = "reads"
to = "*"
tools = ["desk.look"]
approvers = "leads"
"""

ONE_READ = """
[[exception]]
id = "once"
to = "support"
tools = ["desk.look"]
expires = 2030-01-01T00:00:00Z
owner = "ana@acme.example"
reason = "a look"
approved_by = "li@acme.example"
max_uses = 1
"""


async def test_a_counted_exception_for_a_read_is_used_up(empty_house: House, desk: Desk) -> None:
    empty_house.apply(PEOPLE + ONE_READ)
    session = await opened(empty_house.runtime())
    assert (await session.call("desk.look")).status is Status.DONE
    again = await session.call("desk.look")
    assert again.status is Status.DENIED
    assert "has been used 1 of 1 times" in again.error
    assert len(desk.reads) == 1


async def test_a_yes_to_a_read_is_used_up(empty_house: House, desk: Desk) -> None:
    empty_house.apply(PEOPLE + READS_ASK)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.look", {"text": "a"}, call_id="c1")).ticket
    answer(runtime, ticket)
    assert (await session.redeem(ticket)).status is Status.DONE
    resumed = await empty_house.runtime().resume_session(session.id)
    assert (await resumed.redeem(ticket)).status is Status.DONE
    assert len(desk.reads) == 1
    assert runtime.queue.look(ticket).state == "finished"


async def test_a_label_that_a_refused_commit_carried_is_recorded_with_the_next(house: House) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    text = runtime.enforcement.snapshot.policy.text
    house.apply(text + "\n# another epoch\n")
    assert (await session.call("desk.mail")).status is Status.DONE
    resumed = await house.runtime().resume_session(session.id)
    assert resumed.context.integrity is Integrity.UNTRUSTED


async def test_a_cancel_scope_that_ends_a_call_knows_its_own_cancellation(house: House, desk: Desk) -> None:
    session = await opened(house.runtime())

    async def stop() -> None:
        await desk.started.wait()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(stop)
            await session.call("desk.note", {"text": "a", "then": "wait"})
    assert scope.cancelled_caught
    assert records(house.ledger(), "call.outcome")[-1]["outcome"] == "unknown"


async def test_a_denied_call_may_be_asked_again_under_another_policy(empty_house: House) -> None:
    empty_house.apply(PEOPLE)
    session = await opened(empty_house.runtime())
    assert (await session.call("desk.look", call_id="c1")).status is Status.DENIED
    empty_house.apply(PEOPLE + ONE_READ)
    assert (await session.call("desk.look", call_id="c1")).status is Status.DONE


async def test_another_spelling_of_the_requester_is_the_requester(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    async with runtime.session(agent="support", user="Kim@Acme.example") as session:
        ticket = (await session.call("desk.pay", {"to": "mo@acme.example", "amount": 1})).ticket
        with pytest.raises(NotAnApproverError, match="on their behalf"):
            answer(runtime, ticket, "kim@acme.example")
    assert not desk.effects
