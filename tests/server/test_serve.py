"""`pratique serve`: where it listens, what it refuses, and how it ends."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from pratique.server.listen import listening
from pratique.settings_sections import ServerSettings
from tests.house import records
from tests.server.process import Place, Served, served

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what it must refuse
USER = {"user": "kim@acme.example"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def agent(server: Served, place: Place) -> tuple[httpx2.Client, str]:
    client = server.client(headers={"Authorization": f"Bearer {place.key()}"})
    return client, f"/sessions/{client.post('/sessions', json=USER).json()['session']}"


def begun(place: Place, what: str) -> None:
    until = time.monotonic() + 20
    while what not in place.effects():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_it_accepts_sends_each_part_of_an_answer_at_once() -> None:
    """Else a streamed answer stands still for 40 ms between its parts."""
    with (
        closing(listening(ServerSettings(port=0))) as door,
        closing(socket.create_connection(door.getsockname())),
        closing(door.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_serves_and_says_how_to_make_the_first_owner(place: Place) -> None:
    with served(place) as server:
        assert httpx2.get(f"{server.url}/healthz").json() == {"status": "ok"}
        assert "pratique people add" in server.log()
        client, session = agent(server, place)
        with closing(client):
            answer = client.post(f"{session}/calls", json={"tool": "desk.look", "args": {"text": "x"}})
            assert answer.json()["value"] == {"seen": "x"}
        added = place.run("people", "add", "ana@acme.example", "--role", "owner", "--json")
        assert added.returncode == 0, added.stderr
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", EVERYWHERE], "server.unencrypted_behind_tls_proxy = true"),
        (["--host", EVERYWHERE, "--unencrypted-behind-tls-proxy"], "nobody can log in"),
        (["--host", "256.1.1.1", "--unencrypted-behind-tls-proxy"], "nobody can log in"),
        (["--host", "::", "--port", "0"], "travel in clear"),
        (["--port", "1"], ""),
    ],
)
def test_it_does_not_listen_where_it_is_not_safe(place: Place, arguments: list[str], says: str) -> None:
    run = place.run("serve", *arguments, "--port", "70000") if not says else place.run("serve", *arguments)
    assert run.returncode == 2
    assert says in " ".join(run.stderr.split())
    assert "serving" not in run.stderr


def test_when_told_to_stop_running_calls_finish_and_waiting_ones_are_pending(place: Place) -> None:
    with served(place) as server, ThreadPoolExecutor() as pool:
        client, session = agent(server, place)
        with closing(client):
            note = {"tool": "desk.note", "args": {"text": "x", "seconds": 1.5}, "call_id": "n1"}
            pay = {"tool": "desk.pay", "args": {"to": "mo", "amount": 1}, "wait": 50, "call_id": "p1"}
            running = pool.submit(client.post, f"{session}/calls", json=note)
            waiting = pool.submit(client.post, f"{session}/calls", json=pay)
            begun(place, "begun n1")
            with place.ledger() as ledger:
                while not records(ledger, "approval.proposed"):
                    time.sleep(0.01)
            assert server.stop() == 0
            assert running.result().json()["status"] == "done"
            assert waiting.result().status_code == 202
    assert place.effects() == ["begun n1", "ended n1"]


def test_what_does_not_finish_in_time_is_recorded_as_unknown(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", "shutdown_seconds = 1\n")
    with served(place) as server, ThreadPoolExecutor() as pool:
        client, session = agent(server, place)
        with closing(client):
            note = {"tool": "desk.note", "args": {"text": "x", "seconds": 50}, "call_id": "n1"}
            running = pool.submit(client.post, f"{session}/calls", json=note)
            begun(place, "begun n1")
            assert server.stop() == 0
            answer = running.result()
            assert (answer.status_code, answer.json()["title"]) == (503, "the server has ended")
    with place.ledger() as ledger:
        (outcome,) = records(ledger, "call.outcome")
        assert outcome["outcome"] == "unknown"
        assert "died" not in outcome["error"]
    assert place.effects() == ["begun n1"]


def test_a_second_server_on_the_same_port_says_so(place: Place) -> None:
    with served(place) as server:
        port = server.url.rpartition(":")[2]
        run = place.run("serve", "--port", port)
        assert run.returncode == 2
        assert "in use" in run.stderr
        assert server.stop(signal.SIGINT) == 0
