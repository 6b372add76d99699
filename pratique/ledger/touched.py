"""Everything that one source touched, followed forwards: the mail, what was done with it, what came of that.

Rules:
- A call is touched if its arguments carry the source, or anything that came out of a call that was touched: a
  page that was fetched from an address in the mail, a ticket that quotes it, in whatever session it is read.
- What our own writes carried keeps its source (`carried`), so it is found again in every session.
- Records are gone through once, in order: what touches comes before what is touched.
- A call made by a session that had been shown touched text, without carrying any, is `after` it: a model may
  have been steered without repeating a word. These are given only if asked for.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from pratique.ledger import tables as t
from pratique.ledger.queries import PAGE, Record
from pratique.ledger.search import KINDS

MOST_TOUCHED = 100_000
"""Sources that are followed. Beyond that no more are added, and it is said."""


class How(StrEnum):
    """How a call has to do with a source."""

    BROUGHT = "brought in"
    CARRIES = "carries"
    AFTER = "after"


class Touched(NamedTuple):
    """A record of a call that was touched.

    Attributes:
        record: the record.
        how: in which way.
        steps: 0 if it is the source itself, 1 if it came out of a call that carried it, and so on.
        via: the source by which it was reached.
    """

    record: Record
    how: How
    steps: int
    via: str


def follow(connection: Connection, source: str, *, exposed: bool = False) -> Iterator[Touched]:
    """Yield the records of every call that a source touched, in order.

    Args:
        connection: one view of the ledger.
        source: a source id, `email:7#body`, or without the field for all of its fields.
        exposed: also give the calls of sessions that had been shown touched text.
    """
    trail = _Trail(source)
    rows = connection.execution_options(yield_per=PAGE).execute(
        select(t.records.c.body).where(t.records.c.type.in_(KINDS)).order_by(t.records.c.seq)
    )
    for row in rows:
        found = trail.take(orjson.loads(row.body))
        if found is not None and (exposed or found.how is not How.AFTER):
            yield found


class _Trail:
    """What is known to be touched so far: sources, with how many steps away they are, and sessions."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._steps: dict[str, int] = {}
        self._sessions: dict[str, tuple[int, str]] = {}

    def take(self, record: Record) -> Touched | None:
        """Take in the next record; return it if it was touched."""
        carried = self._nearest(carried_by(record))
        shown = self._nearest(shown_by(record))
        if carried is not None and record["type"] == "call.outcome" and record["outcome"] != "denied":
            self._spread(record, carried[0] + 1)
            shown = shown or (carried[0] + 1, carried[1])
        if shown is not None:
            self._sessions.setdefault(record["session"], shown)
        if carried is not None:
            return Touched(record, How.CARRIES, *carried)
        if shown is not None:
            return Touched(record, How.BROUGHT, *shown)
        after = self._sessions.get(record["session"])
        return None if after is None else Touched(record, How.AFTER, *after)

    def _nearest(self, sources: list[str]) -> tuple[int, str] | None:
        known = [(self._of(source), source) for source in sources]
        return min(((steps, source) for steps, source in known if steps is not None), default=None)

    def _of(self, source: str) -> int | None:
        if source == self._source or source.startswith(self._source + "#"):
            return 0
        return self._steps.get(source)

    def _spread(self, record: Record, steps: int) -> None:
        """What comes out of a call that carried it is touched as well."""
        for source in shown_by(record):
            if len(self._steps) < MOST_TOUCHED and source != "…" and self._of(source) is None:
                self._steps[source] = steps


def carried_by(record: Record) -> list[str]:
    """Return the sources of what a call's arguments carry, what it wrote included."""
    written: list[dict[str, Any]] = record.get("carried", [])
    return [*record["lineage"], *(part["source"] for part in written)]


def shown_by(record: Record) -> list[str]:
    """Return the sources of what a call gave to the agent."""
    return list(record.get("label_out", {}).get("sources", ()))
