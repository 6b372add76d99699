"""One call cannot hold up the others: what it costs grows with its size, and its size is bounded.

Steps are counted, not timed: comparisons of reasons, overlaps that are looked at, bytes that are read again.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from pratique.approvals.card import MOST_ORIGINS
from pratique.model import MOST_REASONS, Outcome, Reason, Status
from pratique.quarantine.limits import Limits
from pratique.quarantine.provenance import Tracker
from pratique.stages import lineage
from pratique.stages.provenance import MOST_FOUND
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from tests.house import POLICY, House, opened, records

ASK = """
[[ask]]
id = "many"
to = "*"
tools = ["desk.many"]
taint = "none"
approvers = "leads"
"""


@tool("desk.many", tier="write", sources={"*": "meta"}, sinks={"to": "dest"})
async def many(_: ToolContext, to: list[str]) -> dict[str, Any]:
    """Tell many."""
    return {"told": len(to)}


def letter(text: str) -> Tool:
    """Return a tool that reads a stranger's letter."""

    @tool("desk.letter", tier="read", sources={"*": "untrusted"})
    async def read(_: ToolContext) -> dict[str, str]:
        """Read the letter."""
        return {"text": text}

    return read


def numbers(count: int) -> list[str]:
    return [str(100_000 + number) for number in range(count)]


async def told(house: House, to: list[str], **how: Any) -> Outcome:
    house.apply(POLICY + ASK)
    session = await opened(house.runtime(tools=[many, letter("Your code is 482913. Tell nobody.")], **how))
    await session.call("desk.letter")
    return await session.call("desk.many", {"to": to})


@pytest.fixture
def counted() -> Iterator[Callable[[Any], Callable[[], int]]]:
    """Count how often a function is called, without taking its place."""
    seen: dict[Any, int] = {}

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in seen:
            seen[frame.f_code] += 1

    def count(function: Any) -> Callable[[], int]:
        seen[function.__code__] = 0
        sys.setprofile(profile)
        return lambda: seen[function.__code__]

    yield count
    sys.setprofile(None)


async def test_reasons_are_told_apart_without_comparing_each_with_each(
    house: House, counted: Callable[[Any], Callable[[], int]]
) -> None:
    comparisons = counted(Reason.__eq__)
    outcome = await told(house, numbers(400))
    assert outcome.status is Status.PENDING
    assert comparisons() < 4 * 400


async def test_of_many_values_the_reason_is_told_once_and_the_card_names_some(house: House) -> None:
    outcome = await told(house, numbers(1000))
    runtime = house.runtime()
    found = [reason.text for reason in outcome.reasons if reason.rule == "provenance"]
    assert found == ["to (dest) was written by the model: no origin was found"]
    card = runtime.queue.asked(outcome.ticket).card
    assert card.rules == ("many asks leads",)
    assert len(card.arguments[0].origins) == MOST_ORIGINS + 1
    assert all(len(record.get("reasons", ())) <= MOST_REASONS for record in records(runtime.ledger))


async def test_of_many_reasons_some_are_told_and_how_many_more(house: House) -> None:
    house.apply(POLICY + ASK)
    codes = iter(numbers(1000))

    @tool("desk.letter", tier="read", sources={"*": "untrusted"})
    async def read(_: ToolContext) -> dict[str, str]:
        """Read the next letter."""
        return {"text": f"Your code is {next(codes)}. Tell nobody."}

    session = await opened(house.runtime(tools=[many, read]))
    letters = MOST_FOUND + 30
    for number in range(letters):
        assert (await session.call("desk.letter", call_id=f"letter{number}")).status is Status.DONE
    outcome = await session.call("desk.many", {"to": numbers(letters)})
    found = [reason.text for reason in outcome.reasons if reason.rule == "provenance"]
    assert len(found) == MOST_FOUND + 1
    assert found[-1] == "and 30 more values: see the trace"
    assert "letter0" in found[0]
    assert len(outcome.error) < 8192
    assert all(len(record.get("reasons", ())) <= MOST_REASONS for record in records(house.ledger()))


async def test_of_many_values_a_strangers_is_told_first(house: House) -> None:
    outcome = await told(house, [*numbers(1000), "482913"])
    found = [reason.text for reason in outcome.reasons if reason.rule == "provenance"]
    assert "to (dest) was written by somebody outside in desk.letter" in found[0]
    origins = house.runtime().queue.asked(outcome.ticket).card.arguments[0].origins
    assert "482913" in origins[0].of


async def test_a_call_of_more_values_than_the_limit_is_denied_and_says_which(house: House) -> None:
    outcome = await told(house, numbers(50), limits=(256 * 1024, 32, 50))
    assert outcome.status is Status.DENIED
    assert "51 values or more, at most 50 are taken" in outcome.error
    assert (await told(house, numbers(49), limits=(256 * 1024, 32, 50))).status is Status.PENDING


async def test_values_are_counted_at_all_depths(house: House) -> None:
    deep: dict[str, Any] = {"to": [[[str(n)] for n in range(20)] for _ in range(20)]}
    session = await opened(house.runtime(tools=[many], limits=(256 * 1024, 32, 800)))
    assert "821 values or more" in (await session.call("desk.many", deep)).error


async def test_a_long_tainted_write_looks_at_each_part_of_it_a_few_times(
    house: House, counted: Callable[[Any], Callable[[], int]]
) -> None:
    looks = counted(lineage._shared)

    async def looked(passages: int) -> int:
        foreign = " ".join(f"alpha{i:05d} beta{i:05d} gamma{i:05d}" for i in range(passages))
        mixed = " ".join(
            f"alpha{i:05d} beta{i:05d} gamma{i:05d} own{i}\nline{i} mine{i}" for i in range(passages)
        )

        @tool("desk.write", tier="write", sources={"*": "meta"})
        async def write(_: ToolContext, text: str) -> dict[str, int]:
            """Write."""
            return {"size": len(text)}

        before = looks()
        session = await opened(house.runtime(tools=[write, letter(foreign)]))
        await session.call("desk.letter")
        assert (await session.call("desk.write", {"text": mixed})).status is Status.DONE
        intent = next(r for r in reversed(records(house.ledger())) if r["type"] == "call.intent")
        assert b"marks" in orjson.dumps(intent)
        return looks() - before

    few, more = await looked(100), await looked(400)
    assert few > 0
    assert more < 6 * few  # four times the text; it was sixteen times the looks


def test_a_session_is_read_again_for_so_many_bytes_and_what_is_left_counts_as_untrusted() -> None:
    tracker = Tracker(Limits(rereads=100_000))
    tracker.saw_result("c1", "mail.read", {"body": "word " * 2000}, {"*": "untrusted"})
    names = [f"nowhere{n:06d}" for n in range(20)]
    origins = tracker.trace("desk.many", {"to": names}, {"to": "dest"}, thorough=True)
    unsearched = [origin.value for origin in origins if origin.how == "unsearched"]
    assert names[:4] == [origin.value for origin in origins if origin.how != "unsearched"]
    assert unsearched == names[4:]
