"""Are the values in the vault still the ones that the records commit to, and are they all there?

Rules:
- A value is looked at only where its key is: what was erased has none.
- A record that commits to a value has a row in the vault, unless another record says why not: an erasure that
  names its person, session or call; or a recovery from a damaged file, which may have lost it.
- Whose values a record without a session held cannot be known without its row. One erasure of a person after
  it is then taken for the reason.
- A row that does not open, or opens to something that its record has no commitment to, was changed.
- Who has the key file can seal another value; they cannot make a record commit to it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.erasing import of_type
from pratique.ledger.vault import Vault

ROWS_AT_ONCE = 1000
_COMMITS = b'_c":"'
"""What stands in every record that commits to a value: its text has such quotes only with a backslash."""


def changed_values(connection: Connection, vault: Vault) -> Iterator[tuple[int, str]]:
    """Yield every record whose values in the vault were changed: its number, and which values.

    Args:
        connection: one view of the ledger.
        vault: with the log's own key file.

    Raises:
        LedgerCorruptError: a subject's key does not open: it was changed, or the key file is another log's.
    """
    for row in connection.execute(select(t.vault_keys)):
        vault.learn(row.subject, row.wrapped)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        select(t.vault.c.seq, t.vault.c.subject, t.vault.c.sealed, t.records.c.body)
        .join(t.records, t.records.c.seq == t.vault.c.seq)
        .order_by(t.vault.c.seq)
    )
    for row in rows:
        if vault.knows(row.subject):
            wrong = _wrong(vault, row)
            if wrong:
                yield row.seq, wrong


def _wrong(vault: Vault, row: Any) -> str:
    record = orjson.loads(row.body)
    try:
        opened = vault.open(row.subject, queries.about(record), row.sealed, record)
    except (LedgerCorruptError, ValueError, TypeError, AttributeError):
        return "does not open"
    fields = sorted(field for field, value in opened.items() if not value.genuine)
    return f"({', '.join(fields)}) doesn't match its commitment" if fields else ""


def vanished_values(connection: Connection) -> Iterator[tuple[int, str]]:
    """Yield every record whose values are gone from the vault with no record that says why.

    Args:
        connection: one view of the ledger. No key is needed.

    Yields:
        The record's number, and what became of its values.
    """
    reasons = _Reasons(connection)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        select(t.records.c.body)
        .select_from(t.records.outerjoin(t.vault, t.vault.c.seq == t.records.c.seq))
        .where(t.vault.c.seq.is_(None), func.instr(t.records.c.body, _COMMITS) > 0)
        .order_by(t.records.c.seq)
    )
    for row in rows:
        record = orjson.loads(row.body)
        fields = sorted(field.removesuffix("_c") for field in record if field.endswith("_c"))
        if fields and not reasons.explain(record):
            yield record["seq"], f"({', '.join(fields)}) are gone from the vault"
    keyless = select(t.records.c.body).join(t.vault, t.vault.c.seq == t.records.c.seq)
    keys = select(t.vault_keys.c.subject)
    for row in connection.execute(keyless.where(t.vault.c.subject.not_in(keys)).order_by(t.records.c.seq)):
        record = orjson.loads(row.body)
        if not reasons.explain(record):
            yield record["seq"], "cannot be read: their person's key is gone from the vault"


class _Reasons:
    """Why values may be gone: what records say of erasures and recoveries."""

    def __init__(self, connection: Connection) -> None:
        self._erasures = list(of_type(connection, "erase"))
        recoveries = (record for record in of_type(connection, "recovery") if record["kind"] == "torn")
        self._recovered = max((record["seq"] for record in recoveries), default=0)
        chosen = select(t.sessions.c.id, t.sessions.c.subject, t.sessions.c.opened_us)
        # An erasure is seldom: without one, nobody's session has to be known.
        rows = connection.execute(chosen) if self._erasures else ()
        self._sessions = {row.id: (row.subject, row.opened_us) for row in rows}

    def explain(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record says why the values of this one are gone."""
        if record["seq"] < self._recovered:
            return True
        return any(self._erased(record, erasure) for erasure in self._erasures)

    def _erased(self, record: Mapping[str, Any], erasure: Mapping[str, Any]) -> bool:
        session, before = record.get("session", ""), record["seq"] < erasure["seq"]
        if not erasure["subject"]:
            call = erasure["call_id"]
            named = session == erasure["session"] and call in {"", record.get("call_id", "")}
            return bool(before and named)
        subject, opened_us = self._sessions.get(session, ("", 0))
        if not subject:
            return bool(before)
        # What was sealed while its person was being erased is not kept, though it was written after that.
        return bool(subject == erasure["subject"] and (before or opened_us < erasure["ts_us"]))
