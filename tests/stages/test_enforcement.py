"""Two engines, one answer: where the fast path and plain Casbin differ, nothing runs."""

from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Status
from tests.house import DENY_ALL, POLICY, Desk, House, opened, records


async def test_a_call_on_which_the_engines_differ_is_denied_and_says_so(house: House, desk: Desk) -> None:
    runtime = house.runtime()  # compares every decision
    torn = Snapshot(Policy(POLICY), 1)
    torn.policy = Policy(POLICY + DENY_ALL)  # the fast path has indexed the one, Casbin reads the other
    runtime.enforcement.snapshot = torn
    outcome = await (await opened(runtime)).call("desk.note", {"text": "a"})
    assert outcome.status is Status.DENIED
    assert "engine mismatch: the snapshot says allow, pycasbin" in outcome.error
    assert "says deny" in outcome.error
    assert not desk.effects
    assert records(runtime.ledger)[-1]["outcome"] == "denied"


async def test_one_call_in_so_many_is_compared(house: House, desk: Desk) -> None:
    plain = house.runtime()
    runtime = type(plain)(plain.ledger, plain.registry, plain._executor, shadow_every=3)
    torn = Snapshot(Policy(POLICY), 1)
    torn.policy = Policy(POLICY + DENY_ALL)
    runtime.enforcement.snapshot = torn
    session = await opened(runtime)
    statuses = [(await session.call("desk.look")).status for _ in range(9)]
    assert statuses == [Status.DONE, Status.DONE, Status.DENIED] * 3
    assert len(desk.reads) == 6
