"""Lost, forked, torn, out of time: on real files, after real kills, each is found, named and recorded."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pratique.app import open_runtime
from pratique.audit.chain import Verdict
from pratique.errors import ForkError, RecoveryRefusedError
from pratique.ledger import queries
from pratique.ledger.recover import Diagnosis, Kind, demand_whole, diagnose, recover
from pratique.ledger.recovery import settle
from pratique.ledger.sequencer import CLOCK_US, Entry
from pratique.ledger.verification import verify_file
from pratique.model import Status
from tests.house import POLICY, SECOND, Clock, House, opened, records, sql

WHY = "the disk of host 4"
BY = "ana@acme.example"


def killed(folder: Path, count: int) -> dict[int, str]:
    """Let a process commit until it has acknowledged so many records, and kill it; return what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.committer", str(folder), "a", "100000", "4"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    said = [process.stdout.readline() for _ in range(count)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    lines = [line.split() for line in [*said, *rest.splitlines()]]
    return {int(line[0]): line[1] for line in lines if len(line) == 2 and len(line[1]) == 64}


def kinds(found: Diagnosis) -> list[Kind]:
    return [finding.kind for finding in found.findings]


def copied(folder: Path) -> Path:
    """Return a copy of the database as a backup makes it: one file, whole."""
    with (
        closing(sqlite3.connect(folder / "ledger.db")) as live,
        closing(sqlite3.connect(folder / "copy")) as copy,
    ):
        live.backup(copy)
    return folder / "copy"


def put_back(folder: Path, copy: Path) -> None:
    for left in folder.glob("ledger.db*"):
        left.unlink()
    shutil.copy(copy, folder / "ledger.db")


async def grown(house: House, notes: int = 3) -> None:
    """Let an agent write notes, and end."""
    async with house.runtime() as runtime:
        session = await opened(runtime)
        for n in range(notes):
            await session.call("desk.note", {"text": str(n)})
        await session.aclose()


