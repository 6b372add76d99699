"""Promise 4 on a real file: whatever is done to its bytes is found or refused, and never called OK."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pratique.audit.chain import Head, Report, Verdict
from pratique.errors import LedgerUnavailableError, PratiqueError
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
from pratique.ledger.verification import verify_file
from tests.house import POLICY, Clock, Desk, House, answer, opened


@pytest.fixture
async def whole(house: House) -> tuple[Path, Head]:
    """A small log in one file, closed, and its head."""
    runtime = house.runtime()
    session = await opened(runtime)
    for n in range(3):
        await session.call("desk.note", {"text": str(n)}, call_id=f"c{n}")
    await session.call("desk.mail")
    ticket = (await session.call("desk.pay", {"to": "mo", "amount": 1})).ticket
    answer(runtime, ticket)
    await session.redeem(ticket)
    await session.aclose()
    head = runtime.ledger.read(queries.head)
    house.close()
    with closing(sqlite3.connect(house.folder / "ledger.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return house.folder / "ledger.db", head


def rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT seq, leaf, body FROM records ORDER BY seq").fetchall()


def broken(report: Report) -> bool:
    return report.verdict is Verdict.BROKEN and bool(report.problem) and "\n" not in report.problem


def test_a_whole_file_is_ok_with_its_head_and_unanchored_without(whole: tuple[Path, Head]) -> None:
    path, head = whole
    assert verify_file(path).verdict is Verdict.UNANCHORED
    report = verify_file(path, head)
    assert (report.verdict, report.records, report.head) == (Verdict.OK, head.seq, head)
    assert head.seq > 10


MUCH = 1 / 4
"""Much of a file is log and state: at least this part of the damage must have been found."""


def damaged(path: Path, step: int, width: int) -> Iterator[int]:
    """Turn over `width` bytes at each place in turn; yield the place; mend it again."""
    whole = path.read_bytes()
    with path.open("r+b") as file:
        for place in range(0, len(whole), step):
            piece = whole[place : place + width]
            if not any(piece):
                continue  # almost all of these are space that nothing uses
            file.seek(place)
            file.write(bytes(byte ^ 0xFF for byte in piece))
            file.flush()
            yield place
            file.seek(place)
            file.write(piece)
            file.flush()


def damage_found(path: Path, head: Head, step: int, width: int) -> float:
    """Demand that damage is found, or touched no record, wherever it is; return which part was found."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    original, found, places = rows(path), 0, 0
    for place in damaged(copy, step, width):
        report = verify_file(copy, head)
        places += 1
        if report.verdict is Verdict.OK:
            assert rows(copy) == original, place
        else:
            assert broken(report), place
            found += 1
    assert verify_file(copy, head).verdict is Verdict.OK, "it was mended"
    return found / places


def test_damage_anywhere_in_the_file_is_found_or_touched_no_record(whole: tuple[Path, Head]) -> None:
    assert damage_found(*whole, step=199, width=3) > MUCH


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("width", [1, 64])
def test_damage_at_every_place_of_the_file_is_found_or_touched_no_record(
    whole: tuple[Path, Head], width: int
) -> None:
    assert damage_found(*whole, step=max(13, width), width=width) > MUCH


def test_every_byte_of_every_record_in_the_file_is_guarded(whole: tuple[Path, Head]) -> None:
    path, head = whole
    contents = path.read_bytes()
    with path.open("r+b") as file:
        for seq, leaf, body in rows(path):
            start = contents.index(body[:200]) if len(body) > 200 else contents.index(body)
            for place in [*range(start, start + min(len(body), 200), 7), contents.index(leaf)]:
                file.seek(place)
                file.write(bytes([contents[place] ^ 1]))
                file.flush()
                report = verify_file(path, head)
                assert broken(report), (seq, place)
                file.seek(place)
                file.write(contents[place : place + 1])
                file.flush()
    assert verify_file(path, head).verdict is Verdict.OK


