"""Promises 3 to 5 over HTTP: the server is killed at random moments of an approval, again and again.

After each kill another one starts, and everybody goes on as they would: no approved call is lost, none runs
twice, none runs that nobody approved, and the chain verifies.
"""

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pratique.audit.chain import Verdict
from pratique.ledger import queries
from tests.house import records, verify
from tests.server.process import ROOT, Place

USER = {"user": "kim@acme.example"}
APPROVE = {"vote": "approve", "confirm": "mo"}


class Scene:
    """A server that is killed, an agent and an approver who do not mind."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.server.doomed_server", str(place.folder / "pratique.toml")],
            env=place.environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self._said()}/api/v1"
        self.pid = 0
        self.start()
        key = {"Authorization": f"Bearer {place.key()}"}
        self.agent = httpx2.Client(base_url=self.url, headers=key, timeout=20)
        self.person = httpx2.Client(base_url=self.url, timeout=20)
        self.person.post("/login/link", json={"link": place.link("li@acme.example")})
        self.person.headers["X-CSRF-Token"] = self.person.get("/me").json()["csrf"]
        self.session = f"/sessions/{self.agent.post('/sessions', json=USER).json()['session']}"

    def start(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()
        self.pid = int(self._said())

    def kill(self) -> None:
        """Kill the server, and wait until it is no more."""
        with suppress(ProcessLookupError):  # its parent lets the kernel reap it
            server = os.pidfd_open(self.pid)
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(server, signal.SIGKILL)
            select.select([server], [], [], 20)
            os.close(server)

    def drive(self, number: int) -> dict[str, Any]:
        """Ask, say yes, redeem: return the outcome that the agent gets in the end."""
        body = {"tool": "desk.pay", "args": {"to": "mo", "amount": number}, "call_id": f"c{number}"}
        answer = self.agent.post(f"{self.session}/calls", json=body)
        if answer.status_code == 202:
            ticket = answer.json()["ticket"]
            vote = self.person.post(f"/approvals/{ticket}/votes", json=APPROVE)
            assert vote.status_code in {201, 409}, vote.text
            answer = self.agent.post(f"{self.session}/tickets/{ticket}/redeem", json={"wait": 5})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def round(self, number: int, seconds: float) -> tuple[str, dict[str, Any]]:
        """Kill the server so many seconds into an approval; return where that was, and how it ended then."""
        worker = threading.Thread(target=self._attempt, args=(number,))
        worker.start()
        time.sleep(seconds)
        self.kill()
        where = self.where(number)
        self.start()  # before the worker is waited for: what it sent meanwhile waits for the next server
        worker.join()
        return where, self.drive(number)

    def where(self, number: int) -> str:
        """Return how far the log says that the call had come."""
        with self.place.ledger() as ledger:
            found = ledger.read(
                lambda connection: queries.records_of(connection, self.session[10:], f"c{number}")
            )
            if not found or found[-1]["type"] != "approval.proposed":
                return str(found[-1]["type"]) if found else "nothing"
            ticket = found[-1]["ticket"]
            row = ledger.read(lambda connection: queries.approval(connection, ticket))
            return f"approval.{row.state if row is not None else 'lost'}"

    def close(self) -> None:
        self.kill()
        self.agent.close()
        self.person.close()
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.close()
        self.parent.wait(20)
        self.parent.stdout.close()

    def _attempt(self, number: int) -> None:
        try:
            self.drive(number)
        except (httpx2.TransportError, AssertionError):
            return  # killed under it: what the log says is what counts

    def _said(self) -> str:
        assert self.parent.stdout is not None
        return self.parent.stdout.readline().strip()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(Place(tmp_path / "place"))) as made:
        yield made


FEWEST = 3


def kill_and_kill_again(scene: Scene, rounds: int, seconds: float) -> Counter[str]:
    """Kill the server so many times, or for so long (a few times in any case); return where it was killed."""
    seed = int.from_bytes(os.urandom(3))
    chance, killed = random.Random(seed), Counter[str]()  # noqa: S311  # chance, not secrecy
    begun = time.monotonic()
    scene.drive(0)
    whole = time.monotonic()
    scene.drive(1)
    whole = time.monotonic() - whole
    outcomes: dict[str, str] = {"c0": "done", "c1": "done"}
    for number in range(2, rounds + 2):
        if time.monotonic() - begun > seconds and killed.total() >= FEWEST:
            break
        where, outcome = scene.round(number, chance.uniform(0, whole * 1.5))
        killed[where] += 1
        outcomes[outcome["call_id"]] = outcome["status"]
        assert outcome["status"] in {"done", "unknown"}, f"seed {seed}, round {number}: {outcome}"
        assert (outcome["status"] == "unknown") == (where == "call.intent"), f"seed {seed}: {where} {outcome}"
    effects = Counter(scene.place.effects())
    with scene.place.ledger() as ledger:
        chain = records(ledger)
        assert verify(ledger).verdict is Verdict.UNANCHORED
    decided = {r["ticket"] for r in chain if r["type"] == "approval.decided" and r["state"] == "approved"}
    intents = {r["call_id"]: r["ticket"] for r in chain if r["type"] == "call.intent"}
    assert set(effects.values()) <= {1}, f"seed {seed}: a call ran twice"
    assert effects.keys() <= intents.keys(), f"seed {seed}: an effect without an intent"
    assert set(intents.values()) <= decided, f"seed {seed}: a call ran that nobody approved"
    lost = {call for call, status in outcomes.items() if status == "done" and not effects[call]}
    assert not lost, f"seed {seed}: an approved call was lost"
    assert len(intents) == sum(r["type"] == "call.intent" for r in chain) == len(outcomes)
    return killed


def test_killed_at_random_moments_nothing_is_lost_doubled_or_unapproved(scene: Scene) -> None:
    killed = kill_and_kill_again(scene, rounds=200, seconds=4)
    assert killed.total() >= FEWEST


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_a_thousand_times_nothing_is_lost_doubled_or_unapproved(scene: Scene) -> None:
    killed = kill_and_kill_again(scene, rounds=1000, seconds=300)
    sys.stdout.write(f"killed at: {dict(killed)}\n")
    assert len(killed) >= 4, "the kills did not reach every part of an approval"
