"""What an attacker tried, and found once: each of these let something through before it was mended."""

from typing import Any

import anyio
import orjson
import pytest

from pratique.errors import NotAnApproverError, OutcomeUnknownError, ToolError
from pratique.model import Integrity, Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from tests.house import PEOPLE, POLICY, Desk, House, answer, opened, records, sql
from tests.outside import OPEN, Border, Letter

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


WITHHELD = OPEN + '[tools."post.read"]\nwithhold = ["body", "from"]\n'
TOLD = "The account is LT12 1000 0111 0100 1000, and the word is Seagull-77. Thanks, Eve"


def parrot() -> list[Tool]:
    notes: list[str] = []

    @tool("post.repeat", tier="write", sources={"*": "meta"})
    async def repeat(_: ToolContext, text: str, how: str) -> Any:
        """Say something again."""
        notes.append(text)
        ways: dict[str, Any] = {
            "plain": {"noted": text},
            "inside": {"line": f"1 note: <{text}>, kept"},
            "start": {"line": f"noted {text[:24]}…"},
            "end": {"line": f"…{text[-34:]}"},
            "deep": {"notes": [{"a": 1}, [{"text": text.upper()}]]},
            "key": {"by": {text: 1}},
            "escaped": {"json": orjson.dumps({"text": text}).decode()},
            "bare": text,
            "spread": [f"{word} " for word in text.split(". ")],
        }
        if how in ways:
            return ways[how]
        raise ToolError(f"cannot write {text[:30]!r}")

    @tool("post.notes", tier="read", sources={"*": "meta"})
    async def listed(_: ToolContext) -> list[str]:
        """Give all notes."""
        return ["first note", *notes]

    return [repeat, listed]


def gives_away(outcome: Outcome) -> list[str]:
    shown = f"{outcome.text} {outcome.error} {outcome.value} {outcome.reasons}".casefold()
    return [word for word in ("1000 0111", "seagull", "the account is") if word in shown]


async def withheld(house: House) -> tuple[Runtime, Session, Any]:
    """A session, and the reference of a text that it is not shown."""
    border = Border()
    border.letters["7"] = Letter("eve@evil.example", TOLD)
    house.apply(WITHHELD)
    runtime = house.runtime(tools=[*border.tools(), *parrot()])
    session = await opened(runtime)
    body = (await session.call("post.read", {"mail": "7"})).value["body"]
    return runtime, session, body


@pytest.mark.parametrize(
    "how", ["plain", "inside", "start", "end", "deep", "key", "escaped", "bare", "spread"]
)
async def test_a_withheld_text_that_a_tool_repeats_is_withheld_again(empty_house: House, how: str) -> None:
    _, session, body = await withheld(empty_house)
    repeated = await session.call("post.repeat", {"text": body, "how": how}, call_id="c1")
    assert repeated.status is Status.DONE
    assert gives_away(repeated) == []
    resumed = await empty_house.runtime(tools=parrot()).resume_session(session.id)
    again = await resumed.call("post.repeat", {"text": body, "how": how}, call_id="c1")
    assert (again.value, gives_away(again)) == (repeated.value, [])


async def test_a_withheld_text_that_an_error_repeats_is_withheld_again(empty_house: House) -> None:
    runtime, session, body = await withheld(empty_house)
    failed = await session.call("post.repeat", {"text": body, "how": "fail"})
    assert (failed.status, gives_away(failed)) == (Status.FAILED, [])
    assert failed.error == "it failed, and its error repeats what is withheld"
    assert records(runtime.ledger)[-1]["error"] == failed.error


async def test_what_repeats_a_withheld_text_is_itself_a_reference(empty_house: House) -> None:
    _, session, body = await withheld(empty_house)
    noted = (await session.call("post.repeat", {"text": body, "how": "plain"})).value["noted"]
    assert noted.keys() == {"$ref", "kind", "chars"}
    again = await session.call("post.repeat", {"text": noted, "how": "plain"})
    assert gives_away(again) == []


async def test_a_withheld_text_is_not_read_back_from_where_it_was_written(empty_house: House) -> None:
    _, session, body = await withheld(empty_house)
    await session.call("post.repeat", {"text": body, "how": "none"})
    notes = await session.call("post.notes")
    assert (notes.value[0], gives_away(notes)) == ("first note", [])


async def test_what_was_never_withheld_is_not_touched(empty_house: House) -> None:
    _, session, _ = await withheld(empty_house)
    noted = await session.call("post.repeat", {"text": "first note, and long enough", "how": "plain"})
    assert noted.value == {"noted": "first note, and long enough"}


def declared(said: str, effects: list[str]) -> Tool:
    async def act(ctx: ToolContext, text: str, then: str = "") -> str:
        effects.append(text)
        if then == "die":
            raise OutcomeUnknownError(ctx.agent)
        return "done"

    act.__doc__ = said
    return tool("desk.act", tier="write", sources={"*": "meta"})(act)


@pytest.mark.parametrize("erased", [False, True])
async def test_a_call_does_not_run_again_because_its_tool_was_declared_anew(
    house: House, *, erased: bool
) -> None:
    effects: list[str] = []
    session = await opened(first := house.runtime(tools=[declared("Act.", effects)]))
    done = await session.call("desk.act", {"text": "a"}, call_id="k")
    if erased:
        sql(first.ledger, "DELETE FROM vault WHERE seq IN (SELECT seq FROM records WHERE call = 'k')")
    later = house.runtime(tools=[declared("Act, as it is said since.", effects)])
    session = await later.resume_session(session.id)
    again = await session.call("desk.act", {"text": "a"}, call_id="k")
    assert effects == ["a"]
    assert (again.status, again.record) == (Status.UNKNOWN if erased else Status.DONE, done.record)
    if not erased:
        assert (await session.call("desk.act", {"text": "b"}, call_id="k")).status is Status.DONE
        assert effects == ["a", "b"]


async def test_a_call_of_which_nobody_knows_does_not_run_again_under_another_declaration(
    house: House,
) -> None:
    effects: list[str] = []
    first = house.runtime(tools=[declared("Act.", effects)])
    session = await opened(first)
    args = {"text": "a", "then": "die"}
    assert (await session.call("desk.act", args, call_id="k")).status is Status.UNKNOWN
    later = house.runtime(tools=[declared("Act, as it is said since.", effects)])
    again = await (await later.resume_session(session.id)).call("desk.act", args, call_id="k")
    assert (effects, again.status) == (["a"], Status.UNKNOWN)


async def test_a_call_that_a_person_edited_and_that_ran_is_that_call_under_another_declaration(
    empty_house: House,
) -> None:
    empty_house.apply(POLICY.replace('tier = "irreversible"\napprovers', 'tier = "write"\napprovers'))
    effects: list[str] = []
    first = empty_house.runtime(tools=[declared("Act.", effects)])
    session = await opened(first)
    pending = await session.call("desk.act", {"text": "a"}, call_id="k")
    await first.edit(pending.ticket, "li@acme.example", {"text": "b"}, reason="not a")
    assert (await session.redeem(pending.ticket)).status is Status.DONE
    later = empty_house.runtime(tools=[declared("Act, as it is said since.", effects)])
    again = await (await later.resume_session(session.id)).call("desk.act", {"text": "a"}, call_id="k")
    assert (effects, again.status, again.edited is not None) == (["b"], Status.DONE, True)
