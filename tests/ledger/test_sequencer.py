"""Promises 4 and 5: what was acknowledged is on disk, an entry is all or nothing, nothing is dropped."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from pratique.audit.chain import Head, Verdict
from pratique.errors import (
    CanonicalError,
    LedgerCorruptError,
    LedgerFullError,
    LedgerUnavailableError,
)
from pratique.ledger import queries
from pratique.ledger.checkpoints import Checkpoints
from pratique.ledger.database import writer_engine
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs
from pratique.ledger.sequencer import Entry, Receipt, Refused, Sequencer
from tests.house import START_US, Clock, House, break_log, locked, mend_log, records, sql, verify


def note(text: str = "", **more: Any) -> Entry:
    return Entry(drafts=({"type": "note", "text": text, **more},))


def texts(ledger: Ledger) -> list[str]:
    return [record["text"] for record in records(ledger, "note")]


async def test_what_is_acknowledged_is_there_for_another_connection(ledger: Ledger) -> None:
    for n in range(5):
        receipt = await ledger.commit(note(str(n)))
        assert isinstance(receipt, Receipt)
        ((seq, leaf),) = sql(ledger, "SELECT seq, leaf FROM records ORDER BY seq DESC LIMIT 1")
        assert (seq, leaf) == (receipt.seq, receipt.leaf)
        assert verify(ledger, Head(seq=receipt.seq, leaf=receipt.leaf.hex())).verdict is Verdict.OK


async def test_entries_that_wait_together_share_one_transaction(ledger: Ledger) -> None:
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(note(str(n)))) for n in range(200)]
        await asyncio.sleep(0)
        before = ledger.batches
    receipts = await asyncio.gather(*tasks)
    assert ledger.batches - before <= 3
    assert [r.seq for r in receipts if isinstance(r, Receipt)] == list(range(1, 201))
    assert texts(ledger) == [str(n) for n in range(200)]
    assert verify(ledger).records == 200


async def test_one_entrys_refusal_leaves_the_others_alone(ledger: Ledger) -> None:
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(note("first")))]
        tasks += [
            asyncio.create_task(ledger.commit(note(str(n))._replace(guards=() if n % 2 else (EpochIs(9),))))
            for n in range(10)
        ]
        await asyncio.sleep(0)
    _, *answers = await asyncio.gather(*tasks)
    assert [type(a) for a in answers] == [Refused, Receipt] * 5
    assert texts(ledger) == ["first", "1", "3", "5", "7", "9"]
    assert verify(ledger).records == 6


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BAD: dict[str, tuple[Entry, type[Exception]]] = {
    "a float": (note("bad", weight=1.5), CanonicalError),
    "a lone surrogate": (note("\ud800"), CanonicalError),
    "too large": (note("x" * 70_000), CanonicalError),
    "too deep": (note("bad", deep=deep(5000)), CanonicalError),
    "a second epoch 1": (
        Entry(drafts=({"type": "policy.load", "epoch": 1, "policy_digest": "x", "applied_by": "bo"},)),
        LedgerCorruptError,
    ),
    "a good draft and a bad one": (
        Entry(drafts=({"type": "note", "text": "half"}, {"type": "note", "text": 0.5})),
        CanonicalError,
    ),
    "state, then a bad draft": (
        Entry(
            drafts=(
                {"type": "policy.load", "epoch": 7, "policy_digest": "x", "applied_by": "bo"},
                {"type": "note", "text": 0.5},
            )
        ),
        CanonicalError,
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_an_entry_that_is_no_record_fails_alone_and_leaves_nothing(ledger: Ledger, kind: str) -> None:
    await ledger.commit(
        Entry(drafts=({"type": "policy.load", "epoch": 1, "policy_digest": "x", "applied_by": "ana"},))
    )
    bad, error = BAD[kind]
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(e)) for e in (note("a"), bad, note("b"), bad, note("c"))]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(a) for a in answers] == [Receipt, error, Receipt, error, Receipt]
    assert "\n" not in str(answers[1])
    assert texts(ledger) == ["a", "b", "c"]
    assert ledger.read(queries.epoch) == 1
    assert ledger.epoch == 1
    assert verify(ledger).records == 4


async def test_blobs_and_keys_are_kept_once_and_never_replaced(ledger: Ledger) -> None:
    for body, wrapped in ((b"first", b"k1"), (b"second", b"k2")):
        await ledger.commit(Entry(drafts=(), blobs=(("digest", body),), keys=(("subject", wrapped),)))
    assert sql(ledger, "SELECT body FROM blobs") == [(b"first",)]
    assert sql(ledger, "SELECT wrapped FROM vault_keys") == [(b"k1",)]


async def test_a_full_queue_is_said_at_once_and_drops_nothing(empty_house: House) -> None:
    ledger = empty_house.ledger(most_waiting=10)
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(note(str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        full = [task for task in tasks if task.done()]
        assert len(full) >= 80, "ten wait, and at most ten are in the thread's hands"
        assert all(isinstance(task.exception(), LedgerFullError) for task in full)
        assert "10 entries wait for the log: back off" in str(full[0].exception())
    waited = [task for task in tasks if task not in full]
    answers = await asyncio.gather(*waited)
    assert all(isinstance(answer, Receipt) for answer in answers)
    assert isinstance(await ledger.commit(note("again")), Receipt)
    assert len(texts(ledger)) == len(answers) + 1


async def test_a_closed_ledger_takes_nothing_and_has_committed_what_waited(empty_house: House) -> None:
    ledger = empty_house.ledger()
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(note(str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        closing = threading.Thread(target=ledger.close)
        closing.start()
    answers = await asyncio.gather(*tasks)
    closing.join()
    assert all(isinstance(answer, Receipt) for answer in answers)
    for _ in range(2):
        with pytest.raises(LedgerUnavailableError, match="closed"):
            await ledger.commit(note("late"))
        with pytest.raises(LedgerUnavailableError, match="closed"):
            ledger.commit_now(note("late"))
        ledger.close()
    assert len(texts(empty_house.ledger())) == 20


async def test_threads_and_event_loops_may_commit_at_once(ledger: Ledger) -> None:
    def from_a_thread(name: str) -> None:
        for n in range(25):
            ledger.commit_now(note(f"{name}{n}"))

    def from_another_loop(name: str) -> None:
        async def commit() -> None:
            await asyncio.gather(*(ledger.commit(note(f"{name}{n}")) for n in range(25)))

        asyncio.run(commit())

    await asyncio.gather(
        asyncio.to_thread(from_a_thread, "a"),
        asyncio.to_thread(from_a_thread, "b"),
        asyncio.to_thread(from_another_loop, "c"),
        *(ledger.commit(note(f"d{n}")) for n in range(25)),
    )
    assert sorted(texts(ledger)) == sorted(f"{name}{n}" for name in "abcd" for n in range(25))
    assert verify(ledger).records == 100


async def test_a_loop_that_is_gone_does_not_keep_the_others_waiting(ledger: Ledger) -> None:
    def leave() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(ledger.commit(note("orphan")))
        loop.call_soon(loop.stop)
        loop.run_forever()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # leaving is what is tested
        loop.close()

    with locked(ledger):
        await asyncio.to_thread(leave)
        waiting = asyncio.create_task(ledger.commit(note("mine")))
        await asyncio.sleep(0)
    assert isinstance(await waiting, Receipt)
    assert texts(ledger) == ["orphan", "mine"]


# Failed and not persisted; failed but persisted.


async def test_a_commit_that_failed_and_was_not_persisted_is_an_error_for_everyone_in_it(
    ledger: Ledger,
) -> None:
    await ledger.commit(note("before"))
    break_log(ledger)
    with locked(ledger):
        tasks = [asyncio.create_task(ledger.commit(note(str(n)))) for n in range(5)]
        await asyncio.sleep(0)
    for answer in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(answer, LedgerUnavailableError)
        assert "\n" not in str(answer)
        assert "disk I/O error" in str(answer)
    assert texts(ledger) == ["before"]
    mend_log(ledger)
    assert isinstance(await ledger.commit(note("after")), Receipt)
    assert verify(ledger).records == 2


class Liar(sqlite3.Connection):
    """A connection whose disk does the COMMIT and then reports an error, as a lost answer would look."""

    lying = False

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(statement, *parameters)
        if Liar.lying and statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor

    def commit(self) -> None:
        super().commit()
        if Liar.lying:
            raise sqlite3.OperationalError("disk I/O error")


@contextmanager
def lying() -> Iterator[None]:
    Liar.lying = True
    try:
        yield
    finally:
        Liar.lying = False


@pytest.fixture
def sequencer(ledger: Ledger, clock: Clock) -> Iterator[Sequencer]:
    """A sequencer on an engine whose connections can lie."""
    engine: Engine = writer_engine(ledger.path)
    event.listen(engine, "do_connect", lambda *arguments: arguments[3].update(factory=Liar))
    made = Sequencer(engine, ledger.path, ledger.log, clock, Checkpoints(ledger.log, ledger.keys))
    yield made
    made.close()
    engine.dispose()


async def test_a_commit_that_failed_but_was_persisted_is_an_error_and_the_chain_goes_on(
    ledger: Ledger, sequencer: Sequencer
) -> None:
    assert isinstance(await sequencer.commit(note("before")), Receipt)
    with lying(), pytest.raises(LedgerUnavailableError, match="disk I/O error"):
        await sequencer.commit(note("persisted"))
    assert texts(ledger) == ["before", "persisted"]
    receipt = await sequencer.commit(note("after"))
    assert isinstance(receipt, Receipt)
    assert receipt.seq == 3, "the head was read again, not remembered"
    assert verify(ledger).records == 3


async def test_the_epoch_hint_does_not_run_ahead_of_a_failed_commit(ledger: Ledger) -> None:
    break_log(ledger)
    load = {"type": "policy.load", "epoch": 1, "policy_digest": "x", "applied_by": "ana"}
    with pytest.raises(LedgerUnavailableError):
        await ledger.commit(Entry(drafts=(load,)))
    assert ledger.epoch == 0
    assert ledger.read(queries.epoch) == 0


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
async def test_a_file_that_was_taken_away_is_not_written_to(ledger: Ledger, tmp_path: Path, how: str) -> None:
    await ledger.commit(note("before"))
    if how == "deleted":
        ledger.path.unlink()
    else:
        ledger.path.rename(tmp_path / "elsewhere.db")
    if how == "replaced":
        Ledger(tmp_path / "other").close()
        (tmp_path / "other" / "ledger.db").rename(ledger.path)
    for _ in range(2):
        with pytest.raises(LedgerUnavailableError, match="no longer the file that was opened"):
            await ledger.commit(note("lost"))


async def test_a_lock_that_is_held_too_long_is_an_error_and_then_forgotten(
    ledger: Ledger, clock: Clock
) -> None:
    engine = writer_engine(ledger.path)
    event.listen(engine, "do_connect", lambda *arguments: arguments[3].update(timeout=0.05))
    sequencer = Sequencer(engine, ledger.path, ledger.log, clock, Checkpoints(ledger.log, ledger.keys))
    with locked(ledger), pytest.raises(LedgerUnavailableError, match="locked"):
        await sequencer.commit(note("lost"))
    assert isinstance(await sequencer.commit(note("kept")), Receipt)
    sequencer.close()
    engine.dispose()
    assert texts(ledger) == ["kept"]


async def test_a_clock_that_goes_back_does_not_turn_the_chains_time_back(
    ledger: Ledger, clock: Clock
) -> None:
    times = []
    for now in (START_US, START_US + 5, START_US - 10**9, 0, START_US + 4, START_US + 9):
        clock.now_us = now
        receipt = await ledger.commit(note())
        assert isinstance(receipt, Receipt)
        times.append(receipt.ts_us - START_US)
    assert times == [0, 5, 5, 5, 5, 9]
    assert verify(ledger).verdict is Verdict.UNANCHORED


async def test_a_commit_that_is_cancelled_is_made_and_its_answer_is_known(ledger: Ledger) -> None:
    known: list[Any] = []

    async def commit() -> None:
        known.append(await ledger.commit(note("cancelled")))
        known.append("not cancelled yet")
        await asyncio.sleep(0)
        known.append("never cancelled")

    with locked(ledger):
        task = asyncio.create_task(commit())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(known[0], Receipt)
    assert known[1:] == ["not cancelled yet"]
    assert texts(ledger) == ["cancelled"]


async def test_a_cancelled_commit_that_fails_says_so(ledger: Ledger) -> None:
    break_log(ledger)
    with locked(ledger):
        task = asyncio.create_task(ledger.commit(note("cancelled")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(LedgerUnavailableError):
        await task


async def test_a_cancellation_between_commit_and_answer_does_not_lose_the_answer(ledger: Ledger) -> None:
    """Cancel after a varying number of loop turns, so that every order of answer and cancellation occurs."""
    for turns in range(40):
        known: list[Any] = []

        async def commit(known: list[Any] = known) -> None:
            known.append(await ledger.commit(note("x")))

        task = asyncio.create_task(commit())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert known or turns == 0
    assert len(texts(ledger)) in {39, 40}


@pytest.mark.parametrize("attack", ["UPDATE log SET name = 'other'", "DELETE FROM log"])
async def test_a_log_whose_name_was_changed_is_not_one(ledger: Ledger, attack: str) -> None:
    await ledger.commit(note("a"))
    sql(ledger, attack)
    if attack.startswith("DELETE"):
        with pytest.raises(LedgerCorruptError, match="records without a log name"):
            Ledger(ledger.path.parent)
    else:
        with pytest.raises(LedgerCorruptError, match=r"is a key of log_"):
            Ledger(ledger.path.parent)
