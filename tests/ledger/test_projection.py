"""Promise 4: the state tables hold nothing that the chain does not say, whatever was done."""

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.approvals.clocks import sweep
from pratique.approvals.notices import EVENTS, Outbox
from pratique.audit.chain import Verdict
from pratique.errors import PratiqueError
from pratique.identity.keys import Keys
from pratique.identity.logins import Logins
from pratique.identity.people import People
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.recovery import settle
from pratique.ledger.segments import Hold, rotate_key, seal_segment, set_hold
from pratique.ledger.sequencer import Entry
from pratique.model import Tier
from pratique.proxy.pins import Pins
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from tests.house import (
    POLICY,
    SECOND,
    START_US,
    Clock,
    Desk,
    House,
    answer,
    opened,
    rebuilt_state,
    records,
    sql,
    state_of,
    verify,
)
from tests.proxy.listed import entry, listing

EXPIRES = datetime.fromtimestamp((START_US + 10**12) / SECOND, tz=UTC).isoformat()
COUNTED = f"""
[[exception]]
id = "counted"
to = "support"
tools = ["other.*"]
tier = "write"
taint = "sink"
expires = {EXPIRES}
max_uses = 3
owner = "ana@acme.example"
reason = "migration"
approved_by = "li@acme.example"
"""

actions = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "open",
                "resume",
                "close",
                "look",
                "mail",
                "note",
                "copy",
                "fail",
                "pay",
                "redeem",
                "approve",
                "reject",
                "policy",
                "hour",
                "cancel",
                "retry",
                "abandon",
                "settle",
                "nonsense",
                "person",
                "key",
                "hand",
                "ask",
                "edit",
                "standing",
                "deliver",
                "sweep",
                "server",
            ]
        ),
        st.integers(0, 3),
    ),
    min_size=5,
    max_size=40,
)


