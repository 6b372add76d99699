"""Promise 4, seen from outside: each kind of witness, a real process or file, holds what the log gave it."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pratique.audit.chain import Break, Report, Verdict
from pratique.audit.note import Verifier
from pratique.errors import WitnessError
from pratique.ledger import queries
from pratique.ledger.checkpoints import Cadence
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import reading
from pratique.ledger.segments import rotate_key
from pratique.ledger.sequencer import Entry
from pratique.ledger.verification import Asked, verify_file
from pratique.witnesses.file import FileWitness
from pratique.witnesses.kinds import Witness
from pratique.witnesses.pushing import Standing, accompany, held, push_newest, standings
from pratique.witnesses.timestamp import TimestampWitness
from pratique.witnesses.tlog import TlogWitness
from tests.house import Clock, sql
from tests.servers.machine import demand, end, free_port, greets, until
from tests.servers.witness import make_authority, witness_key

ANA = "ana@acme.example"


def append(ledger: Ledger, records: int, why: str = "because") -> None:
    draft = {"type": "hold.lift", "hold": "none", "by": ANA, "reason": why}
    ledger.commit_now(Entry((draft,) * records, checkpoint=True))


def opened(folder: Path) -> Ledger:
    return Ledger(folder, clock=Clock(), cadence=Cadence(1024, 3600))


@pytest.fixture
def folder(tmp_path: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "ledger")


class Server:
    """The witness and authority, and what they keep."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.root = make_authority(folder / "tsa")
        self.port = free_port()
        command = [sys.executable, "-m", "tests.servers.witness", str(self.port), str(folder), key]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        until(lambda: greets(self.port), "the witness")

    def tlog(self, key: str = "") -> TlogWitness:
        return TlogWitness("w1", f"http://127.0.0.1:{self.port}/", Verifier.parse(key or witness_key()))

    def stamps(self) -> TimestampWitness:
        return TimestampWitness("tsa", f"http://127.0.0.1:{self.port}/tsa", self.root)


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[Server]:
    demand("openssl", "openssl")
    with opened(folder) as ledger:
        key = str(ledger.keys.first.verifier)
    (tmp_path / "server").mkdir()
    made = Server(tmp_path / "server", key)
    yield made
    end(made.process)


@pytest.fixture
def file(tmp_path: Path) -> FileWitness:
    return FileWitness("vault", tmp_path / "elsewhere.jsonl")


def verified(folder: Path, *witnesses: Witness) -> Report:
    path = folder / "ledger.db"
    with reading(path) as connection:
        claims, problems = held(connection, witnesses)
    assert problems == []
    return verify_file(path, asked=Asked(claims=claims))


