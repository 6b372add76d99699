"""Which calls, out of all of them: by who asked, what for, what was decided, when, and what touched them.

Rules:
- One entry per call: the newest of its records that fits.
- A record belongs to a source if its arguments carry text from it, or if it is the read that brought it in.
- Time is looked up by halves, because it never goes back along the chain; the rest is looked for in the bytes
  by the database, and only what may fit is parsed. There is no index to keep, and none to be wrong.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, func, literal, select
from sqlalchemy.types import LargeBinary

from pratique.ledger import tables as t
from pratique.ledger.queries import PAGE, Record
from pratique.model import Value

KINDS = ("approval.proposed", "call.intent", "call.outcome")
"""The types of record that say what was asked for."""


class Wanted(Value):
    """What to look for; empty for anything.

    Attributes:
        agent, tool: names; a tool may end in `.*`.
        subject: the pseudonym of the person on whose behalf (`Vault.subject_id`): records do not name people.
        decision: `allow`, `ask` or `deny`, as the policy decided: what people were asked stays `ask`.
        source: a source id, `email:7#body`, or without the field for all of its fields.
        since_us, until_us: from this moment on, and before that one; 0 for none.
        most: how many calls, the newest.
    """

    agent: str = ""
    tool: str = ""
    subject: str = ""
    decision: str = ""
    source: str = ""
    since_us: int = 0
    until_us: int = 0
    most: int = 50

    def fits(self, record: Record) -> bool:
        """Return whether a record of a call is wanted. Its time is not looked at."""
        return (
            self.agent in {"", record["agent"]}
            and _is_named(record["tool"], self.tool)
            and self.decision in {"", decision_of(record)}
            and (not self.source or any(_is_of(source, self.source) for source in sources_of(record)))
        )


def search(connection: Connection, wanted: Wanted) -> list[Record]:
    """Return the newest fitting record of each wanted call, oldest first."""
    found: dict[tuple[str, str, str], Record] = {}
    theirs = _sessions_of(connection, wanted.subject) if wanted.subject else None
    for record in _newest_first(connection, wanted):
        if len(found) >= wanted.most:
            break
        if wanted.fits(record) and (theirs is None or record["session"] in theirs):
            found.setdefault((record["session"], record["call_id"], record["digest"]), record)
    return sorted(found.values(), key=lambda record: record["seq"])


def _sessions_of(connection: Connection, subject: str) -> set[str]:
    return set(connection.execute(select(t.sessions.c.id).where(t.sessions.c.subject == subject)).scalars())


def decision_of(record: Record) -> str:
    """Return what the policy decided: `ask` stays `ask`, whatever people answered."""
    return "ask" if record["ticket"] else str(record["effect"])


def sources_of(record: Record) -> list[str]:
    """Return the sources that a record has to do with: its arguments', and its result's."""
    written = (part["source"] for part in record.get("carried", ()))
    return [*record["lineage"], *written, *record.get("label_out", {}).get("sources", ())]


def _newest_first(connection: Connection, wanted: Wanted) -> Iterator[Record]:
    """Yield the records that may fit, newest first, a page at a time."""
    chosen = select(t.records.c.body).where(t.records.c.type.in_(KINDS))
    if wanted.since_us:
        chosen = chosen.where(t.records.c.seq >= first_at(connection, wanted.since_us))
    if wanted.until_us:
        chosen = chosen.where(t.records.c.seq < first_at(connection, wanted.until_us))
    for needle in _needles(wanted):
        chosen = chosen.where(_holds(needle))
    rows = connection.execution_options(yield_per=PAGE).execute(chosen.order_by(t.records.c.seq.desc()))
    for row in rows:
        yield orjson.loads(row.body)


def first_at(connection: Connection, moment_us: int) -> int:
    """Return the number of the first record that was written at this moment or later."""
    first, last = connection.execute(select(func.min(t.records.c.seq), func.max(t.records.c.seq))).one()
    low, high = int(first or 1), int(last or 0) + 1
    while low < high:
        middle = (low + high) // 2
        body = connection.execute(select(t.records.c.body).where(t.records.c.seq == middle)).scalar_one()
        if orjson.loads(body)["ts_us"] < moment_us:
            low = middle + 1
        else:
            high = middle
    return low


def _needles(wanted: Wanted) -> Iterator[bytes]:
    """Yield what the bytes of every fitting record hold: records have one form, so their bytes have too."""
    if wanted.agent:
        yield b'"agent":' + orjson.dumps(wanted.agent)
    if wanted.tool:
        yield b'"tool":' + orjson.dumps(wanted.tool.removesuffix("*")).removesuffix(b'"')
    if wanted.source:
        yield orjson.dumps(wanted.source).removesuffix(b'"')
    if wanted.decision:
        yield b'"ticket":"t_' if wanted.decision == "ask" else b'"effect":' + orjson.dumps(wanted.decision)


def _holds(needle: bytes) -> ColumnElement[Any]:
    """Return the condition that a record's bytes hold these."""
    return func.instr(t.records.c.body, literal(needle, LargeBinary)) > 0


def _is_named(tool: str, wanted: str) -> bool:
    return tool.startswith(wanted[:-1]) if wanted.endswith(".*") else wanted in {"", tool}


def _is_of(source: str, wanted: str) -> bool:
    return source == wanted or source.startswith(wanted + "#")
