"""Finding M1: who can write the database forges a state, lets a runtime act on it, and puts the state back.

The chain is whole and the tables are what the log makes of them. What the runtime wrote meanwhile breaks a
law.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pratique.audit import drafts
from pratique.audit.chain import Report, Verdict
from pratique.ledger import projection
from pratique.ledger.door import Ledger
from pratique.ledger.queries import every_record
from pratique.ledger.sequencer import Entry
from pratique.ledger.verification import verify_file
from pratique.model import Status
from tests.house import ASK_IRREVERSIBLE, PEOPLE, POLICY, Clock, Desk, House, answer, opened, sql

PAY = {"to": "mo", "amount": 1}


@contextmanager
def forgotten(ledger: Ledger) -> Iterator[None]:
    """Hide, for a moment, that calls ran: from the state, and from who looks for their outcomes."""
    sql(ledger, "DELETE FROM calls")
    sql(ledger, "UPDATE records SET call = 'hidden' WHERE type = 'call.outcome'")
    yield
    sql(ledger, "UPDATE records SET call = 'c1' WHERE type = 'call.outcome'")


def put_back(house: House) -> Report:
    """Fill the state tables again from the log, as a careful attacker does; return what verification says."""
    ledger = house.ledger()
    with ledger._writing.connect() as connection:
        records = list(every_record(connection))
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        projection.empty(connection)
        for record in records:
            projection.project(connection, record)
        connection.exec_driver_sql("COMMIT")
    return verify_file(ledger.path)


def found(report: Report, words: str) -> None:
    assert report.verdict is Verdict.BROKEN, report
    assert any(words in one.problem for one in report.illegal), report.illegal
    assert report.broken_at == report.illegal[0].seq


async def test_a_forged_yes_that_was_put_back_is_found(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.pay", PAY, call_id="c1")).ticket
    sql(
        runtime.ledger,
        "UPDATE approvals SET state = 'approved', use_until_us = 1 << 60, decided_by = ?",
        '["li@acme.example"]',
    )
    assert (await session.redeem(ticket)).status is Status.DONE
    assert len(desk.effects) == 1, "the forgery works, as SECURITY.md says; what counts is that it is found"
    found(put_back(house), f"it ran on {ticket}, which no decision on record approves")


async def test_a_forged_vote_that_was_put_back_is_found(house: House) -> None:
    house.apply(POLICY.replace('approvers = "leads"', 'approvers = "leads"\nquorum = 2'))
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.pay", PAY)).ticket
    sql(runtime.ledger, f"INSERT INTO votes VALUES ('{ticket}', 'bo@acme.example', 'approve', '', 1)")
    sql(runtime.ledger, "UPDATE approvals SET votes = 1")
    answer(runtime, ticket)
    assert (await session.redeem(ticket)).status is Status.DONE
    found(put_back(house), "not by those who voted for it")


async def test_one_yes_used_twice_is_found(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.pay", PAY, call_id="c1")).ticket
    answer(runtime, ticket)
    await session.redeem(ticket)
    sql(runtime.ledger, "UPDATE approvals SET state = 'approved'")
    with forgotten(runtime.ledger):
        await (await house.runtime().resume_session(session.id)).redeem(ticket)
    assert len(desk.effects) == 2
    report = put_back(house)
    found(report, "had run already")
    found(report, f"it ran on {ticket}, which no decision on record approves")


async def test_a_call_that_ran_twice_is_found(house: House, desk: Desk) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    await session.call("desk.note", {"text": "a"}, call_id="c1")
    with forgotten(runtime.ledger):
        again = await house.runtime().resume_session(session.id)
        await again.call("desk.note", {"text": "a"}, call_id="c1")
    assert len(desk.effects) == 2
    found(put_back(house), "the call c1 had run already (done)")


@pytest.mark.parametrize(
    ("column", "wait", "words"),
    [("wait_until_us", 5 * 3600, "answered after its time to wait"), ("use_until_us", 0, "used too late")],
)
async def test_a_deadline_that_was_moved_is_found(
    house: House, clock: Clock, column: str, wait: int, words: str
) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    ticket = (await session.call("desk.pay", PAY)).ticket
    clock.forward(wait)
    if wait:
        sql(runtime.ledger, f"UPDATE approvals SET {column} = 1 << 60")
    answer(runtime, ticket)
    if not wait:
        clock.forward(3600)
        sql(runtime.ledger, f"UPDATE approvals SET {column} = 1 << 60")
    assert (await session.redeem(ticket)).status is Status.DONE
    found(put_back(house), words)


async def test_a_counted_exception_that_was_counted_anew_is_found(house: House) -> None:
    once = """