def cut_back(folder: Path, records: int) -> None:
    """Cut the tail as somebody does who has the database and the key folder."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("DELETE FROM records WHERE seq > ?", (records,))
        connection.execute("DELETE FROM checkpoints WHERE size > ?", (records,))
        connection.execute("DELETE FROM witnessed WHERE size > ?", (records,))
        connection.commit()
    (folder / "keys" / "signed").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["file", "tlog", "timestamp"])
def test_what_a_witness_holds_makes_it_ok(folder: Path, server: Server, file: FileWitness, kind: str) -> None:
    every: dict[str, Witness] = {"file": file, "tlog": server.tlog(), "timestamp": server.stamps()}
    witness = every[kind]
    with opened(folder) as ledger:
        append(ledger, 5)
        assert push_newest(ledger, witness) == 5
        append(ledger, 4)
        assert push_newest(ledger, witness) == 9
        assert push_newest(ledger, witness) == 9, "what it has is not pushed again"
        append(ledger, 2)
        assert [each.size for each in ledger.read(standings)] == [9]
    report = verified(folder, witness)
    assert (report.verdict, report.covered, report.records) == (Verdict.OK, 9, 11)
    assert all(each.at for each in report.held if each.outside), "it says when"


def test_a_cut_tail_is_seen_by_a_file_and_by_a_witness_that_is_asked(
    folder: Path, server: Server, file: FileWitness
) -> None:
    witness = server.tlog()
    with opened(folder) as ledger:
        append(ledger, 5)
        push_newest(ledger, witness)
        append(ledger, 5)
        push_newest(ledger, file)
        push_newest(ledger, witness)
    cut_back(folder, 5)
    report = verified(folder, file)
    assert (report.verdict, report.kind, report.broken_at) == (Verdict.BROKEN, Break.CUT, 6)
    assert verified(folder, witness).covered == 5, "its evidence was in the database: an older one is left"
    with opened(folder) as ledger:
        newest = ledger.read(queries.newest_checkpoint)
    assert newest is not None
    assert witness.asked(newest) == 10, "but it remembers"
    assert server.stamps().asked(newest) == 0


def test_no_witness_goes_back_or_takes_another_history(
    folder: Path, server: Server, file: FileWitness, tmp_path: Path
) -> None:
    with opened(folder) as ledger:
        append(ledger, 5)
    backup = shutil.copytree(folder, tmp_path / "backup")
    with opened(folder) as ledger:
        append(ledger, 5)
        for witness in (file, server.tlog()):
            push_newest(ledger, witness)
    before = (tmp_path / "elsewhere.jsonl").read_bytes()
    with opened(backup) as ledger:
        for witness in (file, server.tlog()):
            with pytest.raises(WitnessError, match="holds a checkpoint of 10"):
                push_newest(ledger, witness)
        append(ledger, 9, "another history")
        for witness in (file, server.tlog()):
            with pytest.raises(WitnessError, match="another history"):
                push_newest(ledger, witness)
        assert {each.failures for each in ledger.read(standings)} == {2}
    assert (tmp_path / "elsewhere.jsonl").read_bytes() == before
    report = verified(backup, file)
    assert (report.verdict, report.kind) == (Verdict.BROKEN, Break.REWRITTEN)


def test_a_witness_that_does_not_know_the_key_is_understood(folder: Path, server: Server) -> None:
    with opened(folder) as ledger:
        append(ledger, 1)
        push_newest(ledger, server.tlog())
        rotate_key(ledger, ANA, "test")
        with pytest.raises(WitnessError, match="does not trust the log's key"):
            push_newest(ledger, server.tlog())
    assert [row.error[:4] for row in _standings(folder)] == ["http"]


def _standings(folder: Path) -> list[Standing]:
    with reading(folder / "ledger.db") as connection:
        return list(standings(connection))


def test_evidence_that_was_changed_counts_for_nothing(folder: Path, server: Server) -> None:
    witnesses: list[Witness] = [server.tlog(), server.stamps()]
    with opened(folder) as ledger:
        append(ledger, 3)
        for witness in witnesses:
            push_newest(ledger, witness)
        append(ledger, 3)
    path = folder / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE witnessed SET size = 6")
        connection.commit()
    with reading(path) as view:
        claims, problems = held(view, witnesses)
    assert claims == []
    assert len(problems) == 2
    other = Verifier.parse(witness_key())._replace(key=bytes(32))
    with opened(folder) as ledger, pytest.raises(WitnessError, match="no cosignature"):
        push_newest(ledger, TlogWitness("w2", f"http://127.0.0.1:{server.port}", other))


def test_pushes_go_on_while_calls_do_and_are_repeated(
    folder: Path, server: Server, file: FileWitness
) -> None:
    down = server.folder / "down"
    down.touch()
    with opened(folder) as ledger:
        accompany(ledger, [server.tlog(), file])
        append(ledger, 3)
        until(
            lambda: sql(ledger, "SELECT failures FROM witness_tries WHERE witness = 'w1'") == [(1,)], "a try"
        )
        append(ledger, 3)
        assert verified(folder, file).verdict is Verdict.OK
        down.unlink()
        until(
            lambda: sql(ledger, "SELECT size, error FROM witness_tries WHERE witness = 'w1'") == [(6, "")],
            "it",
        )
        append(ledger, 1)
    report = verified(folder, server.tlog(), file)
    assert (report.verdict, report.covered) == (Verdict.OK, 7), "closing pushes the last checkpoint"


def test_a_witness_that_is_gone_does_not_stop_anything(folder: Path) -> None:
    nobody = TlogWitness("w1", f"http://127.0.0.1:{free_port()}", Verifier.parse(witness_key()))
    with opened(folder) as ledger:
        accompany(ledger, [nobody])
        append(ledger, 3)
    assert verified(folder, nobody).verdict is Verdict.UNANCHORED


@pytest.mark.parametrize("damage", [b"{}\n", b"no json\n", b'{"at": 1', b'{"at": 1, "note": "x"}\n'])
def test_a_damaged_file_is_said_to_be_and_not_written_to(folder: Path, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "elsewhere.jsonl"
    path.write_bytes(damage)
    witness = FileWitness("vault", path)
    with opened(folder) as ledger:
        append(ledger, 1)
        with pytest.raises(WitnessError, match="last line"):
            push_newest(ledger, witness)
    with pytest.raises(WitnessError, match="last line"):
        witness.held(())
    assert path.read_bytes() == damage


def test_a_file_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    with opened(folder) as ledger:
        append(ledger, 1)
        with pytest.raises(WitnessError, match="No such file"):
            push_newest(ledger, FileWitness("vault", tmp_path / "nowhere" / "file"))
    with pytest.raises(WitnessError, match="directory"):
        FileWitness("vault", tmp_path).held(())
    assert FileWitness("vault", tmp_path / "none").held(()) == []
