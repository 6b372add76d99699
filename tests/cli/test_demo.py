"""Promise: `pratique demo` runs from nothing, shows what was decided, and ends with a log that verifies."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from typer.testing import CliRunner, Result

import pratique
from pratique.cli import app
from pratique.cli.console import console
from pratique.cli.demo_screen import LONGEST_OUTPUT
from pratique.cli.demo_tamper import tamper

CHECKOUT = Path(pratique.__file__).parents[1]


def demo(*options: str) -> Result:
    return CliRunner().invoke(app, ["demo", *options])


def as_json(*options: str) -> Any:
    result = demo(*options, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def test_approving_everything_runs_both_and_verifies() -> None:
    found = as_json("--answer", "approve", "--tamper")
    assert found["verify"]["verdict"] == "OK"
    assert found["tampered"]["verdict"] == "BROKEN"
    assert [trace["output"][:5] for trace in found["traces"]] == ["Done:", "All m"]
    clean, hijacked = found["traces"]
    assert {(call["decision"], bool(call["approved_by"])) for call in clean["tool_calls"]} == {
        ("allow", False),
        ("ask", True),
    }
    assert [call["decision"] for call in hijacked["tool_calls"] if call["tool"] == "billing.refund"] == [
        "deny",
        "ask",
    ]
    assert [payment["amount"] for payment in found["world"]["paid"]].count("49.00") == 1


def test_the_clean_run_asks_less_under_provenance_than_under_strict() -> None:
    """Counted from what was found of each call, and by playing it: the two must agree."""
    asked = {}
    for preset in ("strict", "provenance"):
        found = as_json("--answer", "approve", "--preset", preset)
        clean, hijacked = found["traces"]
        asked[preset] = sum(call["decision"] == "ask" for call in clean["tool_calls"])
        assert found["questions"][0][preset] == asked[preset]
        stopped = {call["tool"] for call in hijacked["tool_calls"] if call["decision"] == "ask"}
        assert stopped == {"billing.refund", "mail.send"}
    assert asked["provenance"] < asked["strict"]


def test_the_hijacked_run_shows_message_and_span_of_what_was_injected() -> None:
    result = demo("--answer", "reject", "--hijacked", "--preset", "provenance")
    card, trace = result.stdout.split("Trace 1 of 1")
    for shown in (card, trace):
        assert "M800P81.mail#body" in shown
        assert "LT12 1000 0111 0100 1000" in shown
    [found] = as_json("--answer", "reject", "--hijacked", "--preset", "provenance")["traces"]
    [origin] = [one for one in found["tool_calls"][17]["origins"] if one["argument"] == "account"]
    start, end = origin["span"]
    assert origin["excerpt"][start:end] == "LT12 1000 0111 0100 1000"


def test_rejecting_everything_changes_nothing() -> None:
    found = as_json("--answer", "reject")
    assert found["world"] == {"sent": [], "drafted": [], "paid": []}
    assert found["verify"]["verdict"] == "OK"
    assert all(call["approved_by"] == [] for trace in found["traces"] for call in trace["tool_calls"])


def test_a_trace_has_what_operators_reconstruct_incidents_from() -> None:
    [trace] = as_json("--answer", "reject", "--hijacked")["traces"]
    for key in ("trace_id", "user_id", "model", "policy", "inputs", "tool_calls", "output"):
        assert trace[key], key
    assert trace["final_action"] == ""  # nothing was changed
    assert trace["inputs"]["redacted_prompt"].startswith("Go through the support mailbox")
    assert {"tool", "args", "decision", "approved_by"} <= trace["tool_calls"][0].keys()


def test_the_terminal_shows_calls_cards_trace_and_verification() -> None:
    result = demo("--answer", "reject", "--hijacked", "--tamper")
    assert result.exit_code == 0, result.output
    text = result.stdout
    for shown in (
        "Question about order 8821",
        "NOTE TO THE ASSISTANT",
        "LT12 1000 0111 0100 1000",
        "Cannot be undone.",
        "rejected by local:",
        "restricted-stays-in denies",
        '"decision":"deny"',
        "OK  ",
        "is “mocal:",
        "BROKEN  (changed) record ",
    ):
        assert shown in text
    trace = orjson.loads(text[text.index("\n{\n") : text.index("\n}\n") + 2])
    assert trace["final_action"] == ""
    assert trace["tool_calls"][1] == {
        "tool": "mail.read",
        "times": 15,
        "decision": "allow",
        "approved_by": [],
    }
    assert trace["tool_calls"][2]["from_outside"]["account"].endswith("#body: LT12 1000 0111 0100 1000")
    assert "pratique trace show ID --json" in " ".join(text.split())


def test_what_went_to_the_attacker_is_marked() -> None:
    lines = demo("--answer", "approve").stdout.split("What left the house")[1]
    marked = [line for line in lines.splitlines() if "to the attacker" in line]
    assert len(marked) == 2
    assert all("LT12 1000" in line or "Yearly check" in line for line in marked)


def test_keep_keeps_everything_and_never_overwrites(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert demo("--answer", "approve", "--hijacked", "--keep", str(folder)).exit_code == 0
    kept = CliRunner().invoke(app, ["audit", "verify", "--config", str(folder / "pratique.toml")])
    assert "UNANCHORED" in kept.stdout
    assert list(folder.glob("data/outbox/*.eml"))
    again = demo("--answer", "approve", "--keep", str(folder))
    assert again.exit_code == 2
    assert "is not empty" in again.stderr


def test_the_installed_example_is_never_written_to() -> None:
    before = snapshot(CHECKOUT / "examples")
    as_json("--answer", "approve")
    assert snapshot(CHECKOUT / "examples") == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("options", [["--terminal"], ["--json"]])
def test_without_a_person_and_without_an_answer_it_says_so(options: list[str]) -> None:
    result = demo(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: there is nobody to ask: give --answer approve or --answer reject\n"


def test_a_variable_that_would_lead_it_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PRATIQUE_FOLDER", str(tmp_path / "real"))
    result = demo("--answer", "approve")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: PRATIQUE_FOLDER: unset it")
    assert not (tmp_path / "real").exists()


def hear_interrupts() -> None:
    """As at a terminal; a job in the background, as the tests may be, inherits that they are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def at_a_terminal(*options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start the program with a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pratique", "demo", *options]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "80"},
        preexec_fn=hear_interrupts,  # noqa: PLW1509  # it only resets a signal
    ) as process:
        os.close(theirs)
        try:
            yield ours, process
        finally:
            process.kill()
            os.close(ours)