[[exception]]
id = "once"
to = "support"
tools = ["desk.note"]
tier = "write"
confidentiality = "confidential"
taint = "sink"
expires = 2027-01-01T00:00:00Z
owner = "ana@acme.example"
approved_by = "li@acme.example"
reason = "the flood"
max_uses = 1
"""
    house.apply(PEOPLE + once + ASK_IRREVERSIBLE)
    runtime = house.runtime()
    session = await opened(runtime)
    assert (await session.call("desk.note", {"text": "a"})).status is Status.DONE
    assert (await session.call("desk.note", {"text": "b"})).status is Status.DENIED
    sql(runtime.ledger, "DELETE FROM grant_uses")
    assert (await session.call("desk.note", {"text": "c"})).status is Status.DONE
    found(put_back(house), "the exception once was used 2 times, at most 1 are allowed")


async def test_a_policy_that_was_never_applied_is_found(house: House, desk: Desk) -> None:
    """The digest of the policy in force is forged, and its text put beside: the runtime decides by it."""
    lax = POLICY.replace(ASK_IRREVERSIBLE, "")
    digest = hashlib.sha256(lax.encode()).hexdigest()
    ledger = house.ledger()
    sql(ledger, "INSERT INTO blobs VALUES (?, ?)", digest, lax.encode())
    sql(ledger, "UPDATE policies SET digest = ?", digest)
    runtime = house.runtime(ledger=ledger)
    session = await opened(runtime)
    assert (await session.call("desk.pay", PAY)).status is Status.DONE
    assert len(desk.effects) == 1
    found(put_back(house), "it was decided by a policy that was not applied as epoch 1")


async def test_a_session_that_goes_on_after_its_end_is_found(house: House) -> None:
    runtime = house.runtime()
    session = await opened(runtime)
    await session.aclose()
    sql(runtime.ledger, "UPDATE sessions SET closed_us = 0")
    again = await runtime.resume_session(session.id)
    assert (await again.call("desk.look")).status is Status.DONE, "the forged state let it go on"
    found(put_back(house), f"the session {session.id} was over")


async def test_a_vote_on_ones_own_request_is_found_by_who_has_the_vault(house: House) -> None:
    """The card's user lies in the vault: the queue is told another one by a runtime that was changed."""
    runtime = house.runtime()
    session = await opened(runtime, user="li@acme.example")
    ticket = (await session.call("desk.pay", PAY)).ticket
    question = runtime.queue.look(ticket)
    voted = drafts.voted(ticket, question.session, "LI@acme.example", "approve", "")
    runtime.ledger.commit_now(Entry(drafts=(voted,)))
    found(put_back(house), "voted on what was asked on their own behalf")
    (house.folder / "vault.key").rename(house.folder / "elsewhere")
    report = verify_file(runtime.ledger.path)
    assert not any("own behalf" in one.problem for one in report.illegal), "without the key, nobody can know"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER forge AFTER INSERT ON approvals BEGIN UPDATE approvals SET state = 'approved'; END",
        "CREATE VIEW seen AS SELECT * FROM records",
        "CREATE TABLE mine (x)",
        "CREATE INDEX slow ON records (leaf)",
    ],
)
async def test_what_no_ledger_has_is_named(house: House, statement: str) -> None:
    ledger = house.ledger()
    sql(ledger, statement)
    report = verify_file(ledger.path)
    kind, name = statement.split()[1:3]
    assert report.verdict is Verdict.BROKEN
    assert f"{kind.lower()} {name}" in report.problem
