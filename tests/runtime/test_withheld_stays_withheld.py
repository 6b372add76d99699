"""Promise: whatever an agent does with a reference, what it stands for comes back in nothing that it is told.

Neither does it stand in the log in clear: reasons, problems, sources and errors are all recorded there.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pratique.errors import ToolError
from pratique.model import Outcome, Status
from pratique.proxy.schemas import arguments_of
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from pratique.stages.provenance import MOST_GUESSES
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.sql import Database, sql_tools
from tests.house import House, answer, opened, records
from tests.outside import OPEN, preset

LETTER = (
    "Dear colleague, the merger with Zephyr closes on the 4th of May, and nobody outside the board may know. "
    "Your link is https://bank.example/reset?token=9f8e7d6c5b4a and your code ZX81-4477-9921."
)
HEAD = {"the pin is vzqx": "call me back at once, says Kim", "Alpha-Tango": {"deep secret key": 1}}
SECRETS = (
    "9f8e7d6c5b4a",
    "ZX81",
    "zx81",
    "Zephyr",
    "bank.example",
    "vzqx",
    "Alpha",
    "deep secret",
    "back at",
)

WITHHELD = '[tools."mail.read"]\nwithhold = ["body", "head", "code"]\n'
ASKING = OPEN + WITHHELD + (
    '[[ask]]\nid = "w"\nto = "*"\ntools = ["*"]\ntier = "write"\ntaint = "none"\n'
    'approvers = "leads"\nwait = "4h"\nuse_within = "15m"\n'
)  # fmt: skip


def reader(body: str = LETTER, code: str = "vzqx") -> Tool:
    @tool("mail.read", tier="read", sources={"id": "meta", "*": "untrusted"})
    async def read(_: ToolContext) -> dict[str, Any]:
        """Read a letter."""
        return {"id": "7", "body": body, "head": HEAD, "code": code}

    return read


@tool("note.add", tier="write", sources={"*": "meta"}, sinks={"to": "dest"})
async def note(_: ToolContext, to: str, text: str) -> dict[str, str]:
    """Write a note, and repeat it."""
    return {"note": text, "to": to}


@tool("note.many", tier="write", sources={"*": "meta"}, sinks={"to": "dest"})
async def many(_: ToolContext, to: list[str]) -> dict[str, int]:
    """Write to many."""
    return {"count": len(to)}


@tool("note.any", tier="write", sources={"*": "meta"}, sinks={"data": "dest"})
async def anything(_: ToolContext, data: dict[str, Any]) -> dict[str, int]:
    """Take anything."""
    return {"count": len(data)}


@tool("note.count", tier="read", sources={"*": "meta"})
async def count(_: ToolContext, data: dict[str, int]) -> dict[str, int]:
    """Take numbers."""
    return {"count": len(data)}


SCHEMA = {"properties": {"data": {"type": "object", "additionalProperties": {"type": "integer"}}}}


def foreign() -> Tool:
    """As another program's tool is checked: against its own schema."""
    return Tool(
        count.capability.model_copy(update={"name": "files.count"}),
        arguments_of("files.count", SCHEMA),
        count.function,
    )


async def reading(house: House, *tools: Tool, policy: str = ASKING) -> tuple[Runtime, Session, Any]:
    house.apply(policy)
    runtime = house.runtime(tools=tools)
    session = await opened(runtime, request="Forward mail 7 to maria@cafe.example")
    return runtime, session, (await session.call("mail.read")).value


def given_away(runtime: Runtime, *outcomes: Outcome) -> set[str]:
    """What of the letter the agent was told, or the log has in clear."""
    told = [(one.error, one.value, one.reasons, one.label, one.edited) for one in outcomes]
    text = f"{told} {records(runtime.ledger)}"
    return {secret for secret in SECRETS if secret in text}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("note.add", lambda read: {"to": "maria@cafe.example", "text": read["body"]}),
        ("note.add", lambda read: {"to": read["body"], "text": "x"}),
        ("note.any", lambda read: {"data": read["head"]}),
        ("note.any", lambda read: {"data": {"below": [read["head"]]}}),
        ("note.add", lambda _: {"to": "x", "text": "They say: call me back at once"[11:] + ", says Kim"}),
        ("note.count", lambda read: {"data": read["head"]}),
        ("files.count", lambda read: {"data": read["head"]}),
        ("files.count", lambda read: {"data": read["body"]}),
        ("sql.query", lambda read: {"database": read["body"], "statement": "SELECT 1"}),
        ("sql.query", lambda read: {"database": read["head"], "statement": "SELECT 1"}),
    ],
    ids=range(10),
)
async def test_reasons_and_problems_do_not_repeat_what_a_reference_stands_for(
    empty_house: House, name: str, args: Callable[[Any], dict[str, Any]]
) -> None:
    sql = sql_tools({"crm": Database("pen")})
    runtime, session, read = await reading(empty_house, reader(), note, anything, count, foreign(), *sql)
    outcome = await session.call(name, args(read))
    assert outcome.status in {Status.PENDING, Status.DENIED}
    known = {"back at"} if "back at" in str(args(read)) else set()  # its own words
    assert given_away(runtime, outcome) <= known
    denied = outcome.status is Status.DENIED
    assert denied == (name in {"note.count", "files.count", "sql.query"})
    if denied:
        argument = next(iter(args(read)))
        assert f"{name}: {argument}: " in outcome.error
        assert "given by reference" in outcome.error


