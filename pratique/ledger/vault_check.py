"""Are the values in the vault still the ones that the records commit to, and are they all there?

Rules:
- A row that does not open, or opens to something that its record has no commitment to, was changed.
- A value that a record commits to is in the vault, unless a record says that it was erased, or that what
  stood up to there was saved out of a damaged file.
- Who has the key file can seal another value; they cannot make a record commit to it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.erasing import Erasing, of_type
from pratique.ledger.vault import Vault

ROWS_AT_ONCE = 1000


class Wrong(NamedTuple):
    """A record whose values are not as it says.

    Attributes:
        seq: its number.
        problem: what is wrong with them.
        gone: they are not there at all, or cannot be read for want of a key.
    """

    seq: int
    problem: str
    gone: bool


def wrong_values(connection: Connection, vault: Vault) -> Iterator[Wrong]:
    """Yield every record whose values in the vault are not as it says.

    Args:
        connection: one view of the ledger.
        vault: with the log's own key file.

    Raises:
        LedgerCorruptError: a subject's key does not open: it was changed, or the key file is another log's.
    """
    for row in connection.execute(select(t.vault_keys)):
        vault.learn(row.subject, row.wrapped)
    accounts = _Accounts(connection, vault)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        select(t.records.c.seq, t.records.c.body, t.vault.c.subject, t.vault.c.sealed)
        .join(t.vault, t.records.c.seq == t.vault.c.seq, isouter=True)
        .order_by(t.records.c.seq)
    )
    for row in rows:
        if row.subject is not None and vault.knows(row.subject):
            wrong = _wrong(vault, row)
            if wrong:
                yield Wrong(row.seq, f"the vault value of record {row.seq} {wrong}", gone=False)
        elif b'_c":"' in row.body and not accounts.for_record(row.seq, orjson.loads(row.body)):
            what = "are not in the vault" if row.subject is None else "have no key"
            problem = f"the values of record {row.seq} {what}, and no record says that they were erased"
            yield Wrong(row.seq, problem, gone=True)


def _wrong(vault: Vault, row: Any) -> str:
    record = orjson.loads(row.body)
    try:
        opened = vault.open(row.subject, queries.about(record), row.sealed, record)
    except (LedgerCorruptError, ValueError, TypeError, AttributeError):
        return "does not open"
    fields = sorted(field for field, value in opened.items() if not value.genuine)
    return f"({', '.join(fields)}) doesn't match its commitment" if fields else ""


class _Accounts:
    """What the log itself says of values that are not there."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        self._vault = vault
        # What is erased twice counts from the last time on: it is gone for all that was written before.
        self._erased = {Erasing.of(record): record["seq"] for record in of_type(connection, "erase")}
        self._people = {erasing.subject: seq for erasing, seq in self._erased.items() if erasing.subject}
        opened = of_type(connection, "session.open")
        self._opened = {of["session"]: (of["subject"], of["seq"]) for of in opened}
        self._saved = max(
            [of["kept"] for of in of_type(connection, "recovery") if of["kind"] == "torn"], default=0
        )

    def for_record(self, seq: int, record: Mapping[str, Any]) -> bool:
        """Return whether the log says why this record's values may be gone."""
        if not any(name.endswith("_c") and isinstance(value, str) for name, value in record.items()):
            return True  # it has none
        session, call = record.get("session", ""), record.get("call_id", "")
        named = (Erasing(session=session), Erasing(session=session, call=call))
        before = any(seq < self._erased.get(erasing, 0) for erasing in named)
        return seq <= self._saved or before or self._was_erased(session, record)

    def _was_erased(self, session: str, record: Mapping[str, Any]) -> bool:
        """Whether their owner was erased; outside of a session, the record names the owner.

        A session that was opened after it is the person's next one, whose values are kept. What was sealed in
        one while its person was being erased is not kept, though its record may come after that.
        """
        if not self._people or session in self._opened:
            owner, opened = self._opened.get(session, ("", 0))
            return bool(opened < self._people.get(owner, 0))
        names = [value for value in record.values() if isinstance(value, str)]
        return any(self._vault.subject_id(name) in self._people for name in names)
