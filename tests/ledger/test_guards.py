"""Promise 5: what a decision was based on is looked at again, in the transaction that makes it final."""

import threading
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from pratique.errors import LedgerUnavailableError
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.guards import CallIsNew, CallIsOpen, EpochIs, Guard, Moment, SessionIsOpen, UsesLeft
from pratique.ledger.guards_approvals import ApprovalIs, ApprovalUsable, NotAskedYet
from pratique.ledger.sequencer import Entry, Receipt, Refused
from tests.house import START_US, Clock, locked, records

SESSION: dict[str, Any] = {
    "type": "session.open",
    "session": "s1",
    "trace_id": "t" * 32,
    "agent": "support",
    "tenant": "default",
    "subject": "p",
    "context": {"integrity": "trusted", "confidentiality": "public", "sources": []},
    "writer": "w1",
}
CALL: dict[str, Any] = {
    "session": "s1",
    "call_id": "c1",
    "digest": "d1",
    "tool": "desk.note",
    "tier": "write",
    "agent": "support",
    "writer": "w1",
    "ticket": "",
    "grants": [],
    "epoch": 1,
}
PROPOSED: dict[str, Any] = {
    **CALL,
    "type": "approval.proposed",
    "ticket": "t1",
    "card_digest": "k1",
    "needs": [],
    "wait_s": 100,
    "use_within_s": 10,
}
POLICY_1 = {"type": "policy.load", "epoch": 1, "policy_digest": "p1", "applied_by": "ana"}
INTENT = {**CALL, "type": "call.intent"}
DECIDED = {
    "type": "approval.decided",
    "session": "s1",
    "ticket": "t1",
    "state": "approved",
    "approvers": ["li"],
    "reason": "",
}
VOTE = {
    "type": "approval.vote",
    "session": "s1",
    "ticket": "t1",
    "voter": "li",
    "vote": "approve",
    "reason": "",
}
CLOSE = {"type": "session.close", "session": "s1"}
TAKE_OVER = {"type": "session.resume", "session": "s1", "writer": "w2"}


def outcome(of: int, state: str, ticket: str = "") -> dict[str, Any]:
    return {**CALL, "type": "call.outcome", "intent": of, "outcome": state, "ticket": ticket}


def write(ledger: Ledger, *drafts: dict[str, Any]) -> None:
    for draft in drafts:
        done = ledger.commit_now(Entry(drafts=(draft,)))
        assert isinstance(done, Receipt)


def held(ledger: Ledger, guard: Guard) -> str:
    """Commit under the guard; return why it refused, or nothing. A refusal must leave nothing behind."""
    before = len(records(ledger))
    done = ledger.commit_now(Entry(drafts=({"type": "note"},), guards=(guard,)))
    assert len(records(ledger)) == before + isinstance(done, Receipt)
    if isinstance(done, Refused):
        assert done.guard == guard
        assert "\n" not in done.why
        return done.why
    return ""


def test_the_epoch_must_be_the_one_that_decided(ledger: Ledger) -> None:
    assert held(ledger, EpochIs(0)) == ""
    assert held(ledger, EpochIs(1)) == "the policy changed from epoch 1 to 0"
    write(ledger, POLICY_1)
    assert held(ledger, EpochIs(0)) == "the policy changed from epoch 0 to 1"
    assert held(ledger, EpochIs(1)) == ""


def test_the_epoch_counts_from_the_entry_that_changed_it_even_inside_one_transaction(ledger: Ledger) -> None:
    """Entries that wait together are committed together: the second must see what the first did."""
    answers: dict[str, Any] = {}

    def commit(name: str, entry: Entry) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.__setitem__(name, ledger.commit_now(entry)))
        thread.start()
        return thread

    with locked(ledger):
        first = commit("first", Entry(drafts=({"type": "note"},)))
        threads = [first]
        for name in ("a", "b"):
            draft = {**POLICY_1, "policy_digest": name}
            threads.append(commit(name, Entry(drafts=(draft,), guards=(EpochIs(0),))))
    for thread in threads:
        thread.join()
    kinds = sorted(type(answers[name]).__name__ for name in ("a", "b"))
    assert kinds == ["Receipt", "Refused"]


