"""Erased is gone: from the vault, from the file's pages, its write-ahead log, and what processes remember."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from pratique.audit.chain import Verdict
from pratique.errors import ErasureRefusedError, LedgerUnavailableError
from pratique.ledger import erasure, queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing
from pratique.ledger.segments import Hold, lift_hold, set_hold
from pratique.ledger.sequencer import Entry
from pratique.ledger.verification import verify_file
from pratique.model import Status
from pratique.sessions.trace import ERASED, FORGED, trace
from tests.house import POLICY, Clock, House, break_log, mend_log, opened, records, sql, verify

SEED = "the red door, at nine"
WHY = "request 2026-114"
KIM, LI = "kim@acme.example", "li@acme.example"
ASKS_LEADS = POLICY + '\n[erasure]\napprovers = "leads"\n'


def kept(ledger: Ledger) -> list[bytes]:
    """Return every ciphertext and wrapped key: what is searched for in the files afterwards."""
    rows = ledger.read(
        lambda c: [*c.execute(select(t.vault.c.sealed)), *c.execute(select(t.vault_keys.c.wrapped))]
    )
    return [row[0] for row in rows]


def files(ledger: Ledger) -> bytes:
    """Return every byte of the database and of what lies beside it."""
    return b"".join(path.read_bytes() for path in sorted(ledger.path.parent.glob("ledger.db*")))


async def spoken(house: House, user: str = KIM, calls: int = 3) -> tuple[Ledger, str]:
    """Let an agent do a few things for a person, and end; return the ledger and the session."""
    runtime = house.runtime()
    session = await opened(runtime, user=user, request=SEED, inputs={"x": SEED})
    for n in range(calls):
        await session.call("desk.note", {"text": f"{SEED} {n}"}, call_id=f"c{n}")
    await session.call("desk.pay", {"to": SEED, "amount": 1}, call_id="p1")
    session.finish(SEED)
    await session.aclose()
    return runtime.ledger, session.id


def subject(ledger: Ledger, user: str = KIM) -> Erasing:
    return Erasing(subject=ledger.vault.subject_id(user))


def texts(ledger: Ledger, session: str) -> dict[str, Any]:
    return ledger.read(lambda connection: trace(connection, ledger, session))


async def test_an_erased_person_is_in_no_page_of_any_file(house: House) -> None:
    ledger, session = await spoken(house)
    secrets = kept(ledger)
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = files(ledger)
    assert len(secrets) == 10
    assert all(secret in before for secret in secrets), "otherwise looking for them proves nothing"
    head = ledger.read(queries.head)
    erasure.erase(ledger, subject(ledger), WHY, KIM)
    assert erasure.purge(ledger)
    after = files(ledger)
    assert not any(secret[n : n + 16] in after for secret in secrets for n in range(0, len(secret) - 16, 16))
    assert SEED.encode() not in after
    assert verify_file(ledger.path, head).verdict is Verdict.OK
    seen = texts(ledger, session)
    assert (seen["user_id"], seen["inputs"]["redacted_prompt"], seen["output"]) == (ERASED,) * 3
    assert {call["args"] for call in seen["tool_calls"]} == {ERASED}


async def test_without_the_rewriting_pages_may_keep_it_and_that_is_why_it_is_done(house: House) -> None:
    """What only the deletion leaves behind is not promised; what the rewriting leaves behind is nothing."""
    ledger, _ = await spoken(house)
    sealed = kept(ledger)
    erasure.erase(ledger, subject(ledger), WHY, KIM)
    assert any(secret in files(ledger) for secret in sealed), "the write-ahead log has the old pages"
    assert erasure.purge(ledger)
    assert not any(secret in files(ledger) for secret in sealed)
    assert not ledger.path.with_name("ledger.db-wal").stat().st_size


async def test_one_call_goes_and_the_others_stay(house: House) -> None:
    ledger, session = await spoken(house)
    found = erasure.extent(ledger, Erasing(session=session, call="c1"))
    assert (found.values, found.sessions) == (2, 1), "its intent and its outcome"
    erasure.erase(ledger, Erasing(session=session, call="c1"), WHY, KIM)
    calls = {call["call_id"]: call["args"] for call in texts(ledger, session)["tool_calls"]}
    assert calls["c1"] == ERASED
    assert calls["c0"] == {"text": f"{SEED} 0"}
    assert texts(ledger, session)["user_id"] == KIM
    assert verify(ledger).verdict is Verdict.UNANCHORED


async def test_a_session_goes_and_another_of_that_person_stays(house: House) -> None:
    _, first = await spoken(house)
    ledger, second = await spoken(house)
    erasure.erase(ledger, Erasing(session=first), WHY, KIM)
    assert texts(ledger, first)["user_id"] == ERASED
    assert texts(ledger, second)["user_id"] == KIM


async def test_it_is_a_record_that_names_who_and_why_and_not_the_person(house: House) -> None:
    ledger, _ = await spoken(house)
    done = erasure.erase(ledger, subject(ledger), WHY, LI)
    (record,) = records(ledger, "erase")
    assert record["seq"] == done.seq
    assert (record["reason"], record["asked_by"], record["approved_by"]) == (WHY, LI, "")
    assert KIM not in str(record)


async def test_a_value_put_in_its_place_is_a_mismatch_and_a_value_put_back_is_found(house: House) -> None:
    ledger, session = await spoken(house)
    row = sql(ledger, "SELECT seq, subject, sealed FROM vault ORDER BY seq LIMIT 1 OFFSET 2")[0]
    record = ledger.read(lambda connection: queries.record(connection, row[0])) or {}
    owner = ledger.vault.subject_id(KIM)
    forged = ledger.seal(owner, queries.about(record), {"args": b'{"text":"another"}'}).sealed
    sql(ledger, "UPDATE vault SET sealed = ? WHERE seq = ?", forged, row[0])
    assert FORGED in [call["args"] for call in texts(ledger, session)["tool_calls"]]
    erasure.erase(ledger, Erasing(session=session), WHY, KIM)
    assert verify_file(ledger.path).verdict is Verdict.UNANCHORED
    sql(ledger, "INSERT INTO vault VALUES (?, ?, ?)", *row)
    report = verify_file(ledger.path)
    assert (report.verdict, report.broken_at) == (Verdict.BROKEN, row[0])
    assert "erased them" in report.problem


async def test_a_person_whose_agent_still_works_is_not_erased_unless_it_is_ended(house: House) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    with pytest.raises(ErasureRefusedError, match=f"{session.id} is open"):
        erasure.erase(runtime.ledger, subject(runtime.ledger), WHY, KIM)
    assert not records(runtime.ledger, "erase")
    erasure.erase(runtime.ledger, subject(runtime.ledger), WHY, KIM, end_sessions=True)
    assert records(runtime.ledger, "session.close")[0]["final_action"] == "erased"
    outcome = await session.call("desk.note", {"text": "more"})
    assert outcome.status is Status.DENIED
    assert verify_file(runtime.ledger.path).verdict is Verdict.UNANCHORED


async def test_another_process_drops_what_it_remembers_with_its_next_write(house: House) -> None:
    """Its key, its memory of where values came from, and the outcomes that it would give again."""
    one, other = house.runtime(), house.runtime()
    session = await opened(one)
    first = await session.call("desk.look", {"text": SEED}, call_id="c1")
    assert first.value == {"seen": SEED}
    erasure.erase(other.ledger, Erasing(session=session.id), WHY, KIM)
    await (await opened(one, user=LI)).call("desk.look")
    again = await session.call("desk.look", {"text": SEED}, call_id="c1")
    assert (again.status, again.value) == (Status.UNKNOWN, None)
    assert "erased" in again.error
    provenance = one._hosting.provenance(session.id)
    assert SEED not in repr(vars(provenance.tracker))
    assert not one.ledger.vault._erased, "a session went, not the person's key"
    await session.aclose()
    erasure.erase(other.ledger, subject(other.ledger), WHY, KIM)
    await (await opened(one, user=LI)).call("desk.look")
    assert not one.ledger.vault.knows(subject(one.ledger).subject)


async def test_nothing_is_kept_of_a_person_between_the_erasure_and_a_new_session(house: House) -> None:
    """What was sealed under the old key and comes after is not kept: nobody could read it."""
    one, other = house.runtime(), house.runtime()
    session = await opened(one)
    late = one.ledger.seal(subject(one.ledger).subject, "note::", {"args": b"late"})
    erasure.erase(other.ledger, subject(other.ledger), WHY, KIM, end_sessions=True)
    one.ledger.commit_now(Entry(drafts=({"type": "note"},), values=(late,)))
    assert await session.call("desk.look") is not None
    assert sql(one.ledger, "SELECT COUNT(*) FROM vault") == [(0,)]
    again = await opened(one)
    outcome = await again.call("desk.look", {"text": "fresh"})
    assert outcome.status is Status.DONE
    calls = texts(one.ledger, again.id)["tool_calls"]
    assert [call["args"] for call in calls] == [{"text": "fresh"}]
    assert texts(one.ledger, session.id)["user_id"] == ERASED


async def test_an_erasure_among_other_entries_takes_none_of_them_with_it(house: House) -> None:
    """One transaction holds entries before and after it: only the person's values go."""
    ledger, _ = await spoken(house)
    other = ledger.vault.subject_id(LI)
    await ledger.know(other)
    mine = ledger.seal(subject(ledger).subject, "note::", {"args": b"mine"})
    theirs = ledger.seal(other, "note::", {"args": b"theirs"})
    gone = subject(ledger)
    erased = {
        "type": "erase",
        **gone.facts,
        "proposal": "",
        "reason": WHY,
        "asked_by": KIM,
        "approved_by": "",
    }
    entries = [
        Entry(drafts=({"type": "note"},), values=(mine,)),
        Entry(drafts=({"type": "note"},), values=(theirs,)),
        Entry(drafts=(erased,), erase=(gone,)),
        Entry(drafts=({"type": "note"},), values=(mine,)),
        Entry(drafts=({"type": "note"},), values=(theirs,)),
    ]
    batches = ledger.batches
    await asyncio.gather(*map(ledger.commit, entries))
    assert ledger.batches == batches + 1
    assert sql(ledger, "SELECT subject, COUNT(*) FROM vault GROUP BY subject") == [(other, 2)]
    assert len(records(ledger, "note")) == 4
    assert verify(ledger).verdict is Verdict.UNANCHORED


