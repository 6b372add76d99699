"""Every recorded call decided again: what agrees, what another policy changes, what nobody can know."""

import hashlib
from typing import Any

import pytest

from pratique.audit import drafts
from pratique.capabilities.policy import Policy
from pratique.capabilities.replay import Change
from pratique.capabilities.snapshot import Snapshot
from pratique.ledger.door import Ledger
from pratique.ledger.replay import ReplayReport, Stretch, replay
from pratique.ledger.sequencer import Entry
from pratique.model import Status
from tests.house import (
    ALLOW_ALL,
    ASK_IRREVERSIBLE,
    PEOPLE,
    POLICY,
    SECOND,
    START_US,
    Clock,
    House,
    answer,
    opened,
    records,
    reject,
    sql,
)

SMALL = """
[constraints]
small = "amount <= 50"

[[allow]]
id = "small"
to = "support"
tools = ["desk.pay"]
tier = "irreversible"
taint = "sink"
confidentiality = "confidential"
when = "small"

[[allow]]
id = "rest"
to = "support"
tools = ["desk.look", "desk.note"]
tier = "write"
taint = "sink"
confidentiality = "confidential"
"""

UNTIL_TEN = """
[[exception]]
id = "flood"
to = "support"
tools = ["desk.*"]
tier = "write"
confidentiality = "confidential"
taint = "sink"
not_before = 2026-09-01T00:00:00Z
expires = {expires}
owner = "ana@acme.example"
approved_by = "li@acme.example"
reason = "the flood"
max_uses = 2
"""


def by(text: str) -> Snapshot:
    return Snapshot(Policy(text), 9)


def counts(report: ReplayReport) -> dict[str, int]:
    return {change.value: count for change, count in report.counts.items() if count}


async def day(house: House) -> Ledger:
    """A day with a bit of everything: reads, writes, questions, an unknown tool, wrong arguments."""
    runtime = house.runtime()
    session = await opened(runtime)
    await session.call("desk.look", {"text": "a"})
    await session.call("desk.note", {"text": "b"})
    await session.call("desk.nothing", {})
    await session.call("desk.note", {"wrong": 1})
    for amount in (10, 20, 90):
        ticket = (await session.call("desk.pay", {"to": "mo", "amount": amount})).ticket
        (reject if amount == 20 else answer)(runtime, ticket)
        await session.redeem(ticket)
    await session.call("desk.mail")
    return runtime.ledger


async def test_the_recorded_policy_answers_as_it_did(house: House) -> None:
    ledger = await day(house)
    report = replay(ledger, None)
    assert counts(report) == {"same": 8}, "8 decisions: what people answered is not another one"
    assert report.recorded == {hashlib.sha256(POLICY.encode()).hexdigest(): 8}
    assert (report.head.seq, report.target) == (records(ledger)[-1]["seq"], "")
    assert counts(replay(ledger, by(POLICY))) == {"same": 8}


async def test_another_policy_changes_what_it_changes_and_says_where(house: House) -> None:
    ledger = await day(house)
    report = replay(ledger, by(PEOPLE + SMALL))
    assert counts(report) == {"same": 4, "newly-allowed": 2, "newly-denied": 2}
    told = [(g.change, g.before, g.after, g.tool, g.rule, g.count) for g in report.groups]
    assert told == [
        (Change.NEWLY_ALLOWED, "ask", "allow", "desk.pay", "small", 2),
        (Change.NEWLY_DENIED, "allow", "deny", "desk.mail", "", 1),
        (Change.NEWLY_DENIED, "ask", "deny", "desk.pay", "", 1),
    ]
    asked = [record["seq"] for record in records(ledger, "approval.proposed")]
    assert report.groups[0].examples == (asked[0], asked[1])
    assert report.groups[2].examples == (asked[2],)


async def test_a_question_more_is_told_from_a_call_let_through(house: House) -> None:
    ledger = await day(house)
    always = ASK_IRREVERSIBLE.replace('tier = "irreversible"', 'tier = "read"')
    report = replay(ledger, by(PEOPLE + ALLOW_ALL + always))
    assert counts(report) == {"same": 5, "newly-asked": 3}
    assert counts(replay(ledger, by(PEOPLE + ALLOW_ALL))) == {"same": 5, "newly-allowed": 3}
    assert counts(replay(ledger, by(PEOPLE))) == {"same": 2, "newly-denied": 6}


async def test_what_was_erased_is_undecidable_only_where_it_decides(house: House) -> None:
    ledger = await day(house)
    sql(ledger, "DELETE FROM vault")
    report = replay(ledger, by(PEOPLE + SMALL))
    assert counts(report) == {"same": 4, "newly-denied": 1, "undecidable": 3}
    (unknown,) = [group for group in report.groups if group.change is Change.UNDECIDABLE]
    assert (unknown.tool, unknown.before, unknown.after, unknown.count) == ("desk.pay", "ask", "", 3)
    assert "erased" in unknown.because
    assert counts(replay(ledger, by(PEOPLE + ALLOW_ALL))) == {"same": 5, "newly-allowed": 3}


