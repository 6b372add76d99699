"""The digest says which call it is: nothing that matters can change under it."""

from typing import Any

from pratique.model import Status
from pratique.runtime import Runtime
from tests.house import House, opened, records


async def digest(runtime: Runtime, args: Any, **who: Any) -> str:
    await (await opened(runtime, **who)).call("desk.note", args, call_id="c1")
    return str(records(runtime.ledger)[-1]["digest"])


async def test_the_digest_covers_who_asks_for_what_under_which_id(house: House) -> None:
    runtime = house.runtime()
    session = await opened(runtime)

    async def of(args: Any, name: str = "desk.note", call_id: str = "c1") -> str:
        outcome = await session.call(name, args, call_id=call_id)
        assert outcome.status is Status.DONE
        return str(records(runtime.ledger)[-1]["digest"])

    different = [
        await of({"text": "a"}),
        await of({"text": "b"}),
        await of({"text": "a", "then": ""}),
        await of({"text": "a"}, call_id="c2"),
        await of({"text": "a"}, name="desk.retry"),
        await digest(runtime, {"text": "a"}),
        await digest(runtime, {"text": "a"}, user="li@acme.example"),
    ]
    assert len(set(different)) == 7


async def test_the_same_question_has_the_same_digest_in_another_process(house: House) -> None:
    session = await opened(house.runtime())
    first, second = house.runtime(), house.runtime()
    digests = []
    for runtime in (first, second):
        resumed = await runtime.resume_session(session.id)
        await resumed.call("desk.pay", {"to": "x", "amount": 1}, call_id="c1")
        digests.append(runtime.queue.questions()[0].digest)
    assert len(set(digests)) == 1
    assert len(first.queue.questions()) == 1


async def test_at_most_five_problems_are_told_and_none_repeats_what_was_sent(house: House) -> None:
    session = await opened(house.runtime())
    args = {f"extra{n}": "hunter2" for n in range(50)}
    outcome = await session.call("desk.note", args)
    assert outcome.status is Status.DENIED
    assert "(+46 more)" in outcome.error
    assert "hunter2" not in outcome.error
    assert len(outcome.error) < 1500
