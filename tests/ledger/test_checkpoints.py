"""Part of promise 4: the head is signed while calls go on, by a key that nobody else may read."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pratique.audit.chain import Break, Report, Verdict
from pratique.audit.checkpoint import Checkpoint, SignedCheckpoint
from pratique.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    proves_consistency,
    proves_inclusion,
    root_of,
)
from pratique.audit.note import ED25519, Signer
from pratique.errors import LedgerCorruptError, LedgerUnavailableError
from pratique.ledger.checkpoints import Cadence
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import driver_of
from pratique.ledger.segments import rotate_key
from pratique.ledger.sequencer import Entry
from pratique.ledger.tree import StoredTree
from pratique.ledger.verification import Asked, Claim, verify_file
from tests.house import Clock, sql
from tests.servers.machine import until

ANA = "ana@acme.example"


def opened(folder: Path, **cadence: float) -> Ledger:
    chosen = Cadence(int(cadence.get("records", 1024)), cadence.get("seconds", 60.0))
    return Ledger(folder, clock=Clock(), cadence=chosen)


def append(ledger: Ledger, records: int, why: str = "") -> None:
    for start in range(0, records, 100):
        reasons = [f"{why}{n}" for n in range(start, min(start + 100, records))]
        drafts = [{"type": "hold.lift", "hold": "none", "by": ANA, "reason": each or "0"} for each in reasons]
        ledger.commit_now(Entry(tuple(drafts)))


def sizes(ledger: Ledger) -> list[int]:
    return [size for (size,) in sql(ledger, "SELECT size FROM checkpoints ORDER BY size")]


def leaves_of(ledger: Ledger) -> list[bytes]:
    return [leaf for (leaf,) in sql(ledger, "SELECT leaf FROM records ORDER BY seq")]


@pytest.fixture
def folder(tmp_path: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "ledger")


def test_the_tree_in_the_database_is_the_tree_of_the_records(folder: Path) -> None:
    with opened(folder, records=100) as ledger:
        append(ledger, 1100)
        leaves = leaves_of(ledger)
        assert sizes(ledger) == list(range(100, 1101, 100))
        frontier = Frontier()
        frontier.extend(leaves)

        def proofs(connection: object) -> None:
            tree = StoredTree(driver_of(connection))  # type: ignore[arg-type]  # it is one
            root = root_of(1100, tree)
            assert root == frontier.root()
            for index in (0, 1, 255, 256, 700, 1099):
                proof = inclusion_proof(index, 1100, tree)
                assert proves_inclusion(leaves[index], index, 1100, proof, root)
            for old in (1, 100, 256, 511, 1024, 1100):
                proof = consistency_proof(old, 1100, tree)
                assert proves_consistency(old, root_of(old, tree), 1100, root, proof)

        ledger.read(proofs)
        signed = SignedCheckpoint.parse(sql(ledger, "SELECT note FROM checkpoints WHERE size = 1100")[0][0])
        assert signed.checkpoint.root == frontier.root()
        assert ledger.keys.first.verifier in signed.note.signed_by([ledger.keys.first.verifier])
    report = verify_file(folder / "ledger.db")
    assert (report.verdict, report.signed, report.covered) == (Verdict.UNANCHORED, 1100, 0)


def test_records_that_wait_are_covered_after_a_while_and_at_the_end(folder: Path) -> None:
    with opened(folder, seconds=0.01) as ledger:
        append(ledger, 3)
        until(lambda: sizes(ledger) == [3], "a checkpoint")
    with opened(folder, seconds=3600) as ledger:
        append(ledger, 2)
        assert sizes(ledger) == [3]
    with opened(folder) as ledger:
        assert sizes(ledger) == [3, 5], "closing signs what was appended"
    with opened(folder) as ledger:
        assert sizes(ledger) == [3, 5], "and nothing else"
        ledger.commit_now(Entry((), checkpoint=True))
        assert sizes(ledger) == [3, 5]


def test_several_writers_grow_one_tree(folder: Path) -> None:
    with opened(folder, records=50) as one, opened(folder, records=50) as two:
        threads = [threading.Thread(target=append, args=(ledger, 700)) for ledger in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        leaves = leaves_of(one)
    report = verify_file(folder / "ledger.db", asked=Asked(strict=True))
    assert (report.verdict, report.records, report.signed) == (Verdict.UNANCHORED, len(leaves), 1400), report


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(folder: Path, mode: int) -> None:
    (folder / "keys" / "log.key").chmod(mode)
    with pytest.raises(LedgerUnavailableError, match="chmod 600"):
        opened(folder)


def test_a_key_folder_that_others_may_use_is_refused(folder: Path) -> None:
    (folder / "keys").chmod(0o750)
    with pytest.raises(LedgerUnavailableError, match="chmod 700"):
        opened(folder)


@pytest.mark.parametrize("text", ["", "no key", "PRIVATE+KEY+x+00000000+AAAA"])
def test_a_key_file_that_holds_no_key_is_refused(folder: Path, text: str) -> None:
    (folder / "keys" / "log.key").write_text(text)
    with pytest.raises(LedgerCorruptError, match="does not hold"):
        opened(folder)


def test_another_logs_key_is_refused(folder: Path) -> None:
    (folder / "keys" / "log.key").write_text(Signer("other", ED25519, bytes(32)).private_text())
    with pytest.raises(LedgerCorruptError, match="is a key of other"):
        opened(folder)


def test_a_new_key_signs_from_its_record_on(folder: Path) -> None:
    with opened(folder) as ledger:
        append(ledger, 3)
        first = ledger.keys.first.verifier
        second = rotate_key(ledger, ANA, "yearly")
        append(ledger, 2)
        third = rotate_key(ledger, ANA, "once more")
        assert len({first, second, third}) == 3
        assert sizes(ledger) == [4, 7]
    assert (folder / "keys" / f"{third.key_id.hex()}.key").stat().st_mode & 0o777 == 0o600
    with opened(folder) as ledger:
        append(ledger, 1)
    path = folder / "ledger.db"
    assert verify_file(path).signed == 8
    assert verify_file(path).verdict is Verdict.UNANCHORED
    broken = verify_file(path, asked=Asked(key=second))
    assert broken.kind is Break.ROTATION


def test_without_the_key_in_force_calls_go_on_and_nothing_is_signed(folder: Path) -> None:
    with opened(folder) as ledger:
        append(ledger, 1)
        key = rotate_key(ledger, ANA, "test")
    (folder / "keys" / f"{key.key_id.hex()}.key").unlink()
    with capture_logs() as logs, opened(folder) as ledger:
        append(ledger, 5)
        assert sizes(ledger) == [2]
    assert [entry["event"] for entry in logs] == ["no checkpoint"]
    assert verify_file(folder / "ledger.db").signed == 2


def forged(path: Path, statement: str, *values: object) -> Report:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()
    return verify_file(path)


def test_a_restored_backup_is_said_to_be_one_and_nothing_is_signed_for_it(
    folder: Path, tmp_path: Path
) -> None:
    with opened(folder) as ledger:
        append(ledger, 3)
    backup = shutil.copy(folder / "ledger.db", tmp_path / "backup.db")
    with opened(folder) as ledger:
        append(ledger, 3)
    shutil.copy(backup, folder / "ledger.db")
    report = verify_file(folder / "ledger.db")
    assert (report.verdict, report.kind, report.broken_at) == (Verdict.BROKEN, Break.CUT, 4)
    with capture_logs() as logs, opened(folder) as ledger:
        append(ledger, 10, "other ")
        assert sizes(ledger) == [3]
    assert "does not contain" in logs[0]["problem"]
    report = verify_file(folder / "ledger.db")
    assert (report.verdict, report.kind, report.broken_at) == (Verdict.BROKEN, Break.REWRITTEN, 4)


def test_what_is_forged_beside_the_records_is_found(folder: Path) -> None:
    with opened(folder, records=100) as ledger:
        append(ledger, 300)
        stranger = Signer(ledger.log, ED25519, bytes(32))
        other = Checkpoint(ledger.log, 100, bytes(32))
        signed = SignedCheckpoint.sign(other, stranger)
    attacks = {
        Break.SIGNATURE: ("UPDATE checkpoints SET note = ? WHERE size = 100", str(signed.note)),
        Break.BESIDE: ("UPDATE tree SET hash = ? WHERE level = 1", bytes(32)),
    }
    for kind, (statement, value) in attacks.items():
        path = shutil.copytree(folder, folder.with_name(kind.value)) / "ledger.db"
        report = forged(path, statement, value)
        assert (report.verdict, report.kind) == (Verdict.BROKEN, kind)
    for statement in (
        "UPDATE checkpoints SET note = replace(note, '100', '101') WHERE size = 100",
        "UPDATE checkpoints SET size = 99 WHERE size = 100",
        "UPDATE checkpoints SET note = 5",
        "DELETE FROM tree",
        "INSERT INTO tree VALUES (3, 0, x'00')",
        "UPDATE records SET leaf = zeroblob(32) WHERE seq = 7",
        "DELETE FROM records WHERE seq > 250",
    ):
        path = shutil.copytree(folder, folder.with_name("other"), dirs_exist_ok=True) / "ledger.db"
        report = forged(path, statement)
        assert report.verdict is Verdict.BROKEN, statement
        assert report.problem, statement
        assert "\n" not in report.problem, statement


def test_ok_takes_a_checkpoint_from_outside(folder: Path) -> None:
    with opened(folder) as ledger:
        append(ledger, 10)
    with opened(folder) as ledger:
        append(ledger, 5)
        note = sql(ledger, "SELECT note FROM checkpoints WHERE size = 10")[0][0]
    held = SignedCheckpoint.parse(note).checkpoint
    path = folder / "ledger.db"
    report = verify_file(path, asked=Asked(claims=[Claim(held, "the vault", outside=True, at=5)]))
    assert (report.verdict, report.covered, report.records, report.signed) == (Verdict.OK, 10, 15, 15)
    assert [held.by for held in report.held if held.outside] == ["the vault"]
    for wrong, kind in (
        (held._replace(root=bytes(32)), Break.REWRITTEN),
        (held._replace(size=16), Break.CUT),
        (held._replace(origin="other"), Break.FOREIGN),
    ):
        report = verify_file(path, asked=Asked(claims=[Claim(wrong, "the vault", outside=True)]))
        assert (report.verdict, report.kind) == (Verdict.BROKEN, kind)
