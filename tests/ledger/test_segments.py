"""Old records can go, and everything that stays still verifies, can be proved, and can be rebuilt."""

import os
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pratique.audit.bundle import Trust
from pratique.audit.chain import Break, Verdict
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import (
    consistency_proof,
    inclusion_proof,
    proves_consistency,
    proves_inclusion,
    root_of,
)
from pratique.errors import RetentionError, SettingsError
from pratique.ledger import queries
from pratique.ledger.bundles import openings_of, verify_bundle_at, write_bundle
from pratique.ledger.door import Ledger
from pratique.ledger.readonly import driver_of
from pratique.ledger.segments import (
    DAYS,
    Hold,
    drop_segment,
    holds,
    lift_hold,
    rotate_key,
    seal_segment,
    set_hold,
)
from pratique.ledger.sequencer import Entry
from pratique.ledger.tree import StoredTree
from pratique.ledger.verification import Asked, Claim, verify_file
from tests.house import POLICY, Clock, Desk, House, answer, opened, sql

ANA = "ana@acme.example"
DAY = 86_400


@pytest.fixture
async def lived_in(house: House, desk: Desk, clock: Clock) -> House:
    """A house in which something happened, half a year ago."""
    runtime = house.runtime()
    session = await opened(runtime)
    for n in range(4):
        await session.call("desk.note", {"text": str(n)})
    await session.call("desk.mail")
    ticket = (await session.call("desk.pay", {"to": "mo", "amount": 1})).ticket
    answer(runtime, ticket)
    await session.redeem(ticket)
    await session.aclose()
    rotate_key(runtime.ledger, ANA, "yearly")
    clock.forward((DAYS + 1) * DAY)
    assert desk.effects
    return house


def sealed(ledger: Ledger, to: Path, last: int | None = None) -> int:
    return seal_segment(ledger, to, last, ANA, "the first half").last


def newest(ledger: Ledger) -> SignedCheckpoint:
    ledger.commit_now(Entry((), checkpoint=True))
    found = ledger.read(queries.newest_checkpoint)
    assert found is not None
    return found


@pytest.mark.parametrize("suffix", ["", ".tar"])
async def test_dropped_records_are_gone_and_all_else_goes_on(
    lived_in: House, tmp_path: Path, suffix: str
) -> None:
    bundle = tmp_path / f"segment{suffix}"
    with lived_in.ledger() as ledger:
        key = ledger.keys.first.verifier
        last = sealed(ledger, bundle)
        before = newest(ledger)
        leaves = [leaf for (leaf,) in sql(ledger, "SELECT leaf FROM records ORDER BY seq")]
        assert drop_segment(ledger, bundle, ANA, "retention") == (1, last)
        assert ledger.read(queries.count) == 2, "what sealed and what dropped"
        assert sql(ledger, "SELECT COUNT(*) FROM vault") == [(0,)]
        held = newest(ledger)

        def proofs(connection: object) -> None:
            tree, size = StoredTree(driver_of(connection)), held.checkpoint.size  # type: ignore[arg-type]  # it is one
            assert root_of(size, tree) == held.checkpoint.root
            for index in range(len(leaves)):
                proof = inclusion_proof(index, size, tree)
                assert proves_inclusion(leaves[index], index, size, proof, held.checkpoint.root)
            old = before.checkpoint
            assert proves_consistency(
                old.size, old.root, size, held.checkpoint.root, consistency_proof(old.size, size, tree)
            )

        ledger.read(proofs)
    path = lived_in.folder / "ledger.db"
    for claim in (before, held):
        asked = Asked(claims=[Claim(claim.checkpoint, "the vault", outside=True)], strict=True)
        report = verify_file(path, asked=asked)
        assert (report.verdict, report.dropped, report.head.seq) == (Verdict.OK, last, last + 2), report
    report = verify_bundle_at(bundle, Trust(key, [before]))
    assert report.kind is Break.CUT, "a newer checkpoint than the bundle reaches"
    report = verify_bundle_at(bundle, Trust(key))
    assert report.verdict is Verdict.UNANCHORED
    assert (report.signed, report.records) == (last, last)
    lived_in.apply(POLICY + "# more\n")
    runtime = lived_in.runtime()
    session = await opened(runtime)
    assert (await session.call("desk.note", {"text": "after"})).status.value == "done"
    await session.aclose()
    report = verify_file(path, asked=Asked(claims=[Claim(held.checkpoint, "the vault", outside=True)]))
    assert report.verdict is Verdict.OK, report


