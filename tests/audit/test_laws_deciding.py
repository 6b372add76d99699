"""Each law of deciding, kept once and broken once."""

from collections.abc import Callable
from typing import Any

import pytest

from pratique.audit.legality import illegal
from pratique.audit.standing import Record, Stated

SECOND = 1_000_000
BY = {"epoch": 1, "policy_digest": "p1", "rules": ["r"]}
WHO = {"session": "s1", "trace_id": "t", "agent": "support", "tenant": "default"}
NEEDS = [{"rule": "irreversible", "approvers": "leads", "quorum": 1, "delegates": "deputies"}]
LI, BO, DE, CH = "li@acme.example", "bo@acme.example", "de@acme.example", "ch@acme.example"

Records = list[dict[str, Any]]
Change = Callable[[Records], None]


class Known:
    """The policy of the history, and on whose behalf people were asked."""

    def policy(self, _: str) -> Stated | None:
        return Stated({"leads": [LI, BO, "kim@acme.example"], "deputies": [DE], "chiefs": [CH]}, {}, "")

    def asked_for(self, _: Record) -> str | None:
        return "kim@acme.example"


def call(kind: str, digest: str, tier: str = "write", **more: Any) -> dict[str, Any]:
    what = {"call_id": "c1", "digest": digest, "tool": "desk.pay", "tool_digest": "x", "tier": tier}
    return {"type": kind, **WHO, **BY, **what, "effect": "allow", "ticket": "", "approved_by": []} | more


def ask(ticket: str, digest: str, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"needs": NEEDS, "wait_s": 60, "use_within_s": 60, "escalate_to": ["chiefs"]}
    return call("approval.proposed", digest, effect="ask", ticket=ticket, **asked, **more)


def about(step: str, ticket: str, /, **more: Any) -> dict[str, Any]:
    return {"type": f"approval.{step}", "session": "s1", "ticket": ticket, **more}


def legal() -> Records:
    """A history in which everything about deciding happens once, and every step was allowed."""
    standing = {"agent": "support", "tenant": "default", "tool": "desk.pay", "tool_digest": "x"}
    bounds = {"max_uses": 1, "expires_us": 99 * SECOND, "epoch": 1}
    edited = {"edited_from": "t1", "edited_by": BO, "tier": "irreversible"}
    notice = {"type": "notice.delivery", "notice": 3, "channel": "mail"}
    records: Records = [
        {"type": "policy.load", "epoch": 1, "policy_digest": "p1"},
        {"type": "session.open", **WHO, **BY, "writer": "w1"},
        ask("t1", "d1"),
        about("remark", "t1", kind="question", speaker=LI),
        about("remark", "t1", kind="answer", speaker=""),
        about("handed", "t1", by=LI, to=DE),
        about("edited", "t1", by=BO, edited_to="t2"),
        ask("t2", "d2", **edited),
        about("vote", "t2", voter=BO, vote="approve"),
        about("escalated", "t2", to=["chiefs"]),  # 10
        about("vote", "t2", voter=CH, vote="approve"),
        about("decided", "t2", state="approved", approvers=[BO, CH]),
        call("call.intent", "d2", "irreversible", ticket="t2", approved_by=[BO, CH], writer="w1", grants=[]),
        {"type": "standing.made", "standing": "sa1", "by": LI, **standing, **bounds},
        {"type": "standing.joined", "standing": "sa1", "by": BO},
        call("call.intent", "d3", standing="sa1", approved_by=[LI, BO], writer="w1", grants=[], taint="none"),
        {"type": "standing.revoked", "standing": "sa1", "by": LI},
        {**notice, "state": "trying", "attempts": 1},
        {**notice, "state": "trying", "attempts": 2},
        {**notice, "state": "sent", "attempts": 2},  # 20
    ]
    for number, record in enumerate(records, 1):
        record.update(seq=number, ts_us=(number + (30 if number >= 10 else 0)) * SECOND)
    return records


def at(seq: int, **changes: Any) -> Change:
    return lambda records: records[seq - 1].update(changes)