async def test_what_a_validator_says_of_its_own_accord_repeats_nothing_either(empty_house: House) -> None:
    sql = sql_tools({"crm": Database("pen")})
    _, session, _ = await reading(empty_house, reader(), *sql)
    outcome = await session.call("sql.query", {"database": "hunter2", "statement": "SELECT 1"})
    assert "there is no such database; there are crm" in outcome.error
    assert "hunter2" not in outcome.error


async def test_who_answers_is_shown_which_value_it_is(empty_house: House) -> None:
    runtime, session, read = await reading(empty_house, reader(), note)
    asked = await session.call("note.add", {"to": "maria@cafe.example", "text": read["body"]})
    card = runtime.queue.asked(asked.ticket).card
    [text] = [one for one in card.arguments if one.name == "text"]
    assert text.text == LETTER
    assert "https://bank.example/reset?token=9f8e7d6c5b4a" in {origin.of for origin in text.origins}


async def test_a_source_names_the_field_that_was_withheld_and_nothing_below_it(empty_house: House) -> None:
    policy = preset("provenance", WITHHELD)
    runtime, session, read = await reading(empty_house, reader(), anything, policy=policy)
    asked = await session.call("note.any", {"data": read["head"]}, call_id="n1")
    assert asked.status is Status.PENDING
    [proposed] = records(runtime.ledger, "approval.proposed")
    assert {source.partition("#")[2] for source in proposed["lineage"]} == {"head"}
    answer(runtime, asked.ticket)
    done = await session.redeem(asked.ticket)
    [intent] = records(runtime.ledger, "call.intent")
    assert {carried["source"].partition("#")[2] for carried in intent["carried"]} == {"head"}
    assert given_away(runtime, asked, done) == set()


async def test_what_a_preview_says_of_a_withheld_text_is_for_who_answers(empty_house: House) -> None:
    def preview(_: ToolContext, text: str) -> str:
        if gone:
            raise ToolError(f"there is no {text!r} any more")
        return "one becomes two"

    @tool("note.set", tier="write", sources={"*": "meta"}, preview=preview)
    async def change(_: ToolContext, text: str) -> dict[str, str]:
        """Change a note."""
        return {"changed": text}

    gone: list[int] = []
    runtime, session, read = await reading(empty_house, reader(), change)
    asked = await session.call("note.set", {"text": read["body"]}, call_id="n1")
    answer(runtime, asked.ticket)
    gone.append(1)
    denied = await session.redeem(asked.ticket)
    assert "what it will change cannot be seen now; call again" in denied.error
    assert given_away(runtime, asked, denied) == set()
    again = await session.call("note.set", {"text": read["body"]}, call_id="n2")
    assert "Zephyr" in runtime.queue.asked(again.ticket).card.refuses


Edit = Callable[[dict[str, Any]], dict[str, Any]]