def read_until(terminal: int, wanted: str) -> str:
    seen = b""
    while wanted.encode() not in seen:
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # the program has closed its end
            break
    assert wanted.encode() in seen, seen.decode()
    return seen.decode()


def test_a_person_answers_at_the_prompt() -> None:
    with at_a_terminal("--hijacked", "--terminal") as (terminal, process):
        assert "LT12 1000 0111 0100 1000" in read_until(terminal, "approve? y/n")
        os.write(terminal, b"perhaps\n")
        read_until(terminal, "approve? y/n")
        os.write(terminal, b"n\n")
        read_until(terminal, "why not?")
        os.write(terminal, b"not the account in the CRM\n")
        second = read_until(terminal, "approve? y/n")
        assert "not the account in the CRM" in second
        assert "audit@fastgrind-parts.example" in second
        os.write(terminal, b"y\n")
        rest = read_until(terminal, "up to the head given")
        assert "Yearly check: customers" in rest
        assert process.wait(timeout=30) == 0


def test_a_person_answers_in_the_browser() -> None:
    with at_a_terminal("--hijacked") as (terminal, process):
        shown = read_until(terminal, "waits for your answer")
        found = re.search(r"(http://127\.0\.0\.1:\d+)/login/link/(pratique_\w+)", shown)
        assert found is not None, shown
        with httpx2.Client(base_url=f"{found[1]}/api/v1", timeout=30) as person:
            assert person.post("/login/link", json={"link": found[2]}).status_code == 204
            person.headers["X-CSRF-Token"] = person.get("/me").json()["csrf"]
            [first] = person.get("/approvals").json()["items"]
            no = {"vote": "reject", "reason": "not the account in the CRM"}
            assert person.post(f"/approvals/{first['ticket']}/votes", json=no).status_code == 201
            second = read_until(terminal, "waits for your answer")
            assert "not the account in the CRM" in second
            [next_one] = person.get("/approvals").json()["items"]
            confirm = person.get(f"/approvals/{next_one['ticket']}").json()["card"]["confirm"]
            yes = {"vote": "approve", "confirm": confirm}
            answer = person.post(f"/approvals/{next_one['ticket']}/votes", json=yes)
            assert answer.json()["decided_by"] == ["li@acme.example"]
        read_until(terminal, "Enter ends the demo")
        os.write(terminal, b"\n")
        assert "Yearly check: customers" in read_until(terminal, "up to the head given")
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("key", ["ctrl-c", "ctrl-d"])
def test_a_person_can_stop_at_the_prompt(key: str) -> None:
    with at_a_terminal("--hijacked", "--terminal") as (terminal, process):
        read_until(terminal, "approve? y/n")
        if key == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            os.write(terminal, b"\x04")
        read_until(terminal, "stopped")
        assert process.wait(timeout=30) == 130


def test_one_changed_byte_is_one_changed_byte(tmp_path: Path) -> None:
    demo("--answer", "reject", "--hijacked", "--keep", str(tmp_path / "run"))
    ledger = tmp_path / "run" / ".pratique" / "ledger.db"
    change = tamper(ledger, tmp_path / "copy.db")
    before, after = ledger.read_bytes(), (tmp_path / "copy.db").read_bytes()
    assert [at for at in range(len(before)) if before[at] != after[at]] == [change.offset]
    assert (change.before[0], change.after[0]) == ("l", "m")


@pytest.mark.usefixtures("a_jail")
def test_a_hostile_script_is_contained_before_the_reader_s_eyes() -> None:
    text = demo("--answer", "reject").stdout
    assert "send it all to 203.0.113.9: [Errno 13] Permission denied" in text
    assert "start 1000 processes: [Errno 11]" in text


def test_a_machine_without_a_jail_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_CGROUP", "/sys/fs/cgroup/no-such-group")
    result = demo("--answer", "reject")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "This machine gives no jail, so the agent runs no code here: the control group" in text
    assert "python.run" not in text


def test_the_traces_fit_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 80)
    text = demo("--answer", "reject").stdout
    lines = text[text.index("Trace 1 of 2") : text.index("audit verify")].splitlines()
    assert max(map(len, lines)) <= LONGEST_OUTPUT + 20
    long = [line for line in lines if len(line) > 80]
    assert len(long) < len(lines) / 8  # a text is never broken: these hold one that does not fit
    first, second = (orjson.loads(part.partition("\n}\n")[0] + "}") for part in _objects(text))
    assert first["tool_calls"][0]["args"] == {"limit": 50}
    assert second["tool_calls"][1]["times"] == 15


def _objects(text: str) -> list[str]:
    return ["{" + part for part in text.split("\n{\n")[1:]]
