"""Which values are to go: what an erasure names, and the rows of the vault that this means.

Rules:
- An erasure names one of: a person (by pseudonym), a session, one call of a session. All of it goes, or
  nothing.
- With a person goes the key, so that copies of the rows elsewhere are as good as gone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, delete, select

from pratique.ledger import tables as t


class Erasing(NamedTuple):
    """What goes. `subject` alone, `session` alone, or `session` and `call`."""

    subject: str = ""
    session: str = ""
    call: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Erasing":
        """Return what an `erase` record says."""
        return cls(record["subject"], record["session"], record["call_id"])

    @property
    def facts(self) -> dict[str, str]:
        """What a record says of it."""
        return {"subject": self.subject, "session": self.session, "call_id": self.call}

    def concerns(self, session: str, subject: str) -> bool:
        """Return whether values of this session, whose user has this pseudonym, are among it."""
        return subject == self.subject if self.subject else session == self.session


def rows_of(erasing: Erasing) -> ColumnElement[bool]:
    """Return the condition on rows of the vault.

    Raises:
        ValueError: it names nothing, or too much.
    """
    if bool(erasing.subject) == bool(erasing.session) or (erasing.call and not erasing.session):
        raise ValueError("an erasure is of a subject, of a session, or of a call in a session")
    if erasing.subject:
        return t.vault.c.subject == erasing.subject
    records = select(t.records.c.seq).where(t.records.c.session == erasing.session)
    if erasing.call:
        records = records.where(t.records.c.call == erasing.call)
    return t.vault.c.seq.in_(records)


def erase_rows(connection: Connection, erasing: Erasing) -> None:
    """Delete the rows, and the key if it is a person who is erased."""
    connection.execute(delete(t.vault).where(rows_of(erasing)))
    if erasing.subject:
        connection.execute(delete(t.vault_keys).where(t.vault_keys.c.subject == erasing.subject))


def of_type(connection: Connection, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the records of one type, in order."""
    rows = connection.execute(
        select(t.records.c.body).where(t.records.c.type == kind).order_by(t.records.c.seq)
    )
    for row in rows:
        yield orjson.loads(row.body)


def restored(connection: Connection) -> Iterator[tuple[int, int]]:
    """Yield, for each erased value that is in the vault nevertheless, the `erase` record and the value's."""
    for record in of_type(connection, "erase"):
        erasing = Erasing.of(record)
        chosen = select(t.vault.c.seq).where(rows_of(erasing), t.vault.c.seq < record["seq"]).limit(1)
        seq = connection.execute(chosen).scalar()
        if seq is not None:
            yield record["seq"], seq
