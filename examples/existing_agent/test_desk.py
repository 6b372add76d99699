"""How this application tests what its agent may do: the real decisions, people by script."""

import asyncio
from pathlib import Path

from desk import lookup, refund
from scripted import REQUEST

from pratique.testing import Rehearsal, rehearsal

POLICY = (Path(__file__).parent / "policy.toml").read_text()
POLICY = POLICY.replace("local:*", "li@acme.example")  # people of the test, not of this machine


async def refunded(house: Rehearsal, account: str) -> None:
    """Do what the agent does: look the customer up, pay back."""
    async with house.session(agent="support", user="kim@acme.example", request=REQUEST) as session:
        house.assert_done(await session.call("crm.lookup", {"customer": "8821"}))
        outcome = await session.call("billing.refund", {"account": account, "amount": 18.9})
        house.assert_done(outcome)


def test_a_refund_waits_for_a_person_who_sees_that_the_account_is_on_file() -> None:
    """Nobody else was asked, and nothing else."""

    async def run() -> None:
        async with rehearsal(policy=POLICY, tools=[lookup, refund]) as house:
            house.approves("billing.*", by="li@acme.example")
            await refunded(house, "PT50 0002 0123 1234 5678 9015 4")
            house.assert_asked("billing.refund", because="money-asks", origin={"account": "crm.lookup"})
            house.assert_not_asked("crm.lookup")

    asyncio.run(run())
