"""Are the values in the vault still the ones that the records commit to?

Rules:
- A value is looked at only where its key is: what was erased has none, and its absence says nothing here.
- A row that does not open, or opens to something that its record has no commitment to, was changed.
- Who has the key file can seal another value; they cannot make a record commit to it.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy import Connection, select

from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.vault import Vault

ROWS_AT_ONCE = 1000


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
