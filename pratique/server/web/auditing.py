"""The log as people see it: its head, its verification, its records, and all of it to take away.

Rules:
- Verification reads the file as `pratique audit verify` does, one at a time: it costs a core.
- An export is the records as they are stored. What they commit to stays in the vault.
"""

import time
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import anyio.to_thread
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from pratique.audit.chain import Head, Report, Verdict
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.errors import NoteError
from pratique.ledger import pages, queries
from pratique.ledger import tables as t
from pratique.ledger.door import Ledger
from pratique.ledger.verification import Asked, Claim, verify_file
from pratique.server.auth.people import Person
from pratique.server.door import door
from pratique.server.problems import Problem
from pratique.server.web.pages import page
from pratique.server.web.who import AuditReader

router = APIRouter()

NEWEST = 50
EXPORT_PAGE = 2_000


class Verified(NamedTuple):
    """What the last verification found, when, for whom, and how long it took."""

    report: Report
    at_us: int
    by: str
    took_us: int


@router.get("/audit")
async def audit(request: Request, person: AuditReader) -> Response:
    """Return the state of the log."""
    return await _page(request, person)


@router.post("/audit/verify")
async def verify(
    request: Request,
    person: AuditReader,
    anchor: Annotated[str, Form(max_length=8192)] = "",
) -> Response:
    """Verify the log, against a head or a checkpoint that somebody kept if one is given."""
    here = door(request)
    try:
        asked = _kept(anchor)
    except (ValueError, NoteError) as problem:
        return await _page(request, person, anchor=anchor, problem=str(problem), status=422)
    started = time.perf_counter_ns()
    report = await anyio.to_thread.run_sync(
        lambda: verify_file(here.ledger.path, asked=asked), limiter=_one(request)
    )
    took_us = (time.perf_counter_ns() - started) // 1000
    request.app.state.verified = Verified(report, here.ledger.clock(), person.name, took_us)
    return await _page(request, person, anchor=anchor)


@router.get("/audit/export")
async def export(request: Request, person: AuditReader) -> Response:
    """Return every record as it is stored, one a line."""
    del person
    ledger = door(request).ledger
    head = await ledger.query(queries.head)
    name = f"pratique-{ledger.log}-{head.seq}.jsonl"
    return StreamingResponse(
        _lines(ledger, head.seq),
        media_type="application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@router.get("/audit/{seq}")
async def record(request: Request, person: AuditReader, seq: int) -> Response:
    """Return one record as it is stored."""
    ledger = door(request).ledger
    found = await ledger.query(lambda connection: queries.record(connection, seq))
    if found is None:
        raise Problem(404, "no such record", f"the log has no record {seq}")
    head = await ledger.query(queries.head)
    return await page(
        request,
        person,
        "record.html",
        title=f"Record {seq}",
        here="/audit",
        record=found,
        seq=seq,
        last=head.seq,
        session=found.get("session", ""),
    )


async def _page(
    request: Request, person: Person, *, anchor: str = "", problem: str = "", status: int = 200
) -> Response:
    ledger = door(request).ledger
    head = await ledger.query(queries.head)
    newest = await ledger.query(lambda connection: queries.last_records(connection, NEWEST))
    checkpoint = await ledger.query(pages.newest_checkpoint)
    last: Verified | None = getattr(request.app.state, "verified", None)
    return await page(
        request,
        person,
        "audit.html",
        title="The log",
        here="/audit",
        status=status,
        head=head,
        records=newest[::-1],
        checkpoint=checkpoint or "",
        report=last.report if last else None,
        report_us=last.at_us if last else 0,
        report_by=last.by if last else "",
        took_us=last.took_us if last else 0,
        sentence=_sentence(last.report) if last else "",
        anchor=anchor,
        problem=problem,
    )


def _kept(text: str) -> Asked:
    """Return what somebody kept: a head in one line, or a signed checkpoint.

    Raises:
        ValueError, NoteError: it is neither.
    """
    text = text.replace("\r\n", "\n").strip()
    if not text:
        return Asked(values=True)
    if "\n" not in text:
        return Asked(anchor=Head.parse(text), values=True)
    claim = Claim(SignedCheckpoint.parse(text + "\n").checkpoint, "you", outside=True)
    return Asked(claims=(claim,), values=True)


def _one(request: Request) -> anyio.CapacityLimiter:
    """Return what lets one verification run at a time."""
    state = request.app.state
    if not hasattr(state, "verifying"):
        state.verifying = anyio.CapacityLimiter(1)
    limiter: anyio.CapacityLimiter = state.verifying
    return limiter


def _lines(ledger: Ledger, last: int) -> Iterator[bytes]:
    """Yield the stored bytes of the records up to `last`, some at a time, each time from a new view."""
    for start in range(1, last + 1, EXPORT_PAGE):
        chosen = (
            select(t.records.c.body)
            .where(t.records.c.seq >= start, t.records.c.seq < min(last + 1, start + EXPORT_PAGE))
            .order_by(t.records.c.seq)
        )
        rows = ledger.read(lambda connection, chosen=chosen: list(connection.execute(chosen)))  # type: ignore[misc]  # the default binds the loop's value
        yield b"".join(row.body + b"\n" for row in rows)


def _sentence(report: Report) -> str:
    if report.verdict is Verdict.BROKEN:
        where = f"record {report.broken_at}: " if report.broken_at else ""
        return f"{where}{report.problem}"
    if report.verdict is Verdict.UNANCHORED:
        return (
            f"{report.records:,} records fit together. Without a head kept elsewhere, a cut tail is not seen."
        )
    given = min(report.covered, report.head.seq)
    after = report.head.seq - given
    fit = f"; the {after:,} after it fit together, and may have been cut" if after > 0 else ""
    return f"{given:,} records, unchanged and in order, up to what you kept{fit}."