async def test_an_erasure_that_cannot_be_recorded_erases_nothing(house: House) -> None:
    ledger, session = await spoken(house)
    break_log(ledger, kind="erase")
    with pytest.raises(LedgerUnavailableError):
        erasure.erase(ledger, subject(ledger), WHY, KIM)
    mend_log(ledger)
    assert texts(ledger, session)["user_id"] == KIM
    assert ledger.vault.knows(subject(ledger).subject)


@pytest.mark.parametrize("by", ["session", "subject", "range"])
async def test_a_legal_hold_stops_it_until_it_is_lifted(house: House, by: str) -> None:
    ledger, session = await spoken(house)
    hold = {
        "session": Hold(session=session),
        "subject": Hold(subject=subject(ledger).subject),
        "range": Hold(first=3, last=3),
    }[by]
    name = set_hold(ledger, hold, LI, "Acme v. Mo")
    with pytest.raises(ErasureRefusedError, match=f"{name} keeps some of it: Acme v. Mo"):
        erasure.erase(ledger, subject(ledger), WHY, KIM)
    assert texts(ledger, session)["user_id"] == KIM
    lift_hold(ledger, name, LI, "settled")
    erasure.erase(ledger, subject(ledger), WHY, KIM)
    assert texts(ledger, session)["user_id"] == ERASED