def without(seq: int) -> Change:
    def change(records: Records) -> None:
        del records[seq - 1]

    return change


def twice(seq: int, **changes: Any) -> Change:
    def change(records: Records) -> None:
        records.insert(seq, {**records[seq - 1], **changes})

    return change


def alone(records: Records) -> None:
    """Let nobody agree but the editor."""
    at(12, approvers=[BO])(records)
    without(11)(records)


BREAKS: dict[str, tuple[Change, str]] = {
    "a stranger asks": (at(4, speaker="eve@evil.example"), "had no say in t1"),
    "nobody asked": (without(4), "it answers what nobody asked"),
    "another kind of line": (at(4, kind="order"), "is no line of a thread"),
    "a stranger hands on": (at(6, by="eve@evil.example"), "had no say in t1"),
    "to a stranger": (at(6, to="eve@evil.example"), "eve@evil.example may not take t1"),
    "to the person themselves": (at(6, to="kim@acme.example"), "kim@acme.example may not take t1"),
    "handed on twice": (twice(6, to=BO), "had answered t1, or handed it on"),
    "edited by who handed it on": (at(7, by=LI), "had no say in t1: they handed it to"),
    "edited too late": (at(7, ts_us=99 * SECOND), "t1 was answered after its time to wait"),
    "edited twice": (twice(7), "it edits t1, which is not a question that is open"),
    "an edit that nobody made": (without(7), "edited t1, and no record before it does"),
    "an edit in another's name": (at(8, edited_by=LI), "edited t1, and no record before it does"),
    "what was edited runs as it was": (
        at(16, digest="d1"),
        "a person had edited the call c1: as it was asked, it must not run",
    ),
    "the editor alone agrees": (
        at(11, voter=LI, vote="reject"),
        "only bo@acme.example, who edited it, agreed",
    ),
    "escalated too early": (at(10, ts_us=9 * SECOND), "before half of its time was over"),
    "escalated elsewhere": (at(10, to=["leads"]), "escalated to others than it said"),
    "escalated twice": (twice(10), "t2 had escalated already"),
    "a chief who was not asked yet": (without(10), "ch@acme.example belongs to none of: leads"),
    "without bounds": (at(14, max_uses=0), "sa1 has no bounds"),
    "given under another policy": (at(14, epoch=2), "given under epoch 2"),
    "given twice": (twice(14), "sa1 was given before"),
    "joined twice": (twice(15), "stood behind sa1 already"),
    "joined by the giver": (at(15, by="LI@acme.example"), "stood behind sa1 already"),
    "never given": (without(14), "ran on the standing approval sa1, which is not there"),
    "used too often": (twice(16, digest="d4"), "sa1 was used 2 times, at most 1 are allowed"),
    "used too late": (at(16, ts_us=99 * SECOND), "sa1 was used after it had expired"),
    "used by another agent's tool": (at(16, tool="desk.note"), "for another tool"),
    "used with others' names": (at(16, approved_by=[LI]), "other people than those behind sa1"),
    "used for a tainted call": (at(16, taint="argument"), "an argument from outside"),
    "revoked twice": (twice(17), "was revoked before"),
    "an attempt is left out": (without(18), "attempt 2 of a notice comes after attempt 0"),
    "another end": (at(20, state="lost"), "'lost' is no state of a notice"),
}


def problems(records: Records) -> list[str]:
    return [one.problem for one in illegal(records, Known())]


def test_a_legal_history_is_legal() -> None:
    assert problems(legal()) == []


@pytest.mark.parametrize("name", BREAKS)
def test_each_law_is_broken_once_and_it_is_said(name: str) -> None:
    records = legal()
    change, words = BREAKS[name]
    change(records)
    assert any(words in problem for problem in problems(records)), problems(records)


def test_of_a_group_that_a_company_fills_nobody_can_be_said_not_to_be() -> None:
    class Company(Known):
        def policy(self, _: str) -> Stated | None:
            return Stated({"leads": ["oidc:payments"], "deputies": [DE], "chiefs": [CH]}, {}, "")

    assert [one.problem for one in illegal(legal(), Company())] == []