def head_of(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT MAX(seq) FROM records").fetchone()[0] or 0)


def test_a_process_that_was_killed_lost_nothing_and_nothing_is_wrong(empty_house: House) -> None:
    said = killed(empty_house.folder, 50)
    found = diagnose(empty_house.folder)
    assert (found.findings, found.records) == ((), head_of(empty_house.folder))
    assert max(said) <= found.records
    demand_whole(empty_house.ledger())


def test_a_write_ahead_log_that_was_lost_is_found_by_what_the_dead_process_acknowledged(
    empty_house: House,
) -> None:
    folder = empty_house.folder
    said = killed(folder, 50)
    (folder / "ledger.db-wal").unlink()
    (folder / "ledger.db-shm").unlink(missing_ok=True)
    before = (folder / "ledger.db").read_bytes()
    found = diagnose(folder)
    assert kinds(found)[0] is Kind.LOST
    assert found.findings[-1].upto >= max(said) > found.records
    assert (folder / "ledger.db").read_bytes() == before
    with empty_house.ledger() as ledger, pytest.raises(ForkError, match="acknowledged record"):
        demand_whole(ledger)
    done = recover(folder, BY, WHY)
    ledger = empty_house.ledger()
    (record,) = records(ledger, "recovery")
    assert record["seq"] == done.seq
    assert (record["kind"], record["kept"], record["by"], record["reason"]) == (
        "lost",
        found.records,
        BY,
        WHY,
    )
    assert record["upto"] >= max(said)
    assert any(said[max(said)] in line or "w_" in line for line in record["evidence"])
    assert diagnose(folder).findings[0].kind is Kind.BUSY, "this test writes to it"
    ledger.close()
    assert diagnose(folder).findings == ()


async def test_an_older_copy_put_back_is_found_by_the_checkpoint_that_was_signed_since(house: House) -> None:
    await grown(house)
    copy = copied(house.folder)
    kept = head_of(house.folder)
    await grown(house)
    last = head_of(house.folder)
    put_back(house.folder, copy)
    found = diagnose(house.folder)
    assert kinds(found) == [Kind.LOST]
    assert (found.records, found.findings[0].upto) == (kept, last)
    assert "older copy" in found.findings[0].problem
    assert "newest copy" in found.findings[0].remedy


async def test_an_older_copy_that_went_its_own_way_is_a_fork_even_when_it_is_longer(house: House) -> None:
    await grown(house)
    copy = copied(house.folder)
    await grown(house)
    signed = (house.folder / "keys" / "signed").read_text()
    put_back(house.folder, copy)
    with house.ledger() as ledger:  # without looking, as a tool might
        for n in range(200):
            ledger.commit_now(Entry(drafts=({"type": "erase.proposed", "proposal": str(n)},)))
    found = diagnose(house.folder)
    assert kinds(found) == [Kind.LOST]
    assert "went its own way" in found.findings[0].problem
    assert found.findings[0].evidence == signed, "nothing was signed over it"
    recover(house.folder, BY, WHY)
    assert diagnose(house.folder).findings == ()
    ledger = house.ledger()
    (record,) = records(ledger, "recovery")
    assert record["evidence"] == [signed]


async def test_after_a_recovery_the_log_goes_on_and_is_signed_again(house: House) -> None:
    await grown(house)
    copy = copied(house.folder)
    await grown(house)
    put_back(house.folder, copy)
    recover(house.folder, BY, WHY, house.clock)
    await grown(house)
    report = verify_file(house.folder / "ledger.db")
    assert report.verdict is not Verdict.BROKEN, report
    assert report.signed > head_of(house.folder) - 15
    assert list((house.folder / "keys").glob("signed.lost-*"))
    assert diagnose(house.folder).findings == ()


async def test_a_service_does_not_start_on_a_log_that_lost_records(house: House, tmp_path: Path) -> None:
    await grown(house)
    copy = copied(house.folder)
    await grown(house)
    put_back(house.folder, copy)
    (tmp_path / "pratique.toml").write_text(f'folder = "{house.folder}"\npolicy = "policy.toml"\n')
    (tmp_path / "policy.toml").write_text(POLICY)
    before = head_of(house.folder)
    with pytest.raises(ForkError, match="pratique audit recover"):
        open_runtime(tmp_path / "pratique.toml")
    assert head_of(house.folder) == before
    recover(house.folder, BY, WHY)
    async with open_runtime(tmp_path / "pratique.toml"):
        pass


async def test_a_copy_put_in_place_under_a_running_process_stops_its_calls(house: House) -> None:
    """The very same file, written over: no file was replaced, and SQLite notices nothing."""
    runtime = house.runtime()
    session = await opened(runtime)
    await session.call("desk.note", {"text": "a"})
    copy = copied(house.folder)
    await session.call("desk.note", {"text": "b"})
    with (
        closing(sqlite3.connect(copy)) as older,
        closing(sqlite3.connect(house.folder / "ledger.db")) as live,
    ):
        older.backup(live)
    with pytest.raises(ForkError, match="another copy was put in its place"):
        await session.call("desk.note", {"text": "c"})
    assert [effect.text for effect in house.desk.effects] == ["a", "b"]


@pytest.mark.parametrize("at", [60, 90, 120])
async def test_a_torn_file_is_cut_to_its_last_whole_record_and_kept(house: House, at: int) -> None:
    await grown(house, notes=60)
    folder = house.folder
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (folder / "ledger.db").read_bytes()
    original = dict(sqlite3.connect(folder / "ledger.db").execute("SELECT seq, body FROM records").fetchall())
    cut = whole.index(original[at])
    (folder / "ledger.db").write_bytes(whole[:cut])
    found = diagnose(folder)
    assert kinds(found) == [Kind.TORN]
    assert at - 40 < found.records < at, "pages hold a few records each"
    done = recover(folder, BY, WHY, house.clock)
    (aside,) = folder.glob("ledger.db.damaged-????????????")
    assert aside.read_bytes() == whole[:cut]
    ledger = house.ledger()
    kept = {seq: body for seq, body in sql(ledger, "SELECT seq, body FROM records") if seq < done.seq}
    assert kept == {seq: original[seq] for seq in range(1, found.records + 1)}
    (record,) = records(ledger, "recovery")
    assert (record["kind"], record["kept"], record["damaged"]) == ("torn", found.records, aside.name)
    lost = found.records < len(original)
    assert record["upto"] == (len(original) if lost else 0), "the checkpoint says how long it was"
    ledger.close()
    assert verify_file(folder / "ledger.db").verdict is not Verdict.BROKEN
    assert diagnose(folder).findings == ()


async def test_a_torn_file_keeps_the_values_of_what_stands(house: House) -> None:
    await grown(house, notes=60)
    folder = house.folder
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    contents = bytearray((folder / "ledger.db").read_bytes())
    body = (
        sqlite3.connect(folder / "ledger.db").execute("SELECT body FROM records WHERE seq = 90").fetchone()[0]
    )
    page = contents.index(body[:100]) // 4096 * 4096
    contents[page : page + 64] = os.urandom(64)
    (folder / "ledger.db").write_bytes(contents)
    found = diagnose(folder)
    assert kinds(found) == [Kind.TORN]
    assert 0 < found.records < 90
    recover(folder, BY, WHY, house.clock)
    async with house.runtime() as runtime:
        opening = records(runtime.ledger, "session.open")[0]
        owner = runtime.ledger.read(lambda c: queries.subject_of(c, opening["seq"]))
        assert owner is not None
        runtime.ledger.read(lambda c: runtime.ledger.learn(c, owner))
        values = runtime.ledger.read(lambda c: queries.values(c, runtime.ledger.vault, opening))
        assert values["user"].value == b"kim@acme.example"


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM records WHERE seq = 5",
        "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'desk', 'disk') AS BLOB) WHERE seq = 5",
        "UPDATE approvals SET state = 'approved'",
    ],
)
async def test_what_was_changed_is_evidence_and_is_not_repaired(house: House, attack: str) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    for n in range(3):
        await session.call("desk.note", {"text": str(n)})
    await session.call("desk.pay", {"to": "mo", "amount": 1})
    await session.aclose()
    sql(runtime.ledger, attack)
    house.close()
    before = (house.folder / "ledger.db").read_bytes()
    found = diagnose(house.folder)
    assert kinds(found) == [Kind.CHANGED]
    with pytest.raises(RecoveryRefusedError, match="evidence"):
        recover(house.folder, BY, WHY)
    assert (house.folder / "ledger.db").read_bytes() == before


