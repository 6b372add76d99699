"""A file that cannot be used is said to be, in one line that names it, and nothing is half-done."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect

from pratique.audit.chain import Verdict
from pratique.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from pratique.ledger import database, migrations
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry, Receipt
from tests.house import House, records, sql, verify

NOTE = Entry(drafts=({"type": "note", "text": "x" * 2000},))


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    assert migrations.newest() == database.REVISION
    assert database.REVISION in migrations.known()


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    made, meant = MetaData(), create_engine("sqlite://")
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.reflect(engine)
    t.metadata.create_all(meant)
    assert set(made.tables) == {*t.metadata.tables, "alembic_version"}
    for name in t.metadata.tables:
        found, wanted = inspect(engine), inspect(meant)
        columns = [
            [(c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(name)]
            for look in (found, wanted)
        ]
        assert columns[0] == columns[1], name
        keys = [look.get_pk_constraint(name)["constrained_columns"] for look in (found, wanted)]
        assert keys[0] == keys[1], name
        indexes = [
            sorted((i["name"] or "", tuple(i["column_names"]), i["unique"]) for i in look.get_indexes(name))
            for look in (found, wanted)
        ]
        assert indexes[0] == indexes[1], name
        unique = [
            sorted(tuple(u["column_names"]) for u in look.get_unique_constraints(name))
            for look in (found, wanted)
        ]
        assert unique[0] == unique[1], name
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == database.REVISION
    engine.dispose()
    meant.dispose()


def test_the_file_is_written_as_the_promises_need_it(ledger: Ledger) -> None:
    assert sql(ledger, "PRAGMA journal_mode") == [("wal",)]
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    with ledger._writing.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailableError, match="readonly"):
        ledger.read(lambda connection: connection.exec_driver_sql("DELETE FROM log"))


def test_opening_again_changes_nothing(empty_house: House) -> None:
    before = empty_house.ledger()
    before.commit_now(NOTE)
    after = empty_house.ledger()
    assert (after.log, records(after)) == (before.log, records(before))


@pytest.mark.parametrize("version", ["9999", "", "0001; DROP TABLE records", "9998"])
def test_a_file_of_a_newer_version_is_refused_and_left_alone(empty_house: House, version: str) -> None:
    ledger = empty_house.ledger()
    ledger.commit_now(NOTE)
    sql(ledger, "UPDATE alembic_version SET version_num = ?", version)
    with pytest.raises(LedgerVersionError, match=r"newer Pratique .*upgrade this installation") as caught:
        empty_house.ledger()
    assert str(ledger.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sql(ledger, "SELECT version_num FROM alembic_version") == [(version,)]
    assert verify(ledger).records == 1


@pytest.mark.parametrize(
    "content",
    [
        b"this is not a database at all, it is a text that somebody put there" * 100,
        b"SQLite format 3\x00" + b"x" * 5000,
    ],
    ids=["text", "header only"],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(content)
    with pytest.raises(LedgerUnavailableError, match=r"ledger\.db") as caught:
        Ledger(tmp_path)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == content


def test_a_database_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TABLE records (mine INTEGER)")
        connection.execute("INSERT INTO records VALUES (7)")
        connection.commit()
    with pytest.raises(LedgerError):
        Ledger(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT mine FROM records").fetchall() == [(7,)]
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("records",)], "nothing half-done"


def test_a_folder_that_is_a_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailableError, match="file"):
        Ledger(tmp_path / "file")
    (tmp_path / "folder" / "ledger.db").mkdir(parents=True)
    with pytest.raises(LedgerUnavailableError, match=r"ledger\.db"):
        Ledger(tmp_path / "folder")


AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from pratique.errors import LedgerError
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
with tempfile.TemporaryDirectory() as elsewhere:
    Ledger(Path(elsewhere)).close()  # whatever is imported late, is now
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with Ledger(Path(sys.argv[1])) as ledger:
        print("opened", flush=True)
        ledger.commit_now(Entry(drafts=({"type": "note"},)))
        print("committed", flush=True)
except LedgerError as problem:
    print(type(problem).__name__, problem)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can reach (pytest's own cannot be)."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody with fewer rights")
    folder = Path(tempfile.mkdtemp(prefix="pratique-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_folder_without_the_right_to_write_is_one_clear_line(shared: Path) -> None:
    said = as_nobody(shared / "ledger")
    assert said.startswith("LedgerUnavailableError")
    assert str(shared / "ledger") in said
    assert "Permission denied" in said
    assert said.count("\n") == 1


def test_a_file_without_the_right_to_write_is_one_clear_line(shared: Path) -> None:
    folder = shared / "ledger"
    Ledger(folder).close()
    folder.chmod(0o777)
    for file in folder.rglob("*"):
        file.chmod(0o777 if file.is_dir() else 0o444)
    said = as_nobody(folder)
    assert said.startswith("LedgerUnavailableError")
    assert str(folder) in said
    assert said.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    umount = shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("needs root, to mount a small tmpfs")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run([umount, "--lazy", str(disk)], check=True)


def test_a_full_disk_denies_and_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    with Ledger(small_disk / "ledger") as ledger:
        kept = 0
        problem = None
        while problem is None:
            try:
                assert isinstance(ledger.commit_now(NOTE), Receipt)
                kept += 1
            except LedgerUnavailableError as full:
                problem = full
        assert kept > 10
        assert "\n" not in str(problem)
        assert "full" in str(problem) or "disk" in str(problem)
        with pytest.raises(LedgerUnavailableError):
            ledger.commit_now(NOTE)
        assert verify(ledger).records == kept
        ballast.unlink()
        assert isinstance(ledger.commit_now(NOTE), Receipt)
        report = verify(ledger)
        assert (report.verdict, report.records) == (Verdict.UNANCHORED, kept + 1)


def test_a_disk_too_full_to_begin_is_one_clear_line(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 1_000_000)
    with pytest.raises(LedgerUnavailableError) as caught:
        Ledger(small_disk / "ledger")
    assert "\n" not in str(caught.value)
    (small_disk / "ballast").unlink()
    with Ledger(small_disk / "ledger") as ledger:
        assert isinstance(ledger.commit_now(NOTE), Receipt)
