"""Every law, broken once: a history that was legal, with one thing in it changed, is not any more.

Nothing here looks at the chain: these are the records of somebody who could have written any of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.audit.laws import LAWS
from pratique.audit.laws_identity import IDENTITY
from pratique.audit.laws_pinning import PINNING
from pratique.audit.legality import Illegal, Legality, illegal
from pratique.audit.standing import Record, Stated

Records = list[dict[str, Any]]
Change = Callable[[Records], None]

SECOND = 1_000_000
WHO = {"session": "s1", "trace_id": "t" * 32, "agent": "support", "tenant": "acme"}
BY = {"epoch": 1, "policy_digest": "p1", "rules": ["desk"], "reasons": [], "engine": "e"}
NEEDS = [{"rule": "ask", "approvers": "leads", "quorum": 2}]


class Known:
    """A policy with three leads and one exception that may be used once; all was asked for kim."""

    def policy(self, digest: str) -> Stated | None:
        people = ["li@acme.example", "bo@acme.example", "kim@acme.example"]
        return Stated({"leads": people}, {"once": 1}, "leads") if digest in {"p1", "p2"} else None

    def asked_for(self, proposed: Record) -> str | None:
        return "Kim@acme.example" if proposed else None


def call(kind: str, name: str, tier: str, **more: Any) -> dict[str, Any]:
    what = {"call_id": name, "digest": f"d-{name}", "tool": "desk.pay", "tool_digest": "x", "tier": tier}
    made = {"type": kind, **WHO, **BY, **what, "effect": "allow", "ticket": "", "approved_by": []}
    return {**made, **more}


def vote(voter: str, vote: str = "approve") -> dict[str, Any]:
    return {"type": "approval.vote", "session": "s1", "ticket": "t1", "voter": voter, "vote": vote}


YES = ["li@acme.example", "bo@acme.example"]


BECAUSE = {"by": "ana@acme.example", "reason": "yearly"}


def legal() -> Records:
    """A history in which everything happens once, and every step was allowed."""
    asked = {"effect": "ask", "ticket": "t1", "needs": NEEDS, "wait_s": 60, "use_within_s": 60}
    used = {"ticket": "t1", "approved_by": YES, "writer": "w1", "grants": []}
    again = {"ticket": "t2", "needs": NEEDS, "effect": "ask", "wait_s": 60, "use_within_s": 60}
    gone = {"subject": "k", "session": "", "call_id": "", "reason": "why", "asked_by": "ana@acme.example"}
    decided = {"type": "approval.decided", "session": "s1", "ticket": "t1", "state": "approved"}
    records: Records = [
        {"type": "policy.load", "epoch": 1, "policy_digest": "p1"},
        {"type": "session.open", **WHO, **BY, "writer": "w0"},
        {"type": "session.resume", **WHO, "writer": "w1"},
        call("call.outcome", "c0", "read", outcome="done"),
        call("approval.proposed", "c1", "irreversible", **asked),
        vote("li@acme.example"),
        vote("bo@acme.example"),
        {**decided, "approvers": YES},
        call("call.intent", "c1", "irreversible", **used),
        call("call.outcome", "c1", "irreversible", outcome="done", intent=9, ticket="t1", approved_by=YES),
        call("call.intent", "c2", "write", writer="w1", grants=["once"]),
        call("call.outcome", "c2", "write", outcome="failed", intent=11),
        call("approval.proposed", "c3", "irreversible", **again),
        {"type": "approval.expired", "session": "s1", "ticket": "t2", "state": "expired"},
        call("call.outcome", "c4", "", outcome="denied", effect="deny", rules=[]),
        {"type": "session.close", **WHO},
        {"type": "policy.load", "epoch": 2, "policy_digest": "p2"},
        {"type": "erase.proposed", **gone, "proposal": "e1"},
        {"type": "erase", **gone, "proposal": "e1", "approved_by": "li@acme.example"},
        {"type": "key.rotate", "old": "k1", "new": "k2", **BECAUSE},
        *({"type": kind, **BECAUSE} for kind in ("segment.seal", "segment.drop", "hold.set", "hold.lift")),
    ]
    for number, record in enumerate(records, 1):
        # Half an hour lies before the question that nobody answered ends.
        record.update(seq=number, ts_us=(number + (1800 if number >= 14 else 0)) * SECOND)
    return records


def at(seq: int, **changes: Any) -> Change:
    """Change some fields of one record."""

    def change(records: Records) -> None:
        next(record for record in records if record["seq"] == seq).update(changes)

    return change


def without(*seqs: int) -> Change:
    def change(records: Records) -> None:
        records[:] = [record for record in records if record["seq"] not in seqs]

    return change


def late(seq: int, seconds: int) -> Change:
    """Let one record and all after it happen later."""

    def change(records: Records) -> None:
        for record in records:
            if record["seq"] >= seq:
                record["ts_us"] += seconds * SECOND

    return change


def twice(seq: int, after: int, **changes: Any) -> Change:
    """Repeat one record after another one."""

    def change(records: Records) -> None:
        place = next(n for n, record in enumerate(records) if record["seq"] == after)
        original = next(record for record in records if record["seq"] == seq)
        records.insert(place + 1, {**original, "ts_us": records[place]["ts_us"], "seq": 90, **changes})

    return change


def disabled(person: str, after: int) -> Change:
    """Give a person an account, and disable it, after one record."""

    def change(records: Records) -> None:
        place = next(n for n, record in enumerate(records) if record["seq"] == after)
        when = {"ts_us": records[place]["ts_us"], "seq": 90, "person": person, **BECAUSE}
        kinds = ("person.add", "person.disable")
        records[place + 1 : place + 1] = [{"type": kind, "roles": [], **when} for kind in kinds]

    return change


BREAKS: dict[str, tuple[Change, str]] = {
    "a key that is replaced by itself": (at(20, new="k1"), "the new key is the old one"),
    "records dropped by nobody": (at(22, by=""), "nobody says who did it"),
    "a hold lifted without a reason": (at(24, reason=""), "nobody says who did it, or why"),
    "an epoch is left out": (at(17, epoch=3), "epoch 3 in force after epoch 1"),
    "an epoch goes back": (at(17, epoch=1), "epoch 1 in force after epoch 1"),
    "a policy's text is missing": (at(17, policy_digest="p9"), "is not stored"),
    "a session is opened under another policy": (at(2, policy_digest="p2"), "did not have"),
    "a session is opened twice": (twice(2, 3), "was opened before"),
    "a session is opened again after its end": (twice(2, 16), "was opened before"),
    "a session is never opened": (without(2), "was never opened"),
    "a session is used after its end": (twice(4, 16), "was over"),
    "a call is written under another agent": (at(4, agent="other"), "another agent, tenant or trace"),
    "a call is written in another trace": (at(9, trace_id="u" * 32), "another agent, tenant or trace"),
    "a question is asked that the policy did not ask": (at(5, effect="allow"), "the policy said allow"),
    "a question asks nobody": (at(5, needs=[]), "it asks nobody"),
    "a ticket is given twice": (twice(5, 5, call_id="c9"), "was given before"),
    "a call is asked about twice": (twice(5, 5, ticket="t9"), "asks this already"),
    "a question under an old policy": (at(5, epoch=0), "while epoch 1 was in force"),
    "a decision by a policy that was not applied": (at(4, policy_digest="p2"), "not applied as epoch 1"),
    "a vote on nothing": (without(5), "not a question that is open"),
    "a vote too many by one person": (twice(6, 6, voter="LI@acme.example"), "voted on t1 before"),
    "a vote by a stranger": (at(6, voter="mo@evil.example"), "belongs to none of: leads"),
    "a vote on one's own request": (at(6, voter="kim@acme.example"), "on their own behalf"),
    "a vote of somebody who was disabled": (disabled("bo@acme.example", 6), "bo@acme.example was disabled"),
    "a vote that is none": (at(6, vote="perhaps"), "'perhaps' is no vote"),
    "a vote in another session": (at(6, session="s9"), "belongs to another session"),
    "a vote after its time": (late(6, 60), "after its time to wait"),
    "a vote after the decision": (twice(7, 8, voter="kim@acme.example"), "was approved already"),
    "a decision after its time": (late(8, 60), "after its time to wait"),
    "a vote under another policy": (
        twice(17, 6, epoch=2, policy_digest="p2"),
        "after the policy had changed",
    ),
    "too few agreed": (without(7), "not by those who voted"),
    "too few agreed, and it is said": (
        lambda records: (without(7)(records), at(8, approvers=YES[:1])(records), None)[-1],
        "approved by 1 of leads, ask needs 2",
    ),
    "others are named who agreed": (at(8, approvers=["bo@acme.example", "kim@acme.example"]), "not by those"),
    "somebody said no": (at(7, vote="reject"), "not by those who voted"),
    "a rejection that nobody voted for": (at(8, state="rejected"), "nobody voted so"),
    "a decision that is none": (at(8, state="perhaps"), "'perhaps' is no decision"),
    "a question expires early": (at(14, ts_us=14 * SECOND), "had time left"),
    "a question ends that is not open": (at(14, ticket="t9"), "not a question that is open"),
    "a question ends as nothing known": (at(14, state="gone"), "'gone' is no end"),
    "no decision approves it": (without(8), "no decision on record approves: it is proposed"),
    "no question was asked": (without(5, 6, 7, 8), "no decision on record approves"),
    "a yes for another call": (at(9, digest="d-other"), "for another call or policy"),
    "a yes that names others": (at(9, approved_by=["mo@evil.example"]), "names other people"),
    "a yes that was used too late": (late(9, 60), "used too late"),
    "a yes that is used twice": (twice(9, 10, call_id="c1"), "no decision on record approves"),
    "approvers without a question": (at(11, approved_by=YES), "no question that they answered"),
    "a call that runs twice": (twice(11, 12, grants=[]), "had run already (failed)"),
    "a call that runs twice at once": (twice(11, 11, grants=[]), "had run already (started)"),
    "an intent of another process": (at(11, writer="w9"), "does not serve the session"),
    "an intent that was denied": (at(11, effect="deny"), "although the decision was deny"),
    "an intent by no rule": (at(11, rules=[]), "no rule is named"),
    "an exception used too often": (twice(11, 12, call_id="c9", digest="d9"), "used 2 times, at most 1"),
    "an exception that is none": (at(11, grants=["never"]), "no counted exception never"),
    "an outcome without its intent": (at(10, intent=99), "which is not open"),
    "an outcome that is given twice": (twice(10, 10), "which is not open"),
    "the outcome of another call": (at(10, tool="desk.look"), "another tool"),
    "an outcome under another ticket": (at(12, ticket="t1"), "another ticket"),
    "a permitted call that ends as denied": (at(12, outcome="denied"), "ends as 'denied'"),
    "a denial that the policy did not say": (at(15, effect="allow"), "although the decision was allow"),
    "a denial in a session that never was": (at(15, session="s9"), "was never opened"),
    "a read that was denied and ran": (at(4, effect="deny"), "although the decision was deny"),
    "a read that ends as unknown": (at(4, outcome="unknown"), "a read ends as 'unknown'"),
    "a write without an intent": (at(4, tier="write"), "without an intent on record"),
    "an egress without an intent": (at(4, tier="egress"), "without an intent on record"),
    "a tier that is none without an intent": (at(4, tier=""), "of tier unknown ran without an intent"),
    "a yes without an intent": (at(4, ticket="t1"), "without an intent on record"),
    "an erasure without a second person": (at(19, proposal="", approved_by=""), "without leads"),
    "an erasure that nobody proposed": (without(18), "nobody proposed"),
    "an erasure that is carried out twice": (twice(19, 19), "carried out before"),
    "an erasure of something else": (at(19, subject="other"), "not what e1 proposed"),
    "an erasure by who proposed it": (at(19, approved_by="Ana@acme.example"), "proposed themselves"),
    "an erasure by a stranger": (at(19, approved_by="mo@evil.example"), "does not belong to leads"),
    "an erasure by nobody": (at(19, approved_by=""), "nobody does not belong to leads"),
    "a proposal that has no name": (at(18, proposal=""), "no name of its own"),
    "a proposal that is made twice": (twice(18, 18), "no name of its own"),
    "a type that nobody knows": (at(4, type="call.secret"), "no law is known"),
    "a record without a type": (at(4, type=None), "no law is known"),
    "a field that is missing": (lambda records: records[3].__delitem__("epoch"), "'epoch'"),
    "a field that is nothing": (at(9, grants=None), "lacks what its law looks at"),
}


DECIDING = {kind for kind, law in LAWS.items() if law.__module__ == "pratique.audit.laws_deciding"}
ELSEWHERE = {
    "recovery",
    *DECIDING,
    *IDENTITY,
    *PINNING,
}
"""Records that say something of the log itself, tried where they are made, and those about deciding."""


def problems(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return [one.problem for one in illegal(records, Known())]


def test_a_legal_history_is_legal_with_and_without_what_lies_beside_it() -> None:
    assert problems(legal()) == []
    assert list(illegal(legal())) == []
    assert {record["type"] for record in legal()} == set(LAWS) - ELSEWHERE, "every law is tried here"


@pytest.mark.parametrize("name", BREAKS)
def test_each_law_is_broken_once_and_it_is_said(name: str) -> None:
    records = legal()
    change, words = BREAKS[name]
    change(records)
    found = problems(records)
    assert any(words in problem for problem in found), found
    assert not any("\n" in problem for problem in found)


def test_what_is_illegal_is_named_by_its_record() -> None:
    records = legal()
    at(9, approved_by=["mo@evil.example"])(records)
    found = list(illegal(records, Known()))
    assert found[0] == Illegal(
        seq=9, type="call.intent", problem="it names other people than those who agreed to t1"
    )


def test_an_unknown_outcome_may_run_again_and_use_its_yes_again() -> None:
    """As tools with an idempotency key do (`CallIsNew`, `ApprovalUsable`)."""
    records = legal()
    at(10, outcome="unknown")(records)
    twice(9, 10)(records)
    assert problems(records) == []


def test_memory_is_what_is_open_not_what_was() -> None:
    legality = Legality(Known())
    for record in legal():
        legality.judge(record)
    now = legality.standing
    assert [now.sessions, now.questions, now.asked, now.intents, now.erasures] == [{}] * 5


def _keys() -> Iterator[tuple[int, str]]:
    for place, record in enumerate(legal()):
        yield from ((place, key) for key in record if key not in {"seq", "ts_us", "reasons", "engine"})


@given(
    st.sampled_from(list(_keys())),
    st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
)
def test_whatever_a_record_holds_it_is_judged_and_never_an_error(where: tuple[int, str], value: Any) -> None:
    """Who can write records can write anything into them."""
    place, key = where
    records = legal()
    records[place][key] = value
    assert all(isinstance(one, Illegal) for one in illegal(records, Known()))
