"""What holds in every framework, seen by its own agent with a scripted model."""

import pytest

from pratique.runtime import Runtime
from tests.adapters.rigs import RIGS, Rig, ToolCall
from tests.house import Clock, Desk, answer, opened, records, reject

PAY = ToolCall("call-pay", "desk_pay", {"to": "DE02", "amount": 5})
LOOK = ToolCall("call-look", "desk_look", {"text": "lamp"})


@pytest.fixture(params=sorted(RIGS))
def framework(request: pytest.FixtureRequest) -> type[Rig]:
    return RIGS[request.param]


async def test_a_call_that_is_allowed_runs_once_and_the_model_hears_its_result(
    framework: type[Rig], runtime: Runtime, desk: Desk
) -> None:
    turn = await framework([[LOOK]]).start(await opened(runtime))
    assert (turn.output, turn.waiting) == ("done", ())
    assert '"seen":"lamp"' in turn.heard["call-look"].replace(" ", "")
    assert [read.call_id for read in desk.reads] == ["call-look"]


async def test_a_call_that_asks_waits_and_runs_after_a_yes(
    framework: type[Rig], runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    rig = framework([[PAY]])
    turn = await rig.start(session)
    [ticket] = turn.waiting
    assert desk.effects == []
    answer(runtime, ticket)
    turn = await rig.resume(session)
    assert (turn.output, [effect.text for effect in desk.effects]) == ("done", ["DE02:5"])
    assert "paid" in turn.heard["call-pay"]


async def test_a_no_reaches_the_model_with_its_reason_and_without_inviting_a_retry(
    framework: type[Rig], runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    rig = framework([[PAY]])
    [ticket] = (await rig.start(session)).waiting
    reject(runtime, ticket)
    turn = await rig.resume(session)
    assert turn.output == "done"
    assert "not this one" in turn.heard["call-pay"]
    assert "This is final" in turn.heard["call-pay"]
    assert desk.effects == []


async def test_a_question_that_nobody_answered_ends_as_expired(
    framework: type[Rig], runtime: Runtime, desk: Desk, clock: Clock
) -> None:
    session = await opened(runtime)
    rig = framework([[PAY]])
    await rig.start(session)
    clock.forward(5 * 3600)
    turn = await rig.resume(session)
    assert "expired" in turn.heard["call-pay"]
    assert desk.effects == []


async def test_a_denied_call_is_told_and_recorded(framework: type[Rig], runtime: Runtime, desk: Desk) -> None:
    turn = await framework([[ToolCall("call-bad", "desk_note", {"txt": "x"})]]).start(await opened(runtime))
    assert turn.output == "done"
    assert "denied" in turn.heard["call-bad"]
    assert [record["outcome"] for record in records(runtime.ledger, "call.outcome")] == ["denied"]
    assert desk.effects == []


async def test_a_resume_without_an_answer_waits_again(
    framework: type[Rig], runtime: Runtime, desk: Desk
) -> None:
    """The framework says yes to everything: that is no person's answer."""
    session = await opened(runtime)
    rig = framework([[PAY]])
    first = await rig.start(session)
    again = await rig.resume(session)
    assert desk.effects == []
    if framework is RIGS["openai-agents"]:  # its tools cannot interrupt once they are invoked
        assert "A person has not answered yet" in again.heard["call-pay"]
    else:
        assert again.waiting == first.waiting


async def test_an_approved_call_runs_once_however_often_the_run_is_resumed(
    framework: type[Rig], runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    rig = framework([[LOOK], [PAY]])
    [ticket] = (await rig.start(session)).waiting
    answer(runtime, ticket)
    saved = rig.__dict__.copy()
    await rig.resume(session)
    rig.__dict__.update(saved)
    if framework is RIGS["pydantic-ai"]:
        await rig.resume(session)
    assert [effect.text for effect in desk.effects] == ["DE02:5"]
    assert len(desk.reads) == 1
    await session.call("desk.pay", PAY.args, call_id=PAY.id)
    assert len(desk.effects) == 1