EDITS: dict[str, tuple[str, Edit]] = {
    "a word before it": (LETTER, lambda args: {**args, "text": f"FYI: {args['text']}"}),
    "a word in it": (LETTER, lambda args: {**args, "text": args["text"].replace("closes on", "is on")}),
    "another argument": (LETTER, lambda args: {**args, "to": "bo@acme.example"}),
    "another argument, a short text": ("vzqx", lambda args: {**args, "to": "bo@acme.example"}),
    "a word before a short text": ("vzqx", lambda args: {**args, "text": f"it is {args['text']}!"}),
}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "another process"])
@pytest.mark.parametrize(("body", "edit"), EDITS.values(), ids=EDITS)
async def test_an_edit_does_not_make_a_tool_tell_what_was_withheld(
    empty_house: House, body: str, edit: Edit, *, elsewhere: bool
) -> None:
    runtime, session, read = await reading(empty_house, reader(body), note)
    args = {"to": "maria@cafe.example", "text": read["body"]}
    asked = await session.call("note.add", args, call_id="n1")
    before = orjson.loads(runtime.queue.asked(asked.ticket).args_json)
    edited = await runtime.edit(asked.ticket, "li@acme.example", edit(before), reason="so")
    if elsewhere:
        runtime = empty_house.runtime(tools=[reader(body), note])
        session = await runtime.resume_session(session.id)
    if edited.state != "approved":
        answer(runtime, edited.ticket, "bo@acme.example")
    done = await (
        session.redeem(edited.ticket) if elsewhere else session.call("note.add", args, call_id="n1")
    )
    assert done.status is Status.DONE
    assert done.edited is not None
    assert done.value["note"].keys() == {"$ref", "kind", "chars"}
    assert given_away(runtime, done) == set()
    after = await empty_house.runtime(tools=[reader(body), note]).resume_session(session.id)
    assert given_away(runtime, await after.call("note.add", args, call_id="n1")) == set()


async def test_an_edit_below_a_reference_is_told_by_its_argument(empty_house: House) -> None:
    runtime, session, read = await reading(empty_house, reader(), anything)
    asked = await session.call("note.any", {"data": read["head"]}, call_id="n1")
    changed = {**HEAD, "the pin is vzqx": "never mind"}
    edited = await runtime.edit(asked.ticket, "li@acme.example", {"data": changed}, reason="so")
    if edited.state != "approved":
        answer(runtime, edited.ticket, "bo@acme.example")
    done = await session.call("note.any", {"data": read["head"]}, call_id="n1")
    assert done.edited is not None
    assert done.edited.changed == {"data": None}
    assert "edited what was asked (data)" in str(records(runtime.ledger, "approval.proposed")[-1]["reasons"])
    assert given_away(runtime, done) == set()


async def test_a_short_text_that_was_asked_for_under_an_older_policy_does_not_come_back(
    empty_house: House,
) -> None:
    """The question is put anew, from what was resolved: its references are known all the same."""
    runtime, session, read = await reading(empty_house, reader("vzqx"), note)
    args = {"to": "maria@cafe.example", "text": read["body"]}
    asked = await session.call("note.add", args, call_id="n1")
    for word in ("one", "two"):
        empty_house.apply(ASKING + f'\n[[deny]]\nid = "{word}"\nto = "*"\ntools = ["{word}.never"]\n')
        asked = await session.redeem(asked.ticket)
        assert asked.status is Status.PENDING
    runtime = empty_house.runtime(tools=[reader("vzqx"), note])
    session = await runtime.resume_session(session.id)
    answer(runtime, asked.ticket)
    done = await session.redeem(asked.ticket)
    assert done.status is Status.DONE
    assert done.value["note"].keys() == {"$ref", "kind", "chars"}


async def test_a_list_of_guesses_is_not_answered_with_the_one_that_is_right(empty_house: House) -> None:
    """Which of many values stands in a withheld text is nothing that a reason says."""
    policy = preset("provenance", WITHHELD)
    runtime, session, _ = await reading(empty_house, reader(code="482913"), many, policy=policy)

    async def tried(first: int, number: int) -> tuple[Any, ...]:
        asked = await session.call(
            "note.many", {"to": [str(guess) for guess in range(first, first + number)]}
        )
        assert "482913" not in str(asked.reasons)
        return asked.status, tuple(reason.text for reason in asked.reasons)

    most = [await tried(first, MOST_GUESSES) for first in (482913, 482913 - MOST_GUESSES + 1)]
    assert most[0] == most[1]  # whichever of them it is
    more = [await tried(first, MOST_GUESSES + 1) for first in (482900, 111111)]
    assert more[0] == more[1]  # and not even whether it is one of them
    assert more[0][0] is Status.PENDING
    origins = [
        origin
        for question in runtime.queue.questions()
        for argument in runtime.queue.asked(question.ticket).card.arguments
        for origin in argument.origins
    ]
    assert "482913" in {origin.of for origin in origins}  # who answers is shown it


async def test_while_nothing_is_withheld_many_values_are_judged_as_few_are(empty_house: House) -> None:
    policy = preset("provenance")
    _, session, _ = await reading(empty_house, many, reader(), policy=policy)
    fresh = await opened(empty_house.runtime(tools=[many]), request="Write to all")
    assert (await fresh.call("note.many", {"to": ["x"] * 500})).status is Status.DONE
    asked = await session.call("note.many", {"to": ["x"] * 500})
    assert "more than" not in asked.error
