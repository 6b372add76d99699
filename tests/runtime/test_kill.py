"""Promises 3, 4 and 5 under SIGKILL: a real process dies at each point of a call, and another one starts.

Whatever the point: no effect without an intent in the chain, no second run, no acknowledged record lost, and
what nobody can know is said to be unknown.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pratique.audit.chain import Verdict
from pratique.ledger.door import Ledger
from pratique.ledger.recovery import settle
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.tools.context import World
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry
from tests import doomed
from tests.house import House, answer, records, verify

BEFORE_THE_INTENT = [
    "before resolve",
    "before decide",
    "after decide",
    "before commit",
    "statement 1 BEGIN IMMEDIATE",
    "statement 1 INSERT INTO records",
    "statement 1 COMMIT",
]
BEFORE_THE_EFFECT = ["after commit", "in the tool, before the effect"]
BEFORE_THE_OUTCOME = [
    "in the tool, after the effect",
    "after execute",
    "after release",
    "before close",
    "statement 2 BEGIN IMMEDIATE",
    "statement 2 INSERT INTO records",
    "statement 2 COMMIT",
]
AFTER_THE_OUTCOME = ["after close", "after the answer"]


class Death(NamedTuple):
    """What a killed process left behind: what it said, and what it did."""

    said: list[str]
    effects: list[str]

    @property
    def session(self) -> str:
        return self.said[0]


class Scene:
    """A folder, processes that die in it, and one that comes after them."""

    def __init__(self, house: House) -> None:
        self.folder = house.folder
        self.effects_file = house.folder.parent / "effects"

    def kill(self, point: str, *more: str, tool: str = "desk.note") -> Death:
        """Run a process until it kills itself at the point."""
        run = subprocess.run(
            [sys.executable, "-m", "tests.doomed", str(self.folder), point, *more],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "DOOMED_TOOL": tool},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == -signal.SIGKILL, f"{point}: {run.returncode} {run.stderr[-2000:]}"
        return Death(run.stdout.splitlines(), self.effects())

    def effects(self) -> list[str]:
        return self.effects_file.read_text().splitlines() if self.effects_file.exists() else []

    def ledger(self) -> Ledger:
        return Ledger(self.folder)

    def runtime(self, ledger: Ledger) -> Runtime:
        registry = Registry(doomed.tools(self.effects_file, ""))
        return Runtime(ledger, registry, Executor(World()))


@pytest.fixture
def scene(house: House) -> Scene:
    return Scene(house)


async def afterwards(scene: Scene, death: Death, tool: str = "desk.note") -> tuple[Outcome, list[Any]]:
    """Start again, check what must hold whatever happened, and make the same call once more."""
    with scene.ledger() as ledger:
        settled = settle(ledger)
        chain = records(ledger)
        intents = {r["call_id"] for r in chain if r["type"] == "call.intent"}
        assert verify(ledger).verdict is Verdict.UNANCHORED
        assert set(death.effects) <= intents, "an effect without an intent in the chain"
        for line in death.said[1:]:
            seq, status, _ = line.split(" ", 2)
            assert chain[int(seq) - 1]["outcome"] == status, "an acknowledged record was lost"
        session = await scene.runtime(ledger).resume_session(death.session)
        outcome = await session.call(tool, call_id="c1")
        assert settle(ledger) == []
        return outcome, settled


@pytest.mark.parametrize("point", BEFORE_THE_INTENT)
async def test_killed_before_the_intent_the_call_never_was_and_may_run(scene: Scene, point: str) -> None:
    death = scene.kill(point)
    assert death.effects == []
    outcome, settled = await afterwards(scene, death)
    assert settled == []
    assert outcome.status is Status.DONE
    assert scene.effects() == ["c1"]


@pytest.mark.parametrize("point", BEFORE_THE_EFFECT + BEFORE_THE_OUTCOME)
async def test_killed_between_intent_and_outcome_the_call_is_unknown_and_not_run_again(
    scene: Scene, point: str
) -> None:
    death = scene.kill(point)
    assert death.effects == ([] if point in BEFORE_THE_EFFECT else ["c1"])
    outcome, settled = await afterwards(scene, death)
    assert [intent["call_id"] for intent in settled] == ["c1"]
    assert outcome.status is Status.UNKNOWN
    assert "may or may not have taken effect" in outcome.error
    assert scene.effects() == death.effects, "a second run"


@pytest.mark.parametrize("point", AFTER_THE_OUTCOME)
async def test_killed_after_the_outcome_the_call_is_done_and_not_run_again(scene: Scene, point: str) -> None:
    death = scene.kill(point)
    outcome, settled = await afterwards(scene, death)
    assert settled == []
    assert (outcome.status, outcome.value) == (Status.DONE, "done")
    assert scene.effects() == death.effects == ["c1"]


@pytest.mark.parametrize("point", ["after commit", "in the tool, after the effect", "before close"])
async def test_a_tool_with_an_idempotency_key_is_run_again_after_a_kill(scene: Scene, point: str) -> None:
    death = scene.kill(point, tool="desk.retry")
    outcome, settled = await afterwards(scene, death, "desk.retry")
    assert len(settled) == 1
    assert outcome.status is Status.DONE
    assert scene.effects() == [*death.effects, "c1"]


@pytest.mark.parametrize("point", ["before approve", "while waiting", "after the answer"])
async def test_killed_while_a_person_is_asked_the_question_waits_on(scene: Scene, point: str) -> None:
    death = scene.kill(point, tool="desk.pay")
    with scene.ledger() as ledger:
        assert settle(ledger) == []
        runtime = scene.runtime(ledger)
        assert len(runtime.queue.questions()) == (0 if point == "before approve" else 1)
        session = await runtime.resume_session(death.session)
        pending = await session.call("desk.pay", call_id="c1")
        assert pending.status is Status.PENDING
        assert len(records(ledger, "approval.proposed")) == 1
        answer(runtime, pending.ticket)
        assert (await session.redeem(pending.ticket)).status is Status.DONE
    assert scene.effects() == ["c1"]


@pytest.mark.parametrize(
    ("point", "then"),
    [
        ("before decide", Status.DONE),
        ("before commit", Status.DONE),
        ("statement 1 COMMIT", Status.DONE),
        ("after commit", Status.UNKNOWN),
        ("in the tool, after the effect", Status.UNKNOWN),
        ("after close", Status.DONE),
    ],
)
async def test_killed_between_the_yes_and_its_use_the_yes_is_used_at_most_once(
    scene: Scene, point: str, then: Status
) -> None:
    asked = scene.kill("after the answer", tool="desk.pay")
    ticket = asked.said[1].split()[2]
    with scene.ledger() as ledger:
        answer(scene.runtime(ledger), ticket)
    death = scene.kill(point, asked.session, ticket)
    with scene.ledger() as ledger:
        settle(ledger)
        session = await scene.runtime(ledger).resume_session(asked.session)
        outcome = await session.redeem(ticket)
        assert outcome.status is then
        assert len(records(ledger, "call.intent")) == 1
        assert verify(ledger).verdict is Verdict.UNANCHORED
        runtime = scene.runtime(ledger)
        assert runtime.queue.look(ticket).state == ("unknown" if then is Status.UNKNOWN else "finished")
    ran_already = point in {"in the tool, after the effect", "after close"}
    assert death.effects == (["c1"] if ran_already else [])
    assert scene.effects() == ([] if point == "after commit" else ["c1"])


async def test_two_processes_that_start_after_a_kill_report_the_unknown_once(scene: Scene) -> None:
    scene.kill("after commit")
    with scene.ledger() as first, scene.ledger() as second:
        assert len(settle(first)) + len(settle(second)) == 1
        (outcome,) = records(first, "call.outcome")
    assert outcome["outcome"] == "unknown"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 30))
async def test_killed_at_any_statement_nothing_is_lost_or_done_twice(scene: Scene, number: int) -> None:
    """As above, at every statement that the database begins during a call, whatever it is."""
    try:
        death = scene.kill(f"statement {number} ")
    except AssertionError as problem:
        assert "never reached" in str(problem)  # noqa: PT017  # there are fewer statements than that
        return
    outcome, settled = await afterwards(scene, death)
    assert outcome.status is (Status.UNKNOWN if settled else Status.DONE)
    assert len(scene.effects()) <= 1