@pytest.mark.parametrize(
    ("state", "why", "why_rerun"),
    [
        ("", "", ""),
        ("started", "run already (started)", "run already (started)"),
        ("done", "run already (done)", "run already (done)"),
        ("failed", "run already (failed)", "run already (failed)"),
        ("unknown", "run already (unknown)", ""),
    ],
)
def test_a_call_is_new_until_it_has_an_intent(ledger: Ledger, state: str, why: str, why_rerun: str) -> None:
    if state:
        write(ledger, SESSION, INTENT)
    if state not in {"", "started"}:
        write(ledger, outcome(2, state))
    assert held(ledger, CallIsNew("s1", "c1", "d1")).endswith(why)
    assert bool(held(ledger, CallIsNew("s1", "c1", "d1"))) == bool(why)
    assert bool(held(ledger, CallIsNew("s1", "c1", "d1", rerun=True))) == bool(why_rerun)
    for other in (CallIsNew("s2", "c1", "d1"), CallIsNew("s1", "c2", "d1"), CallIsNew("s1", "c1", "d2")):
        assert held(ledger, other) == ""


def test_an_intent_is_open_until_it_has_its_outcome(ledger: Ledger) -> None:
    assert held(ledger, CallIsOpen(2)) == "intent 2 is not there"
    write(ledger, SESSION, INTENT)
    assert held(ledger, CallIsOpen(2)) == ""
    assert held(ledger, CallIsOpen(1)) == "intent 1 is not there"
    write(ledger, outcome(2, "done"))
    assert held(ledger, CallIsOpen(2)) == "intent 2 is done"


def test_a_session_is_open_for_the_process_that_serves_it(ledger: Ledger) -> None:
    assert "is closed" in held(ledger, SessionIsOpen("s1", "w1"))
    write(ledger, SESSION)
    assert held(ledger, SessionIsOpen("s1", "w1")) == ""
    assert "another process" in held(ledger, SessionIsOpen("s1", "w2"))
    write(ledger, TAKE_OVER)
    assert "another process" in held(ledger, SessionIsOpen("s1", "w1"))
    assert held(ledger, SessionIsOpen("s1", "w2")) == ""
    write(ledger, CLOSE)
    assert "is closed" in held(ledger, SessionIsOpen("s1", "w2"))


def test_an_exception_has_uses_left_until_it_was_used_so_often(ledger: Ledger) -> None:
    write(ledger, SESSION)
    assert held(ledger, UsesLeft("x", 2)) == ""
    write(ledger, {**INTENT, "grants": ["x"]})
    assert held(ledger, UsesLeft("x", 2)) == ""
    write(ledger, {**INTENT, "call_id": "c2", "grants": ["x"]})
    assert held(ledger, UsesLeft("x", 2)) == "x has been used 2 of 2 times"
    assert held(ledger, UsesLeft("y", 1)) == ""


USABLE = ApprovalUsable("t1", "d1", "k1", 1)


@pytest.mark.parametrize(
    "guard",
    [
        USABLE._replace(digest="d2"),
        USABLE._replace(card_digest="k2"),
        USABLE._replace(epoch=2),
        USABLE._replace(ticket="t2"),
    ],
    ids=["digest", "card", "epoch", "ticket"],
)
def test_a_yes_is_for_one_call_one_card_and_one_policy(ledger: Ledger, guard: ApprovalUsable) -> None:
    write(ledger, SESSION, PROPOSED, VOTE, DECIDED)
    assert held(ledger, USABLE) == ""
    assert held(ledger, guard)


def test_a_yes_is_usable_once_in_time_and_only_after_it_was_given(ledger: Ledger, clock: Clock) -> None:
    write(ledger, SESSION, PROPOSED)
    assert held(ledger, USABLE) == "t1 is proposed, not approved"
    write(ledger, VOTE, DECIDED)
    clock.now_us = START_US + 10_000_000 - 1
    assert held(ledger, USABLE) == ""
    clock.now_us += 1
    assert held(ledger, USABLE) == "t1 was not used in time"


