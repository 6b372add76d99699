"""The law of replay: it answers what plain Casbin answers, and what is erased hides only what it decides."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings

from pratique.capabilities.constraints import Arguments
from pratique.capabilities.policy import Policy
from pratique.capabilities.replay import Change, ErasedError, Record, Replayer, stated_word
from pratique.capabilities.snapshot import Snapshot
from tests.capabilities.random_policies import Question, policies, questions

thorough = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def record_of(question: Question, word: str, digest: str) -> dict[str, Any]:
    """Return the record that the runtime writes of a question that was answered so."""
    access, arguments, now_us = question
    kind = "approval.proposed" if word == "ask" else "call.outcome"
    return {
        "type": kind,
        "seq": 1,
        "ts_us": now_us,
        "agent": access.sub,
        "tenant": access.dom,
        "tool": access.tool,
        "tier": access.tier,
        "confidentiality": access.label,
        "taint": access.taint,
        "policy_digest": digest,
        "rules": ["some"],
        "ticket": "t_1" if word == "ask" else "",
        "outcome": {"allow": "done", "deny": "denied"}.get(word, ""),
        "arguments": arguments,
    }


def kept(record: Record) -> Arguments:
    return dict(record["arguments"])


def erased(record: Record) -> Arguments:
    raise ErasedError(record["seq"])


def recorded(policy: Policy, asked: list[Question]) -> Iterator[tuple[Question, dict[str, Any]]]:
    for question in asked:
        yield question, record_of(question, policy.enforce(*question), policy.digest)


@thorough
@given(policies, policies, questions(40))
def test_both_answers_are_plain_casbins(before: Policy, after: Policy, asked: list[Question]) -> None:
    replayer = Replayer(lambda _: Snapshot(before, 1), Snapshot(after, 2))
    for question, record in recorded(before, asked):
        found = replayer.redecide(record, kept)
        assert found is not None
        assert (found.before, found.after) == (before.enforce(*question), after.enforce(*question))
        assert (found.change is Change.SAME) == (found.before == found.after)


@thorough
@given(policies, policies, questions(40))
def test_what_is_erased_is_decided_only_if_it_cannot_matter(
    before: Policy, after: Policy, asked: list[Question]
) -> None:
    replayer = Replayer(lambda _: Snapshot(before, 1), Snapshot(after, 2))
    for (question, record), (other, _) in product(recorded(before, asked[:8]), recorded(before, asked[:8])):
        found = replayer.redecide(record, erased)
        assert found is not None
        assert found.before == before.enforce(*question), "the record says what it was"
        if before.digest == after.digest:
            assert found.after == found.before, (
                "one policy says the same of the same arguments, whatever they were"
            )
        elif found.change is not Change.UNDECIDABLE:
            access, _, now_us = question
            assert found.after == after.enforce(access, other[1], now_us), "whatever the arguments were"


@thorough
@given(policies, questions(40))
def test_a_record_that_says_otherwise_is_a_mismatch(policy: Policy, asked: list[Question]) -> None:
    replayer = Replayer(lambda _: Snapshot(policy, 1), None)
    for question in asked:
        access, arguments, now_us = question
        truth = policy.enforce(*question)
        earlier = policy.enforce(access, arguments, now_us - 60_000_000)
        for word in {"allow", "ask", "deny"} - {truth, earlier}:
            found = replayer.redecide(record_of(question, word, policy.digest), kept)
            assert found is not None
            assert (found.change, found.before, found.after) == (Change.MISMATCH, word, truth)


def test_records_that_decide_nothing_have_no_word() -> None:
    used = {"type": "call.intent", "ticket": "t_1"}
    closed = {"type": "call.outcome", "ticket": "", "intent": 4, "outcome": "done"}
    refused = {"type": "call.outcome", "ticket": "t_1", "outcome": "denied"}
    assert [stated_word(record) for record in ({"type": "session.open"}, used, closed, refused)] == [""] * 4
