"""What the log says of the work with the queue: how many questions, how they end, how long people take.

Everything is counted from the tables that are views of the log, so a restart forgets nothing.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, func, select

from pratique.ledger import tables as t
from pratique.ledger.search import decision_of, first_at
from pratique.server.door import Door, door
from pratique.server.web.pages import page
from pratique.server.web.plots import Bar, Plot, plot
from pratique.server.web.render import span
from pratique.server.web.who import MetricsReader

router = APIRouter()

DAYS = 14
MOST = 100_000
"""Questions that are counted, the newest."""

NONE = "none yet"

_DAY_US = 24 * 3600 * 1_000_000
_ENDS = (("approved", "good"), ("rejected", "bad"), ("expired or void", "calm"), ("still open", ""))
_DECISIONS = (("allow", "good"), ("ask", ""), ("deny", "bad"))
_END_OF = {"proposed": 3, "rejected": 1, "expired": 2, "void": 2}
_LATENCIES = ((10, "10 s"), (30, "30 s"), (60, "1 min"), (300, "5 min"), (1800, "30 min"), (7200, "2 h"))


class Figure(NamedTuple):
    """One number, and what it is."""

    name: str
    value: str


@router.get("/figures")
async def figures(request: Request, person: MetricsReader) -> Response:
    """Return the figures and plots of the last days."""
    here = door(request)
    now_us = here.ledger.clock()
    rows = await here.ledger.query(lambda connection: _questions(connection, now_us - DAYS * _DAY_US))
    calls = await here.ledger.query(lambda connection: _calls(connection, now_us - DAYS * _DAY_US))
    return await page(
        request,
        person,
        "figures.html",
        title="Figures",
        here="/figures",
        days=DAYS,
        figures=_figures(rows, here),
        plots=[
            _calls_by_day(calls, now_us),
            _by_day(rows, now_us),
            _by_latency(rows),
            _by_tool(rows),
            _by_session(rows),
        ],
    )


def _questions(connection: Connection, since_us: int) -> Sequence[Any]:
    """Return the questions since then, each with when it got its last answer (0 for none)."""
    last = (
        select(t.votes.c.ticket, func.max(t.votes.c.ts_us).label("at")).group_by(t.votes.c.ticket).subquery()
    )
    a = t.approvals.c
    chosen = (
        select(a.tool, a.state, a.session, a.proposed_us, func.coalesce(last.c.at, 0).label("answered_us"))
        .join(last, last.c.ticket == a.ticket, isouter=True)
        .where(a.proposed_us >= since_us)
        .order_by(a.proposed_us.desc())
        .limit(MOST)
    )
    return list(connection.execute(chosen))


def _calls(connection: Connection, since_us: int) -> Counter[tuple[date, str]]:
    """Return how many calls of each day were decided how: out of their last records, the newest."""
    r = t.records.c
    chosen = (
        select(r.body)
        .where(r.type == "call.outcome", r.seq >= first_at(connection, since_us))
        .order_by(r.seq.desc())
        .limit(MOST)
    )
    records = (orjson.loads(body) for body in connection.execute(chosen).scalars())
    return Counter((_day(record["ts_us"]), decision_of(record)) for record in records)


def _calls_by_day(calls: Counter[tuple[date, str]], now_us: int) -> Plot:
    bars = [Bar(f"{day:%d %b}", tuple(calls[day, word] for word, _ in _DECISIONS)) for day in _days(now_us)]
    subtitle = f"How they were decided; of {MOST:,} calls at most, the newest."
    return plot("Calls by day", subtitle, "day", _DECISIONS, bars)


def _days(now_us: int) -> list[date]:
    today = _day(now_us)
    return [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]


def _day(moment_us: int) -> date:
    return datetime.fromtimestamp(moment_us / 1e6, tz=UTC).date()


def _figures(rows: Sequence[Any], here: Door) -> list[Figure]:
    ends = Counter(_end(row) for row in rows)
    answered = ends[0] + ends[1]
    over = answered + ends[2]
    waits = [row.answered_us - row.proposed_us for row in rows if row.answered_us]
    sessions = len({row.session for row in rows})
    return [
        Figure("wait now", f"{ends[3]:,}"),
        Figure("were asked", f"{len(rows):,}"),
        Figure("of those answered were rejected", _share(ends[1], answered)),
        Figure("of those that ended were not answered", _share(ends[2], over)),
        Figure("half were answered within", span(int(median(waits))) if waits else NONE),
        Figure("questions a session", f"{len(rows) / sessions:.1f}" if sessions else NONE),
        Figure("transactions of the log, by this server", f"{here.ledger.batches:,}"),
    ]


def _by_day(rows: Sequence[Any], now_us: int) -> Plot:
    counted = Counter((_day(row.proposed_us), _end(row)) for row in rows)
    bars = [
        Bar(f"{day:%d %b}", tuple(counted[day, end] for end in range(len(_ENDS)))) for day in _days(now_us)
    ]
    return plot("Questions by day", "How those asked on a day have ended so far.", "day", _ENDS, bars)


def _by_latency(rows: Sequence[Any]) -> Plot:
    names = [name for _, name in _LATENCIES] + ["more"]
    waits = [(row.answered_us - row.proposed_us) / 1e6 for row in rows if row.answered_us]
    counted = Counter(next((name for most, name in _LATENCIES if wait <= most), "more") for wait in waits)
    bars = [Bar(name, (counted[name],)) for name in names]
    return plot(
        "Time to an answer", "From the question to its last answer.", "within", (("questions", ""),), bars
    )


def _by_tool(rows: Sequence[Any]) -> Plot:
    counted = Counter((row.tool, _end(row)) for row in rows)
    tools = [tool for tool, _ in Counter(row.tool for row in rows).most_common(8)]
    bars = [Bar(tool, tuple(counted[tool, end] for end in range(len(_ENDS)))) for tool in tools]
    return plot("Questions by tool", "The tools that are asked about most.", "tool", _ENDS, bars)


def _by_session(rows: Sequence[Any]) -> Plot:
    many = Counter(Counter(row.session for row in rows).values())
    most = 10
    bars = [Bar(str(number), (many[number],)) for number in range(1, most)]
    bars.append(Bar(f"{most}+", (sum(times for number, times in many.items() if number >= most),)))
    return plot(
        "Questions a session", "How often one run of an agent asks.", "questions", (("sessions", ""),), bars
    )


def _end(row: Any) -> int:
    return _END_OF.get(row.state, 0)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else NONE
