"""Half of a surrogate pair has no UTF-8 form: it comes in from broken charsets, and nothing falls over it."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from pratique.audit.chain import Verdict
from pratique.errors import CanonicalError, NotAnApproverError, ToolError
from pratique.model import Status
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from tests.house import House, answer, opened, records, verify

HALF = "a\ud800b"
WHOLE = "a\ufffdb"


class Note(BaseModel):
    text: str
    more: list[dict[str, str]]


@tool("desk.odd", tier="write", sources={"*": "untrusted"})
async def odd(_: ToolContext, how: str) -> Any:
    """Give half a character away."""
    ways: dict[str, Any] = {
        "text": HALF,
        "deep": {"n": [{HALF: (HALF,)}]},
        "model": Note(text=HALF, more=[{HALF: HALF}]),
        "bytes": b"a\xff".decode("utf-8", "surrogateescape"),
        "pair": "\ud83d\ude00",
    }
    if how == "error":
        raise ToolError(HALF)
    return ways[how]


@pytest.fixture
def runtime(house: House) -> Runtime:
    return house.runtime(tools=[odd])


@pytest.mark.parametrize(
    "args", [{"text": HALF}, {HALF: "x"}, {"text": {HALF: 1}}, {"text": ["x", [HALF]]}], ids=range(4)
)
async def test_arguments_are_denied_in_one_line_on_record(runtime: Runtime, args: dict[str, Any]) -> None:
    denied = await (await opened(runtime)).call("desk.look", args)
    assert denied.status is Status.DENIED
    assert "surrogates" in denied.error
    assert records(runtime.ledger)[-1]["outcome"] == "denied"


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ("text", WHOLE),
        ("deep", {"n": [{WHOLE: [WHOLE]}]}),
        ("model", {"text": WHOLE, "more": [{WHOLE: WHOLE}]}),
        ("bytes", "a\ufffd"),
        ("pair", "😀"),
    ],
)
async def test_a_result_comes_out_with_everything_that_can_be_said(
    runtime: Runtime, how: str, value: Any
) -> None:
    outcome = await (await opened(runtime)).call("desk.odd", {"how": how})
    assert (outcome.status, outcome.value) == (Status.DONE, value)


async def test_an_error_is_told_and_recorded(runtime: Runtime) -> None:
    outcome = await (await opened(runtime)).call("desk.odd", {"how": "error"})
    assert (outcome.status, outcome.error) == (Status.FAILED, "a?b")
    assert records(runtime.ledger)[-1]["error"] == "a?b"


async def test_what_the_host_says_is_recorded_as_far_as_it_can_be(runtime: Runtime) -> None:
    async with runtime.session(agent="support", user="kim@acme.example", request=HALF, model=HALF) as session:
        session.finish(HALF, HALF)
    assert verify(runtime.ledger).verdict is Verdict.UNANCHORED


@pytest.mark.parametrize(
    "ask",
    [
        lambda runtime, _: opened(runtime, inputs={"a": HALF}),
        lambda runtime, _: opened(runtime, plan=[HALF]),
        lambda runtime, _: opened(runtime, user=HALF),
        lambda runtime, _: runtime.resume_session(HALF),
        lambda runtime, _: runtime.answer(HALF, "li@acme.example", approve=True),
        lambda _, session: session.redeem(HALF),
    ],
    ids=["inputs", "plan", "user", "resume", "answer", "redeem"],
)
async def test_what_cannot_be_is_refused_in_our_words(
    runtime: Runtime, ask: Callable[[Runtime, Session], Any]
) -> None:
    session = await opened(runtime)
    before = records(runtime.ledger)
    with pytest.raises(CanonicalError):
        await ask(runtime, session)
    assert records(runtime.ledger) == before
    assert (await session.call("desk.look")).status is Status.DONE


async def test_half_a_person_is_no_approver(runtime: Runtime) -> None:
    ticket = (await (await opened(runtime)).call("desk.pay", {"to": "mo", "amount": 1})).ticket
    with pytest.raises(NotAnApproverError, match="a\ufffdb cannot answer"):
        answer(runtime, ticket, HALF)
    assert answer(runtime, ticket, approve=False, reason=HALF).reason == "a?b"