class Play:
    """Does to a house whatever it is told, and survives what Pratique refuses."""

    def __init__(self, house: House, desk: Desk, clock: Clock) -> None:
        self.house, self.desk, self.clock = house, desk, clock
        self.runtime: Runtime = house.runtime()
        self.sessions: list[Session] = []
        self.tickets: list[str] = []
        self.policies = 1
        self.desk.gate.set()

    async def do(self, action: str, number: int) -> None:
        if action == "open" or not self.sessions:
            self.sessions.append(await opened(self.runtime, user=f"user{number}@acme.example"))
            return
        session = self.sessions[number % len(self.sessions)]
        await getattr(self, f"do_{action}")(session, number)

    async def do_resume(self, session: Session, number: int) -> None:
        self.sessions[number % len(self.sessions)] = await self.house.runtime().resume_session(session.id)

    async def do_close(self, session: Session, number: int) -> None:
        self.sessions.remove(session)
        session.finish("done", f"action {number}")
        await session.aclose()

    async def do_look(self, session: Session, number: int) -> None:
        await session.call("desk.look", {"text": "x"}, call_id=f"look{number}")

    async def do_mail(self, session: Session, _: int) -> None:
        await session.call("desk.mail")

    async def do_note(self, session: Session, number: int) -> None:
        await asyncio.gather(
            *(session.call("desk.note", {"text": str(n)}, call_id=f"note{n}") for n in range(number))
        )

    async def do_copy(self, session: Session, _: int) -> None:
        letter = await session.call("desk.mail")
        if letter.value is not None:  # else the policy denies it by now
            await session.call("desk.note", {"text": letter.value["body"]})

    async def do_fail(self, session: Session, number: int) -> None:
        await session.call("desk.note", {"text": "x", "then": "raise" if number % 2 else "refuse"})

    async def do_pay(self, session: Session, number: int) -> None:
        pay = {"to": "mo", "amount": number}
        outcome = await session.call("desk.pay", pay, call_id=f"pay{number}")
        self.tickets += [outcome.ticket] if outcome.ticket else []

    async def do_redeem(self, session: Session, number: int) -> None:
        await session.redeem(self._ticket(number))

    async def do_approve(self, _: Session, number: int) -> None:
        answer(self.runtime, self._ticket(number), ("li", "bo")[number % 2] + "@acme.example")

    async def do_reject(self, _: Session, number: int) -> None:
        answer(self.runtime, self._ticket(number), approve=False, reason="no")

    async def do_policy(self, _: Session, number: int) -> None:
        self.policies += 1
        self.house.apply(f"{POLICY}{COUNTED}# {self.policies} {number}\n")

    async def do_hour(self, _: Session, number: int) -> None:
        self.clock.forward((number - 1) * 3 * 3600)

    async def do_cancel(self, session: Session, number: int) -> None:
        await self._cancelled(session, "desk.note", f"cancel{number}")

    async def do_retry(self, session: Session, number: int) -> None:
        await self._cancelled(session, "desk.retry", f"retry{number}")
        await session.call("desk.retry", {"text": "x", "then": "wait"}, call_id=f"retry{number}")

    async def do_abandon(self, session: Session, number: int) -> None:
        """Leave an intent behind, as a process that died would: its writer is nobody."""
        draft = {
            "type": "call.intent",
            "session": session.id,
            "call_id": f"abandoned{number}{len(records(self.runtime.ledger))}",
            **dict.fromkeys(["digest", "tool", "agent", "ticket", "tier"], ""),
            "writer": "w_" + "0" * 16,
            "grants": ["counted"],
        }
        await self.runtime.ledger.commit(Entry(drafts=(draft,)))

    async def do_settle(self, _: Session, __: int) -> None:
        settle(self.runtime.ledger)

    async def do_nonsense(self, session: Session, _: int) -> None:
        await session.call("no.such.tool", {"text": "x"})

    async def do_hand(self, _: Session, number: int) -> None:
        self.runtime.desk.hand_on(self._ticket(number), "li@acme.example", "bo@acme.example")

    async def do_ask(self, _: Session, number: int) -> None:
        self.runtime.desk.ask_person(self._ticket(number), "li@acme.example", "which one?")

    async def do_edit(self, _: Session, number: int) -> None:
        edited = {"to": "mo", "amount": number + 50}
        question = await self.runtime.edit(self._ticket(number), "bo@acme.example", edited, confirm="mo")
        self.tickets.append(question.ticket)

    async def do_standing(self, _: Session, number: int) -> None:
        self.runtime.desk.make_standing(
            "li@acme.example",
            self.runtime.registry.demand("desk.pay").capability,
            agent="support",
            pattern={"to": {"equals": "mo"}, "amount": {"least": 0, "most": number}},
            expires_us=self.clock() + 3600 * SECOND,
            max_uses=number + 1,
            reason="test",
        )

    async def do_deliver(self, _: Session, __: int) -> None:
        outbox = Outbox(self.runtime.ledger, self.runtime.desk)
        for due in outbox.due("webhook:x", EVENTS, 3):
            outbox.claim(due)

    async def do_sweep(self, _: Session, __: int) -> None:
        sweep(self.runtime.ledger)

    async def do_person(self, _: Session, number: int) -> None:
        people, logins = People(self.runtime.ledger), Logins(self.runtime.ledger)
        name = f"person{number}@acme.example"
        if people.find(name) is None:
            people.add(name, "local:test", roles=["auditor"])
        people.link(name, "local:test")
        login = logins.by_link(people.link(name, "local:test"))
        people.give(name, ["owner"], name)
        if number == 1:
            logins.end(login)
        if number > 1:
            people.disable(name, "local:test", "left")
            people.enable(name, "local:test")

    async def do_key(self, _: Session, number: int) -> None:
        keys = Keys(self.runtime.ledger)
        key = keys.issue("support", ["*"], "local:test").key.id
        self.sessions.append(await opened(self.runtime, api_key=key))
        if number > 1:
            keys.revoke(key, "local:test", "lost")

    async def do_server(self, _: Session, number: int) -> None:
        pins = Pins(self.runtime.ledger)
        config = "cd"[number // 2] * 64
        pins.add("files", config, "files-server", "local:test")
        for turn in range(number + 1):
            more = {"description": "changed"} if turn else {}
            pins.saw("files", listing(entry(**more), entry(f"t{turn}"), config=config), "local:test")
            pin = pins.find("files.read")
            pins.approve("files.read", pin.seen, Tier.READ, "ana@acme.example")
        if number == 1:
            pins.refuse("files.read", pin.seen, "li@acme.example", "no")
        if number == 3:
            pins.remove("files", "li@acme.example")

    async def _cancelled(self, session: Session, name: str, call_id: str) -> None:
        self.desk.gate.clear()
        self.desk.started.clear()
        args = {"text": "x", "then": "wait"}
        task = asyncio.create_task(session.call(name, args, call_id=call_id))
        waiting = asyncio.create_task(self.desk.started.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        task.cancel()
        await asyncio.wait([task])
        self.desk.gate.set()

    def _ticket(self, number: int) -> str:
        return self.tickets[-1 - number % len(self.tickets)] if self.tickets else "t_none"


def check(ledger: Ledger) -> None:
    live = ledger.read(state_of)
    assert rebuilt_state(ledger) == live
    assert verify(ledger).verdict is Verdict.UNANCHORED
    assert ledger.read(queries.misfiled) is None


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions)
def test_whatever_happens_the_state_is_what_the_chain_says(
    tmp_path_factory: pytest.TempPathFactory, template: Path, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("play") / "house"
    shutil.copytree(template, folder)

    async def play() -> None:
        clock, desk = Clock(), Desk()
        with House(folder, clock, desk) as house:
            house.apply(POLICY + COUNTED)
            scene = Play(house, desk, clock)
            for action, number in steps:
                with contextlib.suppress(PratiqueError):  # what is refused must change nothing
                    await scene.do(action, number)
            check(scene.runtime.ledger)

    asyncio.run(play())
    shutil.rmtree(folder.parent)


def administer(ledger: Ledger, sealed: Path) -> None:
    """Do to the log itself what can be done to it."""
    rotate_key(ledger, "ana@acme.example", "yearly")
    seal_segment(ledger, sealed, 3, "ana@acme.example", "a test")
    set_hold(ledger, Hold(first=1, last=2), "ana@acme.example", "a case")


async def test_a_run_that_does_everything_fills_every_state_table(
    empty_house: House, desk: Desk, clock: Clock
) -> None:
    """The test above proves nothing about a table that is always empty."""
    empty_house.apply(POLICY + COUNTED)
    play = Play(empty_house, desk, clock)
    script = [
        *[("open", 0), ("open", 1), ("look", 1), ("mail", 0), ("note", 3), ("copy", 1), ("fail", 1)],
        ("pay", 1),
        *[("approve", 0), ("redeem", 1), ("pay", 2), ("reject", 0), ("cancel", 1), ("retry", 1)],
        *[
            ("abandon", 0),
            ("settle", 0),
            ("resume", 0),
            ("person", 1),
            ("key", 1),
            ("pay", 3),
            ("policy", 1),
            ("pay", 3),
            *[
                ("ask", 0),
                ("hand", 0),
                ("edit", 0),
                ("standing", 0),
                ("deliver", 0),
                ("hour", 3),
                ("sweep", 0),
                ("server", 2),
            ],
            ("close", 0),
        ],
    ]
    for action, number in script:
        await play.do(action, number)
    administer(play.runtime.ledger, empty_house.folder.parent / "sealed")
    live = play.runtime.ledger.read(state_of)

    assert {table.name for table in t.STATE if not live[table.name]} == set()
    assert {row[5] for row in live["calls"]} == {"done", "unknown"}
    assert {"finished", "rejected", "void"} <= {row[10] for row in live["approvals"]}
    check(play.runtime.ledger)


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE approvals SET state = 'approved'",
        "UPDATE grant_uses SET uses = 0",
        "DELETE FROM grant_uses",
        "UPDATE sessions SET integrity = 'trusted'",
        "DELETE FROM calls",
        "UPDATE policies SET epoch = 9",
        "INSERT INTO votes VALUES ('t', 'li', 'approve', '', 1)",
        "INSERT INTO mcp_servers VALUES ('files', 'c', 'x', 'ana', 1, 0, 1)",
    ],
)
async def test_a_forged_state_is_not_what_the_chain_says(
    empty_house: House, desk: Desk, clock: Clock, forgery: str
) -> None:
    empty_house.apply(POLICY + COUNTED)
    play = Play(empty_house, desk, clock)
    for step in [("open", 0), ("mail", 0), ("note", 2), ("pay", 1), ("abandon", 0)]:
        await play.do(*step)
    check(play.runtime.ledger)
    sql(play.runtime.ledger, forgery)
    with pytest.raises(AssertionError):
        check(play.runtime.ledger)


@pytest.mark.parametrize("column", ["type", "session", "call"])
async def test_a_misfiled_record_is_found(house: House, column: str) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    outcome = await session.call("desk.look")
    assert runtime.ledger.read(queries.misfiled) is None
    sql(runtime.ledger, f"UPDATE records SET {column} = 'elsewhere' WHERE seq = ?", outcome.record)
    assert verify(runtime.ledger).verdict is Verdict.UNANCHORED, "the chain itself does not see it"
    assert runtime.ledger.read(queries.misfiled) == outcome.record