async def test_the_next_segment_starts_where_the_last_one_ended(lived_in: House, tmp_path: Path) -> None:
    with lived_in.ledger() as ledger:
        assert sealed(ledger, tmp_path / "one", 5) == 5
        drop_segment(ledger, tmp_path / "one", ANA, "retention")
        with pytest.raises(RetentionError, match="were dropped"):
            ledger.read(lambda connection: write_bundle(connection, tmp_path / "x", key="", first=3))
        second = sealed(ledger, tmp_path / "two")
        lived_in.clock.forward((DAYS + 1) * DAY)
        assert drop_segment(ledger, tmp_path / "two", ANA, "retention") == (6, second)
        held = newest(ledger)
    for name, count in (("one", 5), ("two", second - 5)):
        report = verify_bundle_at(tmp_path / name, Trust(ledger.keys.first.verifier))
        assert (report.verdict, report.records) == (Verdict.UNANCHORED, count), report
    claims = [Claim(held.checkpoint, "the vault", outside=True)]
    report = verify_file(lived_in.folder / "ledger.db", asked=Asked(claims=claims))
    assert (report.verdict, report.dropped) == (Verdict.OK, second), report


STATE = "CAST(body AS TEXT) LIKE '%pratique-state%'"
FORGERIES = {
    "leaf_tiles": "UPDATE leaf_tiles SET hashes = zeroblob(length(hashes))",
    "tiles gone": "DELETE FROM leaf_tiles",
    "a forged drop": "UPDATE segments SET last = last + 1",
    "state text": f"UPDATE blobs SET body = x'7b7d' WHERE {STATE}",
    "state gone": f"DELETE FROM blobs WHERE {STATE}",
    "a forged session": "UPDATE sessions SET integrity = 'trusted', agent = 'x'",
    "more is gone": "DELETE FROM records WHERE seq = (SELECT MIN(seq) FROM records)",
    "a forged hold": "UPDATE holds SET lifted_us = 1",
    "a forged key": "UPDATE log_keys SET key = old",
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_stays_of_dropped_records_cannot_be_forged(
    lived_in: House, tmp_path: Path, forgery: str
) -> None:
    with lived_in.ledger() as ledger:
        sealed(ledger, tmp_path / "one", 9)
        drop_segment(ledger, tmp_path / "one", ANA, "retention")
        set_hold(ledger, Hold(first=10, last=11), ANA, "case 4711")
    path = lived_in.folder / "ledger.db"
    assert verify_file(path).verdict is Verdict.UNANCHORED
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(FORGERIES[forgery])
        connection.commit()
    report = verify_file(path)
    assert report.verdict is Verdict.BROKEN
    assert report.problem


async def test_records_that_vanish_without_being_dropped_are_missing(lived_in: House) -> None:
    path = lived_in.folder / "ledger.db"
    lived_in.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM records WHERE seq <= 5")
        connection.commit()
    report = verify_file(path)
    assert (report.verdict, report.kind, report.broken_at) == (Verdict.BROKEN, Break.MISSING, 1)


async def test_young_records_stay(lived_in: House, tmp_path: Path) -> None:
    lived_in.clock.forward(-2 * DAY)
    with lived_in.ledger() as ledger:
        sealed(ledger, tmp_path / "one", 5)
        with pytest.raises(RetentionError, match=f"{DAYS - 1} days old; records stay {DAYS} days"):
            drop_segment(ledger, tmp_path / "one", ANA, "now")
        assert drop_segment(ledger, tmp_path / "one", ANA, "now", days=1) == (1, 5)


@pytest.mark.parametrize("kind", ["session", "subject", "range"])
async def test_what_is_held_stays_until_the_hold_is_lifted(
    lived_in: House, tmp_path: Path, kind: str
) -> None:
    with lived_in.ledger() as ledger:
        (session, subject), *_ = sql(ledger, "SELECT id, subject FROM sessions")
        hold = {
            "session": Hold(session=session),
            "subject": Hold(subject=subject),
            "range": Hold(first=4, last=40),
        }[kind]
        last = sealed(ledger, tmp_path / "one")
        name = set_hold(ledger, hold, ANA, "case 4711")
        with pytest.raises(RetentionError, match="case 4711"):
            drop_segment(ledger, tmp_path / "one", ANA, "retention")
        assert [row.id for row in ledger.read(holds)] == [name]
        lift_hold(ledger, name, ANA, "closed")
        with pytest.raises(RetentionError, match="no hold"):
            lift_hold(ledger, name, ANA, "closed")
        assert drop_segment(ledger, tmp_path / "one", ANA, "retention") == (1, last)


async def test_what_is_still_open_stays(house: House, clock: Clock, tmp_path: Path) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.pay", {"to": "mo", "amount": 1})).ticket
    clock.forward((DAYS + 1) * DAY)
    with house.ledger() as ledger:
        sealed(ledger, tmp_path / "one")
        with pytest.raises(RetentionError, match=ticket):
            drop_segment(ledger, tmp_path / "one", ANA, "retention")


async def test_nothing_goes_that_is_not_in_a_whole_sealed_bundle(lived_in: House, tmp_path: Path) -> None:
    with lived_in.ledger() as ledger:
        newest(ledger)
        key = str(ledger.keys.first.verifier)
        ledger.read(lambda connection: write_bundle(connection, tmp_path / "export", key=key, last=5))
        with pytest.raises(RetentionError, match="not a bundle that was sealed"):
            drop_segment(ledger, tmp_path / "export", ANA, "retention")
        sealed(ledger, tmp_path / "one", 5)
        damaged = shutil.copytree(tmp_path / "one", tmp_path / "damaged")
        (damaged / "records.jsonl.gz").write_bytes(b"")
        with pytest.raises(RetentionError, match="would be all that is left"):
            drop_segment(ledger, damaged, ANA, "retention")
        with pytest.raises(RetentionError, match="cannot be read"):
            drop_segment(ledger, tmp_path / "nowhere", ANA, "retention")
        count = ledger.read(queries.count)
        assert ledger.read(queries.dropped) == 0
        sql(ledger, "UPDATE sessions SET agent = 'forged'")
        with pytest.raises(RetentionError, match="the log is broken"):
            drop_segment(ledger, tmp_path / "one", ANA, "retention")
        assert ledger.read(queries.count) == count


async def test_a_bundle_is_written_whole_or_not_at_all(lived_in: House, tmp_path: Path) -> None:
    with lived_in.ledger() as ledger:
        newest(ledger)
        (tmp_path / "there").mkdir()
        with pytest.raises(SettingsError, match="is there already"):
            ledger.read(lambda connection: write_bundle(connection, tmp_path / "there", key=""))
        with pytest.raises(RetentionError, match="no checkpoint over"):
            ledger.read(lambda connection: write_bundle(connection, tmp_path / "far", key="", last=999))
        for name in ("one.tar", "two.tar"):
            ledger.read(partial(write_bundle, to=tmp_path / name, key="k"))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes(), (
        "the same bytes each time"
    )
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]  # noqa: PTH208  # not async


