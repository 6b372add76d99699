"""What application authors test with: the decisions are real, only people are scripted."""

import pytest

from pratique import Status
from pratique.testing import rehearsal
from tests.outside import REQUEST, THIEF, Border, preset

KIM = "kim@acme.example"


@pytest.fixture
def border() -> Border:
    return Border()


async def test_a_script_says_yes_and_the_call_runs(border: Border) -> None:
    async with rehearsal(policy=preset("strict"), tools=border.tools()) as house:
        house.approves("bank.*", by="li@acme.example")
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            outcome = await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
    house.assert_done(outcome)
    assert outcome.approved_by == ("li@acme.example",)
    assert border.done


async def test_a_script_says_no_with_its_reason(border: Border) -> None:
    async with rehearsal(policy=preset("strict"), tools=border.tools()) as house:
        house.rejects("bank.pay", by="li@acme.example", reason="wrong account")
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            outcome = await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
        house.assert_denied(outcome, because="wrong account")
        with pytest.raises(AssertionError, match="is denied"):
            house.assert_done(outcome)
        with pytest.raises(AssertionError, match="not denied because of 'full moon', but: rejected by li@"):
            house.assert_denied(outcome, because="full moon")
        house.assert_not_ran("bank.pay")
        with pytest.raises(
            AssertionError, match=r"ran 0 times, not at least once; .*denied \(rejected by li@"
        ):
            house.assert_ran("bank.pay")
    assert border.done == []


async def test_what_no_script_covers_stays_pending(border: Border) -> None:
    async with rehearsal(policy=preset("strict"), tools=border.tools(), wait=0.1) as house:
        house.approves("post.*", by="li@acme.example")
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            outcome = await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
    assert outcome.status is Status.PENDING


@pytest.mark.parametrize("person", [KIM, "mo@acme.example"])
async def test_a_scripted_person_has_no_more_rights_than_a_real_one(border: Border, person: str) -> None:
    async with rehearsal(policy=preset("strict"), tools=border.tools(), wait=0.1) as house:
        house.approves("*", by=person)
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            outcome = await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
        assert outcome.status is Status.PENDING
        with pytest.raises(AssertionError, match=f"bank.pay is pending: .*; {person} could not answer: "):
            house.assert_done(outcome)


@pytest.mark.parametrize("another", [True, False])
async def test_a_script_edits_and_what_cannot_be_undone_needs_somebody_else(
    border: Border, *, another: bool
) -> None:
    async with rehearsal(
        policy=preset("strict"), tools=border.tools(), wait=0.5 if another else 0.1
    ) as house:
        house.edits("bank.pay", by="li@acme.example", to={"amount": 5.0}, reason="half of it")
        if another:
            house.approves("bank.pay", by="bo@acme.example")
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            outcome = await session.call(
                "bank.pay", {"account": THIEF, "amount": 18.5}, wait=5 if another else 0.1
            )
        assert outcome.status is (Status.DONE if another else Status.PENDING)
        if another:
            assert outcome.edited is not None
            assert outcome.edited.changed == {"amount": 5}
            house.assert_ran("bank.pay", times=1)


async def test_assertions_say_what_the_card_says(border: Border) -> None:
    async with rehearsal(policy=preset("provenance"), tools=border.tools(), wait=0) as house:
        async with house.session(agent="support", user=KIM, request=REQUEST) as session:
            await session.call("post.read", {"mail": "7"})
            await session.call("bank.pay", {"account": THIEF, "amount": 18.5})
        asked = house.assert_asked("bank.pay", origin={"account": "email:7#body"})
        assert asked.card.alarm
        house.assert_not_asked("post.read")
        with pytest.raises(
            AssertionError, match="not asked with an argument 'iban'; its arguments: account, amount"
        ):
            house.assert_asked("bank.pay", origin={"iban": "crm"})
        house.assert_ran("post.read", times=1)
        with pytest.raises(AssertionError, match=r"post\.read ran; asked: bank\.pay; calls: post\.read done"):
            house.assert_not_ran("post.read")
        with pytest.raises(AssertionError, match=r"nobody was asked about post\.send; asked: bank\.pay"):
            house.assert_asked("post.send")
        with pytest.raises(AssertionError, match="account does not come from 'crm'"):
            house.assert_asked("bank.pay", origin={"account": "crm"})
        with pytest.raises(AssertionError, match="was not asked about because of 'moonlight'"):
            house.assert_asked("bank.pay", because="moonlight")
        with pytest.raises(AssertionError, match=r"bank\.pay was asked about"):
            house.assert_not_asked("bank.pay")
