"""`/metrics`: what people who run this want to see over time, in Prometheus' format.

Rules:
- What the log says is counted from the log, when somebody looks: it is right whichever process did it, and a
  call pays nothing for it. Only decisions and batches are timed where they happen.
- No argument, result, person, agent or tool is in it: nothing that a stranger could learn from or make grow.
- It is for this machine, or for whoever shows `server.metrics_token`.
"""

import hmac
import threading
from collections.abc import Callable, Mapping

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Connection, func, select

from pratique.ledger import pages
from pratique.ledger import tables as t
from pratique.ledger.queries import Record
from pratique.server.door import Door, door
from pratique.server.listen import is_loopback
from pratique.server.problems import Problem

DECISION_S = (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2)
CALL_S = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
WAIT_S = (5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
QUESTIONS = (0, 1, 2, 3, 5, 10, 20, 50)
PAGE = 1000

router = APIRouter(include_in_schema=False)


class Meter:
    """Counts for one server. Made with its application.

    Args:
        here: the server's parts.
    """

    def __init__(self, here: Door) -> None:
        self._here, self._lock = here, threading.Lock()
        self._seq = here.ledger.read(pages.last)
        self.registry = registry = CollectorRegistry()
        self._calls = Counter(
            "pratique_calls", "Calls, by what became of them.", ["outcome", "tier"], registry=registry
        )
        self._call_s = Histogram(
            "pratique_call_seconds", "How long tools ran.", ["tier"], buckets=CALL_S, registry=registry
        )
        self._questions = Counter(
            "pratique_questions",
            "Questions to people: asked, and how each ended. Rejected by asked is the reject rate.",
            ["state"],
            registry=registry,
        )
        self._wait_s = Histogram(
            "pratique_question_wait_seconds",
            "From the question to its end.",
            ["state"],
            buckets=WAIT_S,
            registry=registry,
        )
        self._per_session = Histogram(
            "pratique_session_questions", "Questions in a session.", buckets=QUESTIONS, registry=registry
        )
        self._depth = Gauge("pratique_queue_depth", "Questions that wait.", registry=registry)
        self._oldest = Gauge("pratique_queue_oldest_seconds", "Age of the oldest of them.", registry=registry)
        self._records = Gauge("pratique_ledger_records", "Records in the log.", registry=registry)
        for name, what, count in (
            ("pratique_open_calls", "Calls under way here.", lambda: here.serving.calls),
            ("pratique_held_sessions", "Sessions in memory here.", lambda: len(here.serving)),
            ("pratique_listeners", "Event streams that are open here.", lambda: len(here.feed)),
        ):
            Gauge(name, what, registry=registry).set_function(count)
        self._time_decisions()

    def text(self) -> bytes:
        """Return everything, after counting what happened since the last time."""
        with self._lock:
            self._here.ledger.read(self._catch_up)
            return generate_latest(self.registry)

    def _time_decisions(self) -> None:
        decisions = Histogram(
            "pratique_decision_seconds",
            "How long decisions took.",
            buckets=DECISION_S,
            registry=self.registry,
        )
        batches = Histogram(
            "pratique_ledger_batch_entries",
            "Entries that were committed as one transaction.",
            buckets=BATCH,
            registry=self.registry,
        )
        self._here.runtime.enforcement.timed = decisions.observe
        self._here.ledger.count_batches(batches.observe)

    def _catch_up(self, connection: Connection) -> None:
        while page := pages.records(connection, self._seq, PAGE):
            for record in page:
                count = self._counts.get(record["type"])
                if count is not None:
                    count(self, connection, record)
            self._seq = page[-1]["seq"]
        waiting = select(func.count(), func.min(t.approvals.c.proposed_us)).where(
            t.approvals.c.state == "proposed"
        )
        depth, oldest_us = connection.execute(waiting).one()
        self._depth.set(depth)
        self._oldest.set(max(0, self._here.ledger.clock() - oldest_us) / 1e6 if depth else 0)
        self._records.set(self._seq)

    def _outcome(self, _: Connection, record: Record) -> None:
        tier = record["tier"] or "none"
        self._calls.labels(record["outcome"], tier).inc()
        if "dur_us" in record:
            self._call_s.labels(tier).observe(record["dur_us"] / 1e6)

    def _asked(self, _: Connection, __: Record) -> None:
        self._questions.labels("asked").inc()

    def _ended(self, connection: Connection, record: Record) -> None:
        self._questions.labels(record["state"]).inc()
        asked = select(t.approvals.c.proposed_us).where(t.approvals.c.ticket == record["ticket"])
        proposed_us = connection.execute(asked).scalar()
        if proposed_us is not None:
            self._wait_s.labels(record["state"]).observe((record["ts_us"] - proposed_us) / 1e6)

    def _closed(self, connection: Connection, record: Record) -> None:
        asked = (
            select(func.count()).select_from(t.approvals).where(t.approvals.c.session == record["session"])
        )
        self._per_session.observe(connection.execute(asked).scalar_one())

    _counts: Mapping[str, Callable[["Meter", Connection, Record], None]] = {
        "call.outcome": _outcome,
        "approval.proposed": _asked,
        "approval.decided": _ended,
        "approval.expired": _ended,
        "session.close": _closed,
    }


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the metrics, to this machine or to whoever shows the token."""
    here = door(request)
    _demand_known(here, request)
    meter: Meter = request.app.state.meter
    return Response(await to_thread.run_sync(meter.text), media_type=CONTENT_TYPE_LATEST)


def _demand_known(here: Door, request: Request) -> None:
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    token = here.metrics_token
    if token and hmac.compare_digest(shown.encode(), token.encode()):
        return
    address = request.client.host if request.client else ""
    near = is_loopback(address) and is_loopback(here.settings.host) and not here.settings.speaks_tls
    if not near or token:
        here.strangers.demand(address)
        raise Problem(401, "the metrics are not for everybody", "show server.metrics_token")