async def test_every_range_of_a_log_can_be_exported_and_verified(lived_in: House, tmp_path: Path) -> None:
    with lived_in.ledger() as ledger:
        held = newest(ledger)
        key = ledger.keys.first.verifier
        size = held.checkpoint.size
        for first in range(1, size + 1, 3):
            for last in range(first, size + 1, 4):
                to = tmp_path / f"{first}-{last}"
                ledger.read(partial(write_bundle, to=to, key=str(key), first=first, last=last))
                report = verify_bundle_at(to, Trust(key, [held]))
                assert (report.verdict, report.records, report.covered) == (
                    Verdict.OK,
                    last - first + 1,
                    size,
                )


async def test_a_value_that_is_disclosed_is_verified(lived_in: House, tmp_path: Path) -> None:
    with lived_in.ledger() as ledger:
        held = newest(ledger)
        seq = sql(ledger, "SELECT MIN(seq) FROM vault")[0][0]
        given = ledger.read(lambda connection: openings_of(connection, ledger, seq))
        assert given
        for name, disclosed in (("true", given), ("false", [given[0]._replace(value="other")])):
            ledger.read(partial(write_bundle, to=tmp_path / name, key="", openings=disclosed))
    assert verify_bundle_at(tmp_path / "true", Trust(checkpoints=[held])).verdict is Verdict.OK
    report = verify_bundle_at(tmp_path / "false", Trust(checkpoints=[held]))
    assert (report.kind, report.broken_at) == (Break.OPENING, seq)