async def test_where_the_policy_names_a_group_another_person_must_agree(house: House, clock: Clock) -> None:
    house.apply(ASKS_LEADS)
    ledger, session = await spoken(house)
    with pytest.raises(ErasureRefusedError, match="leads"):
        erasure.erase(ledger, subject(ledger), WHY, "ana@acme.example")
    proposal = erasure.propose(ledger, subject(ledger), WHY, LI)
    for who, why in (
        (LI, "another person must agree"),
        ("Li@ACME.example", "another person"),
        ("mo@x", "not belong"),
    ):
        with pytest.raises(ErasureRefusedError, match=why):
            erasure.agree(ledger, proposal, who)
    assert texts(ledger, session)["user_id"] == KIM
    assert [found.id for found in erasure.proposals(ledger)] == [proposal]
    erasure.agree(ledger, proposal, "bo@acme.example")
    (record,) = records(ledger, "erase")
    assert (record["asked_by"], record["approved_by"]) == (LI, "bo@acme.example")
    assert texts(ledger, session)["user_id"] == ERASED
    with pytest.raises(ErasureRefusedError, match="no erasure"):
        erasure.agree(ledger, proposal, "bo@acme.example")
    assert verify_file(ledger.path).verdict is Verdict.UNANCHORED
    late = erasure.propose(ledger, Erasing(session=session), WHY, LI)
    clock.forward(8 * 24 * 3600)
    with pytest.raises(ErasureRefusedError, match="ran out"):
        erasure.agree(ledger, late, "bo@acme.example")


async def test_two_who_agree_at_once_carry_it_out_once(house: House) -> None:
    house.apply(ASKS_LEADS)
    ledger, _ = await spoken(house)
    proposal = erasure.propose(ledger, subject(ledger), WHY, LI)
    people = ["bo@acme.example", "kim@acme.example"]
    results = await asyncio.gather(
        *(asyncio.to_thread(erasure.agree, house.ledger(), proposal, who) for who in people),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, ErasureRefusedError) for result in results) == [False, True]
    assert len(records(ledger, "erase")) == 1


@pytest.mark.parametrize("reason", ["", "  \n"])
async def test_an_erasure_without_a_reason_is_refused(house: House, reason: str) -> None:
    ledger, _ = await spoken(house)
    with pytest.raises(ErasureRefusedError, match="needs a reason"):
        erasure.erase(ledger, subject(ledger), reason, KIM)


async def test_a_reader_of_an_old_view_keeps_its_pages_and_it_is_said(house: House) -> None:
    ledger, _ = await spoken(house)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM vault").fetchone()
        erasure.erase(ledger, subject(ledger), WHY, KIM)
        assert not erasure.purge(ledger)
        reader.execute("ROLLBACK")
    assert erasure.purge(ledger)


def test_what_names_nothing_or_too_much_is_no_erasure(ledger: Ledger) -> None:
    for erasing in (Erasing(), Erasing(subject="x", session="y"), Erasing(call="c1")):
        with pytest.raises(ValueError, match="an erasure is of"):
            erasure.extent(ledger, erasing)
