"""The verbs of proof do what their help says, and their exit codes are those that are documented."""

import base64
import os
import pty
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import proves_consistency, proves_inclusion
from pratique.audit.note import Verifier
from pratique.cli import app
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry

OK, BROKEN, UNUSABLE, UNANCHORED = 0, 1, 2, 3


class Office:
    """A folder with settings, a ledger of a few records, and a file witness."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elsewhere = folder / "elsewhere.jsonl"
        self.settings('retention_days = 0\n[witnesses.vault]\nkind = "file"\npath = "elsewhere.jsonl"\n')
        with self.ledger() as ledger:
            self.append(ledger, 5)

    def settings(self, text: str) -> None:
        (self.folder / "pratique.toml").write_text(text)

    def ledger(self) -> Ledger:
        return Ledger(self.folder / ".pratique")

    def append(self, ledger: Ledger, records: int) -> None:
        draft = {"type": "hold.lift", "hold": "none", "by": "ana@acme.example", "reason": "a test"}
        ledger.commit_now(Entry((draft,) * records))

    def run(self, *words: str, code: int = OK) -> Result:
        result = CliRunner().invoke(app, ["audit", *words, "-c", str(self.folder / "pratique.toml")])
        assert result.exit_code == code, result.output + result.stderr
        return result

    def json(self, *words: str, code: int = OK) -> Any:
        return orjson.loads(self.run(*words, code=code).stdout)

    def path(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_verify_says_up_to_where_by_whom_and_what_is_open(office: Office) -> None:
    office.run("verify", code=UNANCHORED)
    office.run("checkpoint", "--out", office.path("kept"))
    shown = office.run("verify", "--checkpoint", office.path("kept"), "--strict").stdout
    assert shown.startswith("OK")
    assert "held by you" in " ".join(shown.split())
    office.run("witnesses", "--push")
    with office.ledger() as ledger:
        office.append(ledger, 2)
    shown = " ".join(office.run("verify").stdout.split())
    assert "up to the checkpoint held by vault" in shown
    assert "open 6 to 7: nobody outside holds these yet" in shown
    found = office.json("verify", "--json")
    assert (found["verdict"], found["covered"], found["signed"]) == ("OK", 5, 7)


def test_verify_finds_a_cut_tail_by_what_the_witness_holds(office: Office) -> None:
    office.run("witnesses", "--push")
    with office.ledger() as ledger:
        ledger.commit_now(Entry((), checkpoint=True))
    backup = (office.folder / ".pratique" / "ledger.db").read_bytes()
    with office.ledger() as ledger:
        office.append(ledger, 2)
    office.run("witnesses", "--push")
    (office.folder / ".pratique" / "ledger.db").write_bytes(backup)
    (office.folder / ".pratique" / "keys" / "signed").unlink()
    shown = " ".join(office.run("verify", code=BROKEN).stdout.split())
    assert "BROKEN (cut) record 6: the log ends at 5, vault" in shown
    assert office.json("verify", "--json", code=BROKEN)["kind"] == "cut"


@pytest.mark.parametrize(
    "words",
    [
        ("--checkpoint", "nothing"),
        ("--checkpoint", "pratique.toml"),
        ("--key", "nonsense"),
        ("--head", "nonsense"),
        ("--bundle", "nothing"),
        ("--ledger", "nothing"),
    ],
)
def test_what_cannot_be_checked_is_an_error_and_not_a_verdict(office: Office, words: tuple[str, str]) -> None:
    option, name = words
    value = name if option in {"--key", "--head"} else office.path(name)
    assert "error:" in office.run("verify", option, value, code=UNUSABLE).stderr


def test_a_witness_that_cannot_be_read_is_said_and_does_not_count(office: Office) -> None:
    office.elsewhere.write_text("rubbish\n")
    result = office.run("verify", code=UNANCHORED)
    assert "witness: vault" in result.stderr
    found = office.json("witnesses", "--push", "--json", code=BROKEN)
    assert (found[0]["size"], found[0]["failures"]) == (0, 1)
    assert "last line" in found[0]["error"]


def test_proofs_that_are_printed_verify(office: Office) -> None:
    proof = office.json("prove", "3")
    hashes = [base64.b64decode(text) for text in proof["proof"]]
    signed = SignedCheckpoint.parse(proof["checkpoint"])
    assert proof["record"]["seq"] == 3
    assert proof["root"] == signed.checkpoint.root.hex()
    assert proves_inclusion(bytes.fromhex(proof["leaf"]), 2, 5, hashes, signed.checkpoint.root)
    key = Verifier.parse(office.run("key").stdout)
    assert key in signed.note.signed_by([key])
    grown = office.json("consistency", "3")
    old, new = ((grown[name]["size"], bytes.fromhex(grown[name]["root"])) for name in ("old", "new"))
    assert proves_consistency(*old, *new, [base64.b64decode(text) for text in grown["proof"]])
    for words in (
        ("prove", "6"),
        ("prove", "1", "--size", "3"),
        ("consistency", "6"),
        ("consistency", "3", "9"),
    ):
        assert "error:" in office.run(*words, code=UNUSABLE).stderr


def test_a_segments_life(office: Office) -> None:
    office.run("bundle", office.path("all.tar"))
    office.run("checkpoint", "--out", office.path("kept"))
    office.run("verify", "--bundle", office.path("all.tar"), "--checkpoint", office.path("kept"))
    office.run("verify", "--bundle", office.path("all.tar"), code=UNANCHORED)
    assert "is there already" in office.run("bundle", office.path("all.tar"), code=UNUSABLE).stderr
    office.run("seal", office.path("first"), "--until", "4", "--reason", "a test")
    hold = office.run("hold", "--first", "2", "--last", "3", "--reason", "case 4711").stdout.strip()
    drop = ("drop", office.path("first"), "--reason", "retention", "--yes")
    assert "case 4711" in office.run(*drop, code=UNUSABLE).stderr
    assert "case 4711" in office.run("holds").stdout
    assert office.json("holds", "--json")[0]["id"] == hold
    office.run("lift", hold, "--reason", "closed")
    assert office.run("holds").stdout == ""
    office.settings("")
    assert "records stay 184 days" in office.run(*drop, code=UNUSABLE).stderr
    office.settings("retention_days = 0\n")
    assert "records 1 to 4 are dropped" in office.run(*drop).stdout
    assert "dropped 1 to 4" in " ".join(office.run("verify", code=UNANCHORED).stdout.split())
    office.run("verify", "--checkpoint", office.path("kept"))
    office.run("bundle", office.path("rest.tar"))
    office.run("verify", "--bundle", office.path("rest.tar"), code=UNANCHORED)


def test_nothing_is_done_to_the_log_without_a_reason(office: Office) -> None:
    for words in (("rotate-key",), ("seal", office.path("x")), ("hold", "--first", "1", "--last", "2")):
        assert "say why" in office.run(*words, "--reason", " ", code=UNUSABLE).stderr
    assert "say what to hold" in office.run("hold", "--reason", "x", code=UNUSABLE).stderr
    assert "make a range" in office.run("hold", "--first", "3", "--reason", "x", code=UNUSABLE).stderr


def test_a_new_key_is_in_force_and_the_first_one_leads_to_it(office: Office) -> None:
    first = office.run("key").stdout
    new = office.run("rotate-key", "--reason", "yearly").stdout
    assert Verifier.parse(new) != Verifier.parse(first)
    assert office.run("key").stdout == first
    office.run("verify", "--key", first.strip(), code=UNANCHORED)
    assert office.json("verify", "--key", new.strip(), "--json", code=BROKEN)["kind"] == "rotation"


def test_a_long_log_shows_a_bar_at_a_terminal_only(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pratique.cli.audit_verify.LONG", 3)
    assert "hashing" not in office.run("verify", code=UNANCHORED).stderr
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PRATIQUE_FOLDER"] = office.path(".pratique")
        os.execv(sys.executable, [sys.executable, "-c", _WITH_BAR])  # noqa: S606  # a child of this test
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the terminal's other end is closed
        pass
    os.waitpid(pid, 0)
    assert b"hashing" in shown
    assert b"UNANCHORED" in shown


_WITH_BAR = """
import pratique.cli.audit_verify as verify
verify.LONG = 3
from pratique.cli import app
app(["audit", "verify"])
"""