@pytest.mark.parametrize(("state", "again"), [("done", False), ("failed", False), ("unknown", True)])
def test_a_used_yes_is_usable_again_only_for_a_rerun_after_unknown(
    ledger: Ledger, state: str, *, again: bool
) -> None:
    write(ledger, SESSION, PROPOSED, VOTE, DECIDED, {**INTENT, "ticket": "t1"})
    assert "started" in held(ledger, USABLE)
    assert "started" in held(ledger, USABLE._replace(rerun=True))
    write(ledger, outcome(5, state, "t1"))
    assert held(ledger, USABLE)
    assert (held(ledger, USABLE._replace(rerun=True)) == "") == again


@pytest.mark.parametrize("end", ["rejected", "expired", "void"])
def test_a_question_that_ended_otherwise_is_no_yes(ledger: Ledger, end: str) -> None:
    write(ledger, SESSION, PROPOSED)
    kind = "approval.decided" if end == "rejected" else "approval.expired"
    write(ledger, {**DECIDED, "type": kind, "state": end})
    for rerun in (False, True):
        assert end in held(ledger, USABLE._replace(rerun=rerun))


def test_a_question_is_answered_as_it_was_seen_or_not_at_all(ledger: Ledger, clock: Clock) -> None:
    assert "not there" in held(ledger, ApprovalIs("t1", "proposed", 0))
    write(ledger, SESSION, PROPOSED)
    assert held(ledger, ApprovalIs("t1", "proposed", 0)) == ""
    assert "is proposed" in held(ledger, ApprovalIs("t1", "approved", 0))
    write(ledger, VOTE)
    assert "voted on in the meantime" in held(ledger, ApprovalIs("t1", "proposed", 0))
    assert held(ledger, ApprovalIs("t1", "proposed", 1)) == ""
    clock.now_us = START_US + 100_000_000
    assert "waited too long" in held(ledger, ApprovalIs("t1", "proposed", 1))
    assert held(ledger, ApprovalIs("t1", "proposed", 1, in_time=False)) == ""


def test_a_call_is_asked_about_once_while_its_question_lives(ledger: Ledger) -> None:
    guard = NotAskedYet("s1", "c1", "d1")
    assert held(ledger, guard) == ""
    write(ledger, SESSION, PROPOSED)
    assert held(ledger, guard) == "t1 asks this already"
    assert held(ledger, NotAskedYet("s1", "c1", "d2")) == ""
    write(ledger, VOTE, DECIDED)
    assert held(ledger, guard)
    write(ledger, {**INTENT, "ticket": "t1"})
    assert held(ledger, guard) == ""


def test_one_refusal_among_several_guards_is_enough(ledger: Ledger) -> None:
    write(ledger, POLICY_1)
    done = ledger.commit_now(
        Entry(drafts=({"type": "note"},), guards=(EpochIs(1), UsesLeft("x", 1), EpochIs(9), EpochIs(8)))
    )
    assert isinstance(done, Refused)
    assert done.guard == EpochIs(9)


def test_a_guard_never_writes(ledger: Ledger) -> None:
    """Every guard gets a connection that cannot write, and answers all the same."""
    write(ledger, SESSION, PROPOSED)
    guards: list[Guard] = [
        EpochIs(0),
        CallIsNew("s1", "c1", "d1"),
        CallIsOpen(1),
        USABLE,
        ApprovalIs("t1", "proposed", 0),
        NotAskedYet("s1", "c1", "d1"),
        UsesLeft("x", 1),
        SessionIsOpen("s1", "w1"),
    ]
    with pytest.raises(LedgerUnavailableError, match="readonly"):
        ledger.read(lambda connection: connection.execute(delete(t.sessions)))

    def refusing(connection: Connection) -> list[Guard]:
        return [guard for guard in guards if guard.refuses(Moment(connection, 0, START_US, set()))]

    expected: list[Guard] = [CallIsOpen(1), USABLE, NotAskedYet("s1", "c1", "d1")]
    assert ledger.read(refusing) == expected