def test_while_another_process_writes_nothing_is_recovered(empty_house: House) -> None:
    killed(empty_house.folder, 20)
    (empty_house.folder / "ledger.db-wal").unlink()
    with empty_house.ledger():
        assert Kind.BUSY in kinds(diagnose(empty_house.folder))
        with pytest.raises(RecoveryRefusedError, match="end every process"):
            recover(empty_house.folder, BY, WHY)


@pytest.mark.parametrize("reason", ["", " "])
def test_nothing_is_recovered_without_a_need_or_a_reason(empty_house: House, reason: str) -> None:
    with pytest.raises(RecoveryRefusedError, match="nothing is wrong"):
        recover(empty_house.folder, BY, WHY)
    killed(empty_house.folder, 20)
    (empty_house.folder / "ledger.db-wal").unlink()
    with pytest.raises(RecoveryRefusedError, match="say why"):
        recover(empty_house.folder, BY, reason)


async def test_a_clock_that_goes_back_is_recorded_once_until_it_is_there_again(
    house: House, clock: Clock
) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    clock.forward(3600)
    await session.call("desk.look")
    clock.forward(-1800)
    for _ in range(3):
        await session.call("desk.look")
    (noted,) = records(runtime.ledger, "recovery")
    assert (noted["kind"], noted["behind_us"]) == ("clock", 1800 * SECOND)
    clock.forward(1801)
    await session.call("desk.look")
    clock.forward(-CLOCK_US // SECOND)
    await session.call("desk.look")
    assert len(records(runtime.ledger, "recovery")) == 1, "processes differ by a little"
    clock.forward(-60)
    await session.call("desk.look")
    assert len(records(runtime.ledger, "recovery")) == 2
    assert verify_file(runtime.ledger.path).verdict is Verdict.UNANCHORED


async def test_two_processes_that_write_at_once_are_no_fork(house: House) -> None:
    one, other = house.runtime(), house.runtime()
    first, second = await opened(one), await opened(other)
    for n in range(5):
        for session in (first, second):
            assert (await session.call("desk.note", {"text": str(n)})).status is Status.DONE
    for ledger in (one.ledger, other.ledger):
        demand_whole(ledger)
    assert not records(one.ledger, "recovery")


STEPS: dict[str, tuple[object, str]] = {
    "link": (os, "link"),
    "rename": (Path, "rename"),
    "replace": (Path, "replace"),
}


@pytest.mark.parametrize("at", STEPS)
async def test_a_recovery_that_is_killed_anywhere_can_be_done_again(
    house: House, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of taking the damaged file's place: what is done twice ends as what is done once."""
    await grown(house, notes=60)
    folder = house.folder
    whole = (folder / "ledger.db").read_bytes()
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (folder / "ledger.db").read_bytes()
    (folder / "ledger.db").write_bytes(whole[: int(len(whole) * 0.9)])
    (folder / "ledger.db-wal").write_bytes(b"")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[at], die)
        with pytest.raises(KeyboardInterrupt):
            recover(folder, BY, WHY, house.clock)
    found = diagnose(folder)
    assert kinds(found) == [Kind.TORN]
    recover(folder, BY, WHY, house.clock)
    assert diagnose(folder).findings == ()
    assert len(list(folder.glob("ledger.db.damaged-????????????"))) == 1


def test_it_is_settled_after_it_was_looked_at(empty_house: House) -> None:
    """`settle` removes what dead writers left: that comes after it was held against the log."""
    killed(empty_house.folder, 20)
    with empty_house.ledger() as ledger:
        demand_whole(ledger)
        settle(ledger)
        assert len(list((empty_house.folder / "writers").glob("w_*"))) == 1