def test_a_file_cut_anywhere_is_never_ok(whole: tuple[Path, Head]) -> None:
    path, head = whole
    contents = path.read_bytes()
    cut = path.with_name("cut.db")
    for length in [0, 1, 15, 16, 99, 100, 512, *range(4096, len(contents), 4096), len(contents) - 1]:
        cut.write_bytes(contents[:length])
        report = verify_file(cut, head)
        assert broken(report), length


def test_a_service_on_a_damaged_file_fails_in_our_words(whole: tuple[Path, Head], tmp_path: Path) -> None:
    path, _ = whole
    folder = tmp_path / "copy"
    shutil.copytree(path.parent, folder)
    said: list[str] = []
    for _ in damaged(folder / "ledger.db", step=499, width=16):
        for left in folder.glob("ledger.db-*"):
            left.unlink()
        kept = (folder / "ledger.db").read_bytes()
        try:
            with Ledger(folder, clock=Clock()) as ledger:
                ledger.read(queries.policy_in_force)
                ledger.commit_now(Entry(drafts=({"type": "note"},)))
        except PratiqueError as problem:
            said.append(str(problem))
        for left in folder.glob("ledger.db-*"):
            left.unlink()
        (folder / "ledger.db").write_bytes(kept)
    assert len(said) > 3
    assert not any("\n" in line for line in said)


ATTACKS = {
    "a dropped record": "DELETE FROM records WHERE seq = 4",
    "a dropped first record": "DELETE FROM records WHERE seq = 1",
    "a cut tail": "DELETE FROM records WHERE seq > 5",
    "an emptied log": "DELETE FROM records",
    "a changed body": "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'o', 'u') AS BLOB)",
    "a body that is text": "UPDATE records SET body = CAST(body AS TEXT) WHERE seq = 4",
    "a leaf that is text": "UPDATE records SET leaf = hex(leaf) WHERE seq = 4",
    "a body that is a number": "UPDATE records SET body = 5 WHERE seq = 4",
    "a moved record": "UPDATE records SET seq = 100 WHERE seq = 4",
    "a misfiled record": "UPDATE records SET session = 'elsewhere' WHERE seq = 4",
    "a misfiled type": "UPDATE records SET type = 'note' WHERE seq = 4",
    "another log's name": "UPDATE log SET name = 'other'",
    "no log name": "DELETE FROM log",
    "a log name too many": "INSERT INTO log VALUES (2, 'other')",
    "no records table": "DROP TABLE records",
    "no log table": "DROP TABLE log",
    "no state table": "DROP TABLE votes",
    "a forged approval": "UPDATE approvals SET state = 'approved', votes = 7",
    "a forged session": "UPDATE sessions SET integrity = 'trusted'",
    "a forged use": "INSERT INTO grant_uses VALUES ('x', -5)",
    "a hidden call": "DELETE FROM calls",
    "a forged policy": "UPDATE policies SET digest = 'x'",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_whoever_has_the_database_and_changes_it_is_found(whole: tuple[Path, Head], attack: str) -> None:
    path, head = whole
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(ATTACKS[attack])
        connection.commit()
    report = verify_file(path, head)
    assert broken(report), report


def test_a_file_that_is_not_there_or_no_ledger_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError, match="no such file"):
        verify_file(tmp_path / "nothing.db")
    (tmp_path / "text.db").write_text("no database")
    assert broken(verify_file(tmp_path / "text.db"))
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    assert broken(verify_file(tmp_path / "other.db"))


def test_an_empty_ledger_is_unanchored(template: Path) -> None:
    assert verify_file(template / "ledger.db").verdict is Verdict.UNANCHORED


async def test_a_file_is_verified_while_it_is_written(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    for n in range(5):
        await session.call("desk.note", {"text": str(n)})
        report = verify_file(runtime.ledger.path, runtime.ledger.read(queries.head))
        assert report.verdict is Verdict.OK
    assert len(desk.effects) == 5
    house.apply(POLICY + "# more\n")
    assert verify_file(runtime.ledger.path).verdict is Verdict.UNANCHORED
