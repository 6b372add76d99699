"""The log in the formats of others, a page at a time, from any record on.

Rules:
- Personal data and secrets are taken out of every text of a record, and so are people's names unless they
  are asked for. Values are not in records: they stay in the vault.
- An export that goes on after the last number it gave leaves nothing out and repeats nothing.
"""

import csv
import io
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from pratique.audit.exports import cloudevents, ocsf, otlp, table
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.redaction import Redaction

PAGE = 1000

_PEOPLE = frozenset({"voter", "approvers", "approved_by", "applied_by", "asked_by", "by"})
_AS_THEY_ARE = frozenset(
    {"log", "session", "trace_id", "call_id", "digest", "prev", "type", "tool", "agent", "tenant", "ticket"}
)
"""What is made by Pratique or declared by the host: ids and names that a reader joins by."""


class Format(StrEnum):
    """What to export as."""

    OTLP = "otlp"
    OCSF = "ocsf"
    CLOUDEVENTS = "cloudevents"
    CSV = "csv"


class Chunk(NamedTuple):
    """Some lines, and the last record that they are of."""

    text: bytes
    last: int


def export(
    connection: Connection,
    form: Format,
    log: str,
    version: str,
    *,
    after: int = 0,
    redaction: Redaction | None = None,
    people: bool = False,
) -> Iterator[Chunk]:
    """Yield the log as text, a page at a time.

    Args:
        connection: one view of the ledger.
        form: which format.
        log: the log's name.
        version: Pratique's.
        after: the last record that an earlier export gave.
        redaction: what is taken out; left out, all that can be.
        people: leave the names of approvers and operators in.
    """
    clean = _Clean(redaction or Redaction(), people=people)
    write = _WRITERS[form]
    rows = connection.execution_options(yield_per=PAGE).execute(
        select(t.records.c.seq, t.records.c.leaf, t.records.c.body)
        .where(t.records.c.seq > after)
        .order_by(t.records.c.seq)
    )
    if form is Format.CSV and not after:
        yield Chunk(_line(table.COLUMNS), 0)
    while page := rows.fetchmany(PAGE):
        cleaned = [(clean.record(orjson.loads(row.body)), row.leaf.hex()) for row in page]
        yield Chunk(write(connection, cleaned, log, version), page[-1].seq)


class _Clean:
    """Takes personal data and secrets out of records."""

    def __init__(self, redaction: Redaction, *, people: bool) -> None:
        self._redaction, self._people = redaction, people

    def record(self, record: queries.Record) -> dict[str, Any]:
        """Return the record without them."""
        return {name: self._field(name, value) for name, value in record.items()}

    def _field(self, name: str, value: Any) -> Any:
        plain = name in _AS_THEY_ARE or name.endswith(("_c", "_digest", "_sha256"))
        if plain or isinstance(value, int) or (self._people and name in _PEOPLE):
            return value
        return self._redaction.value(value)


Page = list[tuple[dict[str, Any], str]]


def _otlp(connection: Connection, page: Page, log: str, version: str) -> bytes:
    spans = (otlp.span(record, _opened(connection, record)) for record, _ in page)
    found = [span for span in spans if span is not None]
    return _json(otlp.traces(found, log, version)) if found else b""


def _opened(connection: Connection, record: queries.Record) -> int:
    if record["type"] != "session.close":
        return 0
    opened = select(t.sessions.c.opened_us).where(t.sessions.c.id == record["session"])
    return int(connection.execute(opened).scalar() or 0)


def _ocsf(_: Connection, page: Page, __: str, version: str) -> bytes:
    return b"".join(_json(ocsf.event(record, leaf, version)) for record, leaf in page)


def _cloudevents(_: Connection, page: Page, __: str, ___: str) -> bytes:
    return b"".join(_json(cloudevents.event(record, leaf)) for record, leaf in page)


def _csv(_: Connection, page: Page, __: str, ___: str) -> bytes:
    return b"".join(_line(table.row(record, leaf)) for record, leaf in page)


def _json(value: Any) -> bytes:
    return orjson.dumps(value) + b"\n"


def _line(cells: list[str] | tuple[str, ...]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


_WRITERS: dict[Format, Callable[[Connection, Page, str, str], bytes]] = {
    Format.OTLP: _otlp,
    Format.OCSF: _ocsf,
    Format.CLOUDEVENTS: _cloudevents,
    Format.CSV: _csv,
}
