"""The queue as a state machine: two processes, many people, clocks; nothing runs unapproved or twice.

The model holds what people did. The rules pick any step at any time, through either process's view, and also
the steps that must be refused: what is refused changes nothing.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from pratique.approvals.clocks import sweep
from pratique.approvals.standing import StandingApproval
from pratique.errors import PratiqueError, TicketError
from pratique.ledger.door import Ledger
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from tests.approvals.lawful import lawful
from tests.approvals.policies import ASK_WRITES, TWO
from tests.house import ALLOW_ALL, PEOPLE, SECOND, Clock, Desk, House, records

PEOPLE_OF_IT = [
    "li@acme.example",
    "bo@acme.example",
    "kim@acme.example",
    "ana@acme.example",
    "eve@evil.example",
]
GROUPS = PEOPLE.replace('"kim@acme.example"]', '"kim@acme.example", "mo@acme.example"]')
POLICIES = [GROUPS + ALLOW_ALL + ASK_WRITES, GROUPS + ALLOW_ALL + TWO]

processes = st.integers(0, 1)
voters = st.sampled_from(PEOPLE_OF_IT)
texts = st.sampled_from(["one", "two", "three"])


class Asked(NamedTuple):
    """A call that was made: under its id, with its arguments."""

    call_id: str
    text: str


class Queues(RuleBasedStateMachine):
    """One ledger, two processes; the session is served by the first."""

    tickets: Bundle[str] = Bundle("tickets")
    calls: Bundle[Asked] = Bundle("calls")
    standings: Bundle[str] = Bundle("standings")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pratique-queues-"))
        self.loop = asyncio.new_event_loop()
        self.clock, self.desk = Clock(), Desk()
        self.house = House(self.folder / "house", self.clock, self.desk)
        self.house.apply(POLICIES[0])
        self.epoch = 0
        self.made = 0
        self.runtimes = [self.house.runtime(), self.house.runtime()]
        self.session = self.run(self._opened())

    async def _opened(self) -> Session:
        return await self.runtimes[0].open_session(agent="support", user="kim@acme.example")

    def run(self, step: Awaitable[Any]) -> Any:
        async def steps() -> Any:
            return await step

        return self.loop.run_until_complete(steps())

    def at(self, process: int) -> Runtime:
        return self.runtimes[process]

    @initialize(target=tickets)
    def first(self) -> Any:
        return multiple()

    @rule(target=calls, text=texts)
    def propose(self, text: str) -> Any:
        self.made += 1
        asked = Asked(f"c{self.made}", text)
        self.call(asked)
        return asked

    @rule(asked=calls)
    def replay(self, asked: Asked) -> None:
        self.call(asked)

    def call(self, asked: Asked) -> Outcome:
        step = self.session.call("desk.note", {"text": asked.text}, call_id=asked.call_id)
        outcome: Outcome = self.run(step)
        return outcome

    @rule(target=tickets, place=st.integers(0, 5))
    def look(self, place: int) -> Any:
        # In the order of the log: the page's order ends with the ticket, which is chance.
        shown = {line.ticket for line in self.at(1).reading.page().lines}
        asked = [one for one in self.at(1).queue.questions() if one.ticket in shown]
        asked.sort(key=lambda question: question.proposed_seq)
        return asked[place].ticket if place < len(asked) else multiple()

    @rule(ticket=tickets, process=processes, voter=voters, approve=st.booleans())
    def vote(self, ticket: str, process: int, voter: str, approve: bool) -> None:
        self.may_fail(lambda: self.at(process).desk.answer(ticket, voter, approve=approve, reason="so"))

    @rule(target=tickets, ticket=tickets, process=processes, editor=voters, text=texts, approve=st.booleans())
    def edit(self, ticket: str, process: int, editor: str, text: str, approve: bool) -> Any:
        try:
            edited = self.run(self.at(process).edit(ticket, editor, {"text": text}, approve=approve))
        except TicketError:
            return multiple()
        return edited.ticket

    @rule(ticket=tickets, process=processes, by=voters, to=voters)
    def hand_on(self, ticket: str, process: int, by: str, to: str) -> None:
        self.may_fail(lambda: self.at(process).desk.hand_on(ticket, by, to))

    @rule(ticket=tickets, by=voters)
    def ask_back(self, ticket: str, by: str) -> None:
        self.may_fail(lambda: self.at(1).desk.ask_person(ticket, by, "why?"))

    @rule(ticket=tickets)
    def redeem(self, ticket: str) -> None:
        self.run(self.session.redeem(ticket))

    @rule(seconds=st.sampled_from([60, 600, 3600, 2 * 3600, 4 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @rule(process=processes)
    def sweep(self, process: int) -> None:
        sweep(self.at(process).ledger)

    @rule()
    def policy_changes(self) -> None:
        self.epoch += 1
        self.house.apply(f"{POLICIES[self.epoch % 2]}# {self.epoch}\n")

    @rule(target=standings, process=processes, by=voters, text=texts, uses=st.integers(1, 2))
    def make_standing(self, process: int, by: str, text: str, uses: int) -> Any:
        runtime = self.at(process)
        facts: dict[str, Any] = {
            "agent": "support",
            "pattern": {"text": {"equals": text}},
            "expires_us": self.clock() + 5 * 3600 * SECOND,
            "max_uses": uses,
            "reason": "so",
        }
        capability = runtime.registry.demand("desk.note").capability
        made = self.may_fail(lambda: runtime.desk.make_standing(by, capability, **facts))
        return made.id if isinstance(made, StandingApproval) else multiple()

    @rule(standing=standings, process=processes, by=voters)
    def join_standing(self, standing: str, process: int, by: str) -> None:
        self.may_fail(lambda: self.at(process).desk.join_standing(standing, by))

    @rule(standing=standings, process=processes, by=voters)
    def revoke_standing(self, standing: str, process: int, by: str) -> None:
        self.may_fail(lambda: self.at(process).desk.revoke_standing(standing, by))

    @rule()
    def the_first_process_starts_again(self) -> None:
        self.runtimes[0] = self.house.runtime()
        self.session = self.run(self.runtimes[0].resume_session(self.session.id))

    def may_fail(self, step: Any) -> Any:
        """Do a step that may be refused: then it changed nothing."""
        before = len(records(self.ledger))
        try:
            return step()
        except PratiqueError:
            assert len(records(self.ledger)) == before
            return None

    @property
    def ledger(self) -> Ledger:
        return self.runtimes[1].ledger

    @invariant()
    def nothing_runs_twice(self) -> None:
        ran = [effect.call_id for effect in self.desk.effects]
        assert len(ran) == len(set(ran))

    @invariant()
    def what_ran_was_agreed_to(self) -> None:
        intents = records(self.ledger, "call.intent")
        assert len(intents) == len(self.desk.effects)
        for intent in intents:
            assert intent["ticket"] or "standing" in intent
            assert set(intent["approved_by"]) & {"li@acme.example", "bo@acme.example", "ana@acme.example"}
            assert "kim@acme.example" not in intent["approved_by"] or "standing" in intent
            assert "eve@evil.example" not in intent["approved_by"]

    def teardown(self) -> None:
        try:
            lawful(self.ledger)
            for outcome in records(self.ledger, "call.outcome"):
                assert outcome["outcome"] in {Status.DONE, Status.DENIED}
        finally:
            self.house.close()
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)


Queues.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestQueues = pytest.mark.timeout(900)(pytest.mark.slow(Queues.TestCase))
