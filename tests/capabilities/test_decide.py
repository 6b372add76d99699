"""Promise: a person's answer turns an Ask into what they said, for that call, policy and while only."""

from typing import Any

import pytest

from pratique.capabilities.decide import access_of, decide, shadow
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Residual, Snapshot
from pratique.model import (
    CLEAN,
    Allow,
    Answer,
    Approval,
    Ask,
    Call,
    Confidentiality,
    Deny,
    Judged,
    Label,
    Rejection,
    Request,
    Subject,
    Taint,
    Tier,
    Unresolved,
    Waiting,
)
from tests.capabilities.random_policies import NOW, capability, policy_of

EPOCH = 3
DIGEST = "d" * 64


def policy(**rules: list[dict[str, Any]]) -> Policy:
    reads = {"id": "reads", "to": "ana", "tools": ["mail.*"], "tier": "write", "taint": "context"}
    asks = {"id": "asks", "to": "*", "tools": ["*"], "tier": "write", "approvers": "leads"}
    return policy_of(
        {
            "agents": {"ana": {"owner": "o@x"}},
            "groups": {"leads": ["li@x"]},
            "allow": [reads],
            "ask": [asks],
            **rules,
        }
    )


SNAPSHOT = Snapshot(policy(), EPOCH)


def call(tool: str = "mail.move", tier: Tier = Tier.WRITE, agent: str = "ana", **more: Any) -> Call:
    request = Request(
        subject=Subject(session="s", trace_id="t", agent=agent, tenant="default", user="kim"),
        context=CLEAN,
        call_id="c",
        tool=tool,
        args_json=b'{"to":"x"}',
    )
    facts = {"label": CLEAN, "sinks": {}, "judged": Judged(), "digest": DIGEST, **more}
    return Call(request=request, capability=capability(tool, tier), args=None, **facts)


def approval(**changed: Any) -> Approval:
    facts: dict[str, Any] = {
        "ticket": "tk",
        "digest": DIGEST,
        "card_digest": "c" * 64,
        "epoch": EPOCH,
        "approved_by": ("li@x", "mo@x"),
        "use_until_us": NOW + 1,
    }
    return Approval(**{**facts, **changed})


def test_an_ask_stays_one_until_a_person_answers() -> None:
    assert isinstance(decide(SNAPSHOT, call(), NOW), Ask)
    waiting = decide(SNAPSHOT, call(), NOW, Waiting(ticket="tk"))
    assert isinstance(waiting, Ask)
    assert waiting.ticket == "tk"


def test_a_yes_allows_and_names_who_said_it_and_who_asked() -> None:
    decision = decide(SNAPSHOT, call(), NOW, approval())
    assert isinstance(decision, Allow)
    assert decision.because == "approved by li@x, mo@x (tk); asks asks leads; reads allows"
    assert (decision.ticket, decision.approval, decision.epoch) == ("tk", approval(), EPOCH)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"digest": "e" * 64}, "the approval tk is for another call"),
        ({"epoch": EPOCH - 1}, "the policy changed since tk was asked; ask again"),
        ({"epoch": EPOCH + 1}, "the policy changed since tk was asked; ask again"),
        ({"use_until_us": NOW}, "the approval tk was not used in time; ask again"),
    ],
)
def test_a_yes_to_something_else_is_a_denial(changed: dict[str, Any], says: str) -> None:
    decision = decide(SNAPSHOT, call(), NOW, approval(**changed))
    assert isinstance(decision, Deny)
    assert (decision.because, decision.ticket) == (says, "tk")


def test_a_no_is_a_denial_with_its_reason() -> None:
    decision = decide(SNAPSHOT, call(), NOW, Rejection(ticket="tk", text="not today"))
    assert isinstance(decision, Deny)
    assert (decision.because, decision.ticket) == ("not today", "tk")


@pytest.mark.parametrize(
    "answer", [approval(), Rejection(ticket="tk", text="no"), Waiting(ticket="tk"), None]
)
def test_no_answer_turns_a_deny_into_anything_else(answer: Answer | None) -> None:
    snapshot = Snapshot(policy(deny=[{"id": "never", "to": "*", "tools": ["mail.*"]}]), EPOCH)
    decision = decide(snapshot, call(), NOW, answer)
    assert isinstance(decision, Deny)
    assert "never denies" in decision.because
    assert decision.ticket == ""


def test_no_answer_is_spent_on_what_is_allowed_anyway() -> None:
    decision = decide(SNAPSHOT, call("mail.list", Tier.READ), NOW, approval())
    assert isinstance(decision, Allow)
    assert (decision.approval, decision.ticket) == (None, "")


def test_what_could_not_be_resolved_is_denied_with_the_problem() -> None:
    unresolved = Unresolved(request=call().request, problem="there is no tool 'x'", digest=DIGEST)
    decision = decide(SNAPSHOT, unresolved, NOW, approval())
    assert isinstance(decision, Deny)
    assert decision.because == "there is no tool 'x'"
    assert decision.epoch == EPOCH


def test_an_agent_that_the_policy_does_not_know_is_denied() -> None:
    decision = decide(SNAPSHOT, call("mail.list", Tier.READ, agent="eve"), NOW)
    assert isinstance(decision, Deny)
    assert decision.because == "the policy knows no agent 'eve'"


def test_the_question_is_made_of_what_the_runtime_knows() -> None:
    asked = call(label=Label(confidentiality=Confidentiality.RESTRICTED), judged=Judged(taint=Taint.SINK))
    assert access_of(asked) == ("ana", "default", "mail.move", "write", "restricted", "sink")


# --- the shadow -------------------------------------------------------------------------------------------


def test_the_shadow_is_silent_when_both_agree() -> None:
    for asked in (
        call(),
        call("mail.list", Tier.READ),
        call("crm.get"),
        call(judged=Judged(taint=Taint.SINK)),
    ):
        assert shadow(SNAPSHOT, asked, NOW) is None


def test_the_shadow_denies_what_a_poisoned_snapshot_would_allow() -> None:
    snapshot = Snapshot(policy(), EPOCH)
    asked = call("crm.drop", Tier.IRREVERSIBLE)
    access = access_of(asked)
    permissive = next(row for row in snapshot.policy.rows if row.kind == "allow")
    snapshot._cache[access] = Residual(snapshot, access, fixed=(permissive,), open_rows=())
    assert isinstance(decide(snapshot, asked, NOW), Allow), "poisoned"
    found = shadow(snapshot, asked, NOW)
    assert found is not None
    assert found.because.startswith("engine mismatch: the snapshot says allow, pycasbin 2.")
    assert found.because.endswith("says deny")


def test_the_shadow_also_reports_a_snapshot_that_is_too_strict() -> None:
    snapshot = Snapshot(policy(), EPOCH)
    asked = call("mail.list", Tier.READ)
    snapshot._cache[access_of(asked)] = Residual(snapshot, access_of(asked), fixed=(), open_rows=())
    assert shadow(snapshot, asked, NOW) is not None