async def test_arguments_that_are_not_the_recorded_ones_do_not_count(house: House) -> None:
    """Each is under the key of a user, and bound to its record: what is swapped does not open."""
    ledger = await day(house)
    first, second, *_ = [record["seq"] for record in records(ledger, "approval.proposed")]
    sql(
        ledger,
        "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?",
        second,
        first,
    )
    assert replay(ledger, by(PEOPLE + SMALL)).count(Change.UNDECIDABLE) == 1


async def test_a_record_that_its_own_policy_contradicts_is_a_mismatch(house: House) -> None:
    ledger = await day(house)
    note = next(r for r in records(ledger, "call.intent") if r["tool"] == "desk.note")
    forged = {key: value for key, value in note.items() if key not in drafts._OWN_TO_THE_INTENT}
    more = {"tool": "elsewhere.pay", "writer": note["writer"], "grants": [], "digest": "x"}
    ledger.commit_now(Entry(drafts=({**forged, **more},)))
    report = replay(ledger, None)
    assert counts(report) == {"same": 8, "engine-mismatch": 1}
    (group,) = report.groups
    assert (group.before, group.after, group.tool) == ("allow", "deny", "elsewhere.pay")


async def test_a_policy_whose_text_is_lost_decides_nothing(house: House) -> None:
    ledger = await day(house)
    sql(ledger, "UPDATE blobs SET body = ?", b"[agents]")
    report = replay(ledger, by(PEOPLE))
    assert counts(report) == {"undecidable": 8}
    assert {"recorded policy's text is lost" in group.because for group in report.groups} == {True}


async def test_a_rule_that_ended_while_the_call_ran_is_no_mismatch(house: House, clock: Clock) -> None:
    expires = "2026-09-21T14:13:22Z"
    assert START_US == 1_790_000_000 * SECOND, "which is 2026-09-21T14:13:20Z"
    house.apply(PEOPLE + UNTIL_TEN.format(expires=expires).replace("max_uses = 2", ""))
    runtime = house.runtime()

    async def later() -> None:
        clock.forward(5)

    house.desk.meanwhile = later
    session = await opened(runtime)
    assert (await session.call("desk.look")).status is Status.DONE
    house.desk.meanwhile = None
    assert (await session.call("desk.look")).status is Status.DENIED
    assert counts(replay(runtime.ledger, None)) == {"same": 2}


async def test_what_was_refused_for_another_reason_is_no_mismatch(house: House) -> None:
    """An exception that is used up is not in the policy: its count is in the ledger."""
    house.apply(PEOPLE + UNTIL_TEN.format(expires="2026-12-01T00:00:00Z"))
    runtime = house.runtime()
    session = await opened(runtime)
    ends = [(await session.call("desk.note", {"text": str(n)})).status for n in range(3)]
    assert ends == [Status.DONE, Status.DONE, Status.DENIED]
    assert counts(replay(runtime.ledger, None)) == {"same": 3}
    report = replay(runtime.ledger, by(PEOPLE))
    assert counts(report) == {"newly-denied": 3}


async def test_each_record_is_held_against_the_policy_of_its_day(house: House) -> None:
    await day(house)
    house.apply(PEOPLE + SMALL + ASK_IRREVERSIBLE)
    runtime = house.runtime()
    session = await opened(runtime)
    for amount in (10, 90):
        await session.call("desk.pay", {"to": "mo", "amount": amount})
    ledger = runtime.ledger
    report = replay(ledger, None)
    assert counts(report) == {"same": report.decisions}
    assert sorted(report.recorded.values()) == [2, 8]


async def test_a_stretch_is_a_stretch_and_two_make_the_whole(house: House, clock: Clock) -> None:
    first = await day(house)
    middle = records(first)[-1]["seq"]
    clock.forward(3600)
    ledger = await day(house)
    target = by(PEOPLE + SMALL)
    whole = replay(ledger, target)
    late = replay(ledger, target, Stretch(since_us=START_US + 10 * SECOND))
    early = replay(ledger, target, Stretch(until_us=START_US + 10 * SECOND))
    assert whole.decisions == late.decisions + early.decisions == 16
    assert late.decisions == early.decisions == 8
    assert counts(replay(ledger, target, Stretch(after=middle))) == counts(late)
    session = records(ledger, "session.open")[0]["session"]
    assert replay(ledger, target, Stretch(session=session)).decisions == 8
    assert replay(ledger, target, Stretch(after=whole.last)).decisions == 0


async def test_keys_that_label_otherwise_are_named(house: House) -> None:
    ledger = await day(house)
    labels = '[tools."desk.look"]\nsources = { seen = "untrusted" }\n'
    assert "tools.desk.look.sources" in replay(ledger, by(POLICY + labels)).relabelled


def test_an_empty_log_has_nothing_to_decide(ledger: Ledger) -> None:
    assert counts(replay(ledger, by(PEOPLE))) == {}


async def test_it_says_how_far_it_is_and_writes_nothing(house: House) -> None:
    ledger, told = await day(house), list[Any]()
    before = records(ledger)
    replay(ledger, by(PEOPLE), progress=lambda at, of: told.append((at, of)))
    assert told
    assert told[-1][1] == before[-1]["seq"]
    assert records(ledger) == before


@pytest.mark.parametrize("text", [PEOPLE, POLICY])
async def test_a_report_is_the_same_each_time(house: House, text: str) -> None:
    ledger = await day(house)
    assert replay(ledger, by(text)) == replay(ledger, by(text))
