"""Promise 3: a write waits for a person; what was approved is exactly what runs, and it runs once."""

import asyncio
from typing import Any

import pytest

from pratique.errors import NotAnApproverError, TicketClosedError, UnknownTicketError
from pratique.ledger import queries
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from tests.house import (
    ALLOW_ALL,
    PEOPLE,
    POLICY,
    Clock,
    Desk,
    House,
    answer,
    opened,
    records,
    reject,
    sql,
    until,
)

PAY: dict[str, Any] = {"to": "mo@acme.example", "amount": 80}
HOURS = 3600


async def pay(session: Session, **more: Any) -> Outcome:
    return await session.call("desk.pay", PAY, call_id="c1", **more)


async def test_a_write_that_must_be_asked_for_does_not_run_unasked(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    outcome = await pay(session)
    assert (outcome.status, outcome.decision) == (Status.PENDING, "ask")
    assert outcome.ticket in outcome.error
    assert not desk.effects
    (question,) = runtime.queue.questions()
    assert (question.ticket, question.tool, question.state) == (outcome.ticket, "desk.pay", "proposed")
    assert not records(runtime.ledger, "call.intent")


async def test_asking_again_does_not_make_a_second_question(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    outcomes = [await pay(session), await pay(session), *await asyncio.gather(*map(pay, [session] * 5))]
    assert len({outcome.ticket for outcome in outcomes}) == 1
    assert len(records(runtime.ledger, "approval.proposed")) == 1
    assert not desk.effects


async def test_what_was_approved_runs_with_exactly_its_arguments_and_once(
    runtime: Runtime, desk: Desk
) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    assert answer(runtime, ticket, reason="paid before").state == "approved"
    assert not desk.effects, "a yes runs nothing by itself"
    outcome = await session.redeem(ticket)
    assert (outcome.status, outcome.value, outcome.decision) == (Status.DONE, {"paid": 80}, "allow")
    assert (outcome.ticket, outcome.approved_by) == (ticket, ("li@acme.example",))
    assert await session.redeem(ticket) == outcome
    assert await pay(session) == outcome
    assert [(e.call_id, e.text) for e in desk.effects] == [("c1", "mo@acme.example:80")]
    assert runtime.queue.look(ticket).state == "finished"
    (intent,) = records(runtime.ledger, "call.intent")
    assert (intent["ticket"], intent["approved_by"]) == (ticket, ["li@acme.example"])


async def test_a_yes_to_one_call_is_no_yes_to_another(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket)
    other = await session.call("desk.pay", {**PAY, "amount": 8000}, call_id="c1")
    again = await session.call("desk.pay", PAY, call_id="c2")
    elsewhere = await (await opened(runtime)).call("desk.pay", PAY, call_id="c1")
    for outcome in (other, again, elsewhere):
        assert outcome.status is Status.PENDING
        assert outcome.ticket != ticket
    assert not desk.effects


async def test_a_yes_is_used_once_however_many_redeem_it_at_once(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket)
    outcomes = await asyncio.gather(*(session.redeem(ticket) for _ in range(10)), pay(session))
    assert {outcome.status for outcome in outcomes} == {Status.DONE}
    assert len(desk.effects) == 1


async def test_two_processes_that_redeem_one_yes_run_it_once(house: House, desk: Desk) -> None:
    first = house.runtime()
    session = await opened(first)
    ticket = (await pay(session)).ticket
    answer(first, ticket)
    other = await house.runtime().resume_session(session.id)
    outcomes = await asyncio.gather(session.redeem(ticket), other.redeem(ticket))
    assert len(desk.effects) == 1
    assert Status.DONE in {outcome.status for outcome in outcomes}
    assert {outcome.status for outcome in outcomes} <= {Status.DENIED, Status.DONE, Status.UNKNOWN}


async def test_a_no_is_heard_with_its_reason_and_stays_a_no(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    assert reject(runtime, ticket).state == "rejected"
    for outcome in (await session.redeem(ticket), await session.redeem(ticket), await pay(session)):
        assert outcome.status is Status.DENIED
        assert "rejected by li@acme.example: not this one" in outcome.error
    assert not desk.effects
    assert len(records(runtime.ledger, "approval.proposed")) == 1
    with pytest.raises(TicketClosedError, match="rejected already"):
        answer(runtime, ticket, "bo@acme.example")


async def test_a_call_waits_for_its_answer_as_long_as_it_says(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    waiting = asyncio.create_task(pay(session, wait=30))
    await until(lambda: bool(runtime.queue.questions()))
    answer(runtime, runtime.queue.questions()[0].ticket)
    outcome = await waiting
    assert outcome.status is Status.DONE
    assert len(desk.effects) == 1


async def test_a_rejection_ends_the_waiting(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    waiting = asyncio.create_task(pay(session, wait=30))
    await until(lambda: bool(runtime.queue.questions()))
    reject(runtime, runtime.queue.questions()[0].ticket)
    assert (await waiting).status is Status.DENIED
    assert not desk.effects


async def test_a_question_expires_at_its_moment_and_not_before(
    runtime: Runtime, desk: Desk, clock: Clock
) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    clock.now_us += 4 * HOURS * 1_000_000 - 1
    assert (await session.redeem(ticket)).status is Status.PENDING
    clock.now_us += 1
    with pytest.raises(TicketClosedError, match="waited too long"):
        answer(runtime, ticket)
    outcome = await session.redeem(ticket)
    assert outcome.status is Status.DENIED
    assert "nobody answered in time" in outcome.error
    assert runtime.queue.look(ticket).state == "expired"
    with pytest.raises(TicketClosedError, match="expired already"):
        answer(runtime, ticket)
    assert not desk.effects


async def test_a_yes_expires_at_its_moment_and_not_before(house: House, desk: Desk, clock: Clock) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    tickets = [(await session.call("desk.pay", PAY, call_id=f"c{n}")).ticket for n in range(2)]
    for ticket in tickets:
        answer(runtime, ticket)
    clock.now_us += 15 * 60 * 1_000_000 - 1
    assert (await session.redeem(tickets[0])).status is Status.DONE
    clock.now_us += 1
    outcome = await session.redeem(tickets[1])
    assert outcome.status is Status.DENIED
    assert "not used in time" in outcome.error
    assert runtime.queue.look(tickets[1]).state == "expired"
    assert len(desk.effects) == 1


async def test_a_yes_that_expires_between_decision_and_commit_is_not_used(
    house: House, desk: Desk, clock: Clock
) -> None:
    class Slow(Runtime):
        async def commit(self, call: Any, decision: Any) -> Any:
            if decision.ticket and decision.word == "allow":
                clock.forward(15 * 60)
            return await super().commit(call, decision)

    plain = house.runtime()
    runtime = Slow(plain.ledger, plain.registry, plain._executor)
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket)
    outcome = await session.redeem(ticket)
    assert outcome.status is Status.DENIED
    assert "not used in time" in outcome.error
    assert not desk.effects


async def test_an_answer_from_another_process_is_seen(house: House) -> None:
    session = await opened(house.runtime())
    waiting = asyncio.create_task(pay(session, wait=30))
    elsewhere = house.runtime()
    await until(lambda: bool(elsewhere.queue.questions()))
    answer(elsewhere, elsewhere.queue.questions()[0].ticket)
    assert (await waiting).status is Status.DONE


async def test_a_yes_survives_a_restart(house: House, desk: Desk) -> None:
    first = house.runtime()
    session = await opened(first)
    ticket = (await pay(session)).ticket
    await first.aclose()
    second = house.runtime()
    answer(second, ticket)
    await second.aclose()
    third = house.runtime()
    resumed = await third.resume_session(session.id)
    outcome = await resumed.redeem(ticket)
    assert (outcome.status, outcome.approved_by) == (Status.DONE, ("li@acme.example",))
    fourth = await house.runtime().resume_session(session.id)
    assert (await fourth.redeem(ticket)).value == {"paid": 80}
    assert (await pay(fourth)).record == outcome.record
    assert len(desk.effects) == 1


async def test_a_pending_call_that_is_repeated_after_a_restart_is_the_same_question(
    house: House, desk: Desk
) -> None:
    session = await opened(house.runtime())
    ticket = (await pay(session)).ticket
    runtime = house.runtime()
    resumed = await runtime.resume_session(session.id)
    assert (await pay(resumed)).ticket == ticket
    answer(runtime, ticket)
    assert (await pay(resumed)).status is Status.DONE
    assert len(records(runtime.ledger, "approval.proposed")) == 1
    assert len(desk.effects) == 1


async def test_a_pending_call_keeps_the_taint_of_the_moment_it_was_asked(house: House) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    await session.call("desk.mail")
    answer(runtime, ticket)
    assert (await pay(session)).status is Status.DONE
    (intent,) = records(runtime.ledger, "call.intent")
    assert intent["taint"] == "none"
    later = await session.call("desk.pay", PAY, call_id="c2")
    assert later.status is Status.PENDING
    # The model wrote the destination, after it had read text from outside: nothing explains it.
    assert records(runtime.ledger, "approval.proposed")[-1]["taint"] == "sink"


async def test_a_ticket_that_this_session_did_not_get_is_refused(runtime: Runtime, desk: Desk) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket)
    other = await opened(runtime)
    for strange in (ticket, "t_0000", "", "' OR 1=1 --"):
        with pytest.raises(UnknownTicketError):
            await other.redeem(strange)
    assert not desk.effects


async def test_arguments_that_were_changed_in_the_vault_are_not_run(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    tickets = [(await session.call("desk.pay", {**PAY, "amount": n}, call_id=f"c{n}")).ticket for n in (1, 2)]
    for ticket in tickets:
        answer(runtime, ticket)
    rows = [runtime.queue.look(ticket).proposed_seq for ticket in tickets]
    swap = "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE seq = ?) WHERE seq = ?"
    sql(runtime.ledger, swap, rows[1], rows[0])
    resumed = await house.runtime().resume_session(session.id)
    with pytest.raises(Exception, match=r"do not open|not what was recorded"):
        await resumed.redeem(tickets[0])
    assert not desk.effects


async def test_nobody_answers_what_was_asked_on_their_behalf(runtime: Runtime) -> None:
    session = await opened(runtime, user="kim@acme.example")
    ticket = (await pay(session)).ticket
    for approve in (True, False):
        with pytest.raises(NotAnApproverError, match="on their behalf"):
            answer(runtime, ticket, "kim@acme.example", approve=approve, reason="mine")
    assert runtime.queue.look(ticket).votes == 0
    assert answer(runtime, ticket, "li@acme.example").state == "approved"


async def test_who_is_in_no_group_does_not_answer(runtime: Runtime) -> None:
    ticket = (await pay(await opened(runtime))).ticket
    for stranger in ("mallory@example.com", "", "LI@acme.example", "local:root", "*", "li@acme.example "):
        with pytest.raises(NotAnApproverError, match="belong to none of: leads"):
            answer(runtime, ticket, stranger)
    with pytest.raises(NotAnApproverError, match="a no needs a reason"):
        answer(runtime, ticket, approve=False, reason="  ")
    assert runtime.queue.look(ticket).state == "proposed"
    assert not records(runtime.ledger, "approval.vote")
    with pytest.raises(UnknownTicketError, match="t_nothing"):
        answer(runtime, "t_nothing")


QUORUM = """
[[ask]]
id = "four-eyes"
to = "*"
tools = ["*"]
tier = "irreversible"
approvers = "leads"
quorum = 2
"""


async def test_a_quorum_of_two_takes_two_people(empty_house: House, desk: Desk) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL + QUORUM)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    assert answer(runtime, ticket, "li@acme.example").state == "proposed"
    assert (await session.redeem(ticket)).status is Status.PENDING
    with pytest.raises(TicketClosedError, match=r"answered .* already"):
        answer(runtime, ticket, "li@acme.example")
    assert answer(runtime, ticket, "bo@acme.example").state == "approved"
    outcome = await session.redeem(ticket)
    assert outcome.approved_by == ("li@acme.example", "bo@acme.example")
    with pytest.raises(TicketClosedError, match="finished already"):
        reject(runtime, ticket, "li@acme.example")
    assert len(desk.effects) == 1


async def test_one_no_beats_one_yes(empty_house: House) -> None:
    empty_house.apply(PEOPLE + ALLOW_ALL + QUORUM)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket, "li@acme.example")
    assert reject(runtime, ticket, "bo@acme.example").state == "rejected"
    assert (await session.redeem(ticket)).status is Status.DENIED


async def test_of_many_answers_at_once_one_decides(house: House) -> None:
    runtimes = [house.runtime() for _ in range(2)]
    session = await opened(runtimes[0])
    ticket = (await pay(session)).ticket

    def vote(place: int) -> str:
        who = ("li@acme.example", "bo@acme.example")[place % 2]
        try:
            return answer(runtimes[place % 2], ticket, who, approve=place < 2, reason="so").state
        except TicketClosedError:
            return "late"

    states = await asyncio.gather(*(asyncio.to_thread(vote, place) for place in range(4)))
    assert states.count("late") == 3
    assert len(records(runtimes[0].ledger, "approval.decided")) == 1


async def test_two_rules_that_ask_need_both_groups(empty_house: House) -> None:
    both = QUORUM.replace("quorum = 2", "quorum = 1")
    finance = both.replace("four-eyes", "money").replace('"leads"', '"finance"')
    people = PEOPLE + 'finance = ["fi@acme.example"]\n'
    empty_house.apply(people + ALLOW_ALL + both + finance)
    runtime = empty_house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    assert answer(runtime, ticket, "li@acme.example").state == "proposed"
    assert answer(runtime, ticket, "fi@acme.example").state == "approved"
    assert (await session.redeem(ticket)).status is Status.DONE


async def test_what_is_asked_can_be_read_back_and_is_what_will_run(runtime: Runtime) -> None:
    session = await opened(runtime)
    await session.call("desk.mail")
    ticket = (await pay(session)).ticket
    asked = runtime.queue.asked(ticket)
    assert asked.args_json == b'{"amount":80,"to":"mo@acme.example"}'
    assert asked.user == "kim@acme.example"
    assert asked.card.tool == "desk.pay"
    assert [(a.name, a.decides, a.text) for a in asked.card.arguments] == [
        ("amount", "amount", "80"),
        ("to", "dest", "mo@acme.example"),
    ]
    assert "to decides where this goes, and was written by the model" in asked.card.taint
    assert asked.card.digest == runtime.queue.look(ticket).card_digest


async def test_every_step_of_an_approval_is_a_record(runtime: Runtime) -> None:
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    answer(runtime, ticket, reason="known customer")
    await session.redeem(ticket)
    steps = [r for r in records(runtime.ledger) if r.get("ticket") == ticket]
    assert [r["type"] for r in steps] == [
        "approval.proposed",
        "approval.vote",
        "approval.decided",
        "call.intent",
        "call.outcome",
    ]
    assert (steps[1]["voter"], steps[1]["vote"], steps[1]["reason"]) == (
        "li@acme.example",
        "approve",
        "known customer",
    )
    assert steps[0]["card_digest"] == runtime.queue.look(ticket).card_digest


@pytest.mark.parametrize("state", ["proposed", "approved"])
async def test_a_policy_that_changed_since_asks_anew(house: House, desk: Desk, state: str) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    if state == "approved":
        answer(runtime, ticket)
    house.apply(POLICY + "# a new policy\n")
    outcome = await session.redeem(ticket)
    assert outcome.status is Status.PENDING
    assert outcome.ticket != ticket
    assert runtime.queue.look(ticket).state == "void"
    assert not desk.effects
    answer(runtime, outcome.ticket)
    assert (await session.redeem(outcome.ticket)).status is Status.DONE
    assert len(desk.effects) == 1


async def test_a_yes_under_an_old_policy_cannot_be_given(house: House) -> None:
    runtime = house.runtime()
    ticket = (await pay(await opened(runtime))).ticket
    house.apply(POLICY + "# a new policy\n")
    with pytest.raises(TicketClosedError, match="policy changed from epoch 1 to 2"):
        answer(runtime, ticket)
    assert not records(runtime.ledger, "approval.vote")


async def test_a_new_policy_that_asks_nobody_lets_the_call_run(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await pay(session)).ticket
    house.apply(PEOPLE + ALLOW_ALL)
    assert (await session.redeem(ticket)).status is Status.DONE
    assert len(desk.effects) == 1


async def test_a_call_that_waits_while_the_policy_changes_is_asked_anew(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    waiting = asyncio.create_task(pay(session, wait=30))
    await until(lambda: bool(runtime.queue.questions()))
    (old,) = runtime.queue.questions()
    house.apply(POLICY + "# a new policy\n")
    await until(lambda: any(q.epoch == 2 for q in runtime.queue.questions()))
    (new,) = runtime.queue.questions()
    assert runtime.queue.look(old.ticket).state == "void"
    answer(runtime, new.ticket)
    assert (await waiting).status is Status.DONE
    assert len(desk.effects) == 1


async def test_a_call_is_asked_for_under_the_policy_in_force_and_not_the_one_that_was_loaded(
    house: House,
) -> None:
    """The first act of a process after a change elsewhere may be a question."""
    runtime = house.runtime()
    session = await opened(runtime)
    house.apply(POLICY + "# a new policy\n")
    outcome = await pay(session)
    assert outcome.status is Status.PENDING
    assert runtime.queue.look(outcome.ticket).epoch == 2
    answer(runtime, outcome.ticket)
    assert (await session.redeem(outcome.ticket)).status is Status.DONE


async def test_a_card_that_cannot_be_made_is_no_question_and_no_yes(house: House, desk: Desk) -> None:
    runtime = house.runtime(limits=(8 * 1024 * 1024, 32, 5000))
    session = await opened(runtime)
    outcome = await session.call("desk.pay", {"to": "\u202e" * 1024 * 1024, "amount": 1})
    assert outcome.status is Status.DENIED
    assert "\n" not in outcome.error
    assert not desk.effects
    assert not runtime.queue.questions()


async def test_an_erased_person_leaves_a_question_that_cannot_be_answered(house: House) -> None:
    runtime = house.runtime()
    ticket = (await pay(await opened(runtime))).ticket
    seq = runtime.queue.look(ticket).proposed_seq
    sql(runtime.ledger, "DELETE FROM vault WHERE seq = ?", seq)
    with pytest.raises(Exception, match="erased"):
        answer(runtime, ticket)
    assert runtime.ledger.read(lambda c: queries.votes(c, ticket)) == []
