"""What can be read out of the ledger. Each is a function of a connection, to be passed to `Ledger.read`.

Rules:
- Nothing here writes.
- A record is parsed from its stored bytes; the columns beside them are only an index.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Select, func, select

from pratique.audit.chain import Head
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.record import GENESIS
from pratique.ledger import tables as t
from pratique.ledger.vault import Opened, Vault

Record = Mapping[str, Any]
PAGE = 1000


class PolicyRow(NamedTuple):
    """The policy that is in force: its epoch, digest and text."""

    epoch: int
    digest: str
    text: str


def head(connection: Connection) -> Head:
    """Return the end of the chain."""
    row = connection.execute(
        select(t.records.c.seq, t.records.c.leaf).order_by(t.records.c.seq.desc()).limit(1)
    ).one_or_none()
    return Head(seq=row.seq, leaf=row.leaf.hex()) if row else Head(seq=0, leaf=GENESIS.hex())


def policy_in_force(connection: Connection) -> PolicyRow | None:
    """Return the policy of the newest epoch, or None when none was ever applied."""
    row = connection.execute(
        select(t.policies.c.epoch, t.policies.c.digest).order_by(t.policies.c.epoch.desc()).limit(1)
    ).one_or_none()
    return None if row is None else PolicyRow(row.epoch, row.digest, policy_text(connection, row.digest))


def policy_record(connection: Connection, epoch: int) -> Record | None:
    """Return the record that put the policy of an epoch in force, or None."""
    loads = select(t.records.c.body).where(t.records.c.type == "policy.load").order_by(t.records.c.seq.desc())
    found = (orjson.loads(row.body) for row in connection.execute(loads))
    return next((record for record in found if record["epoch"] == epoch), None)


def epoch(connection: Connection) -> int:
    """Return the epoch in force, 0 when no policy was ever applied."""
    return connection.execute(select(func.max(t.policies.c.epoch))).scalar() or 0


def policy_text(connection: Connection, digest: str) -> str:
    """Return the text of the policy with this digest; empty when it is not stored.

    What is damaged comes out as another text, which does not have the digest.
    """
    body = connection.execute(select(t.blobs.c.body).where(t.blobs.c.digest == digest)).scalar()
    return body.decode(errors="replace") if isinstance(body, bytes) else ""


def stored(connection: Connection, after: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, leaf and bytes of every record past number `after`, in order, a page at a time."""
    rows = connection.execution_options(yield_per=PAGE).execute(
        select(t.records.c.seq, t.records.c.leaf, t.records.c.body)
        .where(t.records.c.seq > after)
        .order_by(t.records.c.seq)
    )
    for row in rows:
        yield row.seq, row.leaf, row.body


def every_record(connection: Connection) -> Iterator[Record]:
    """Yield every record, in order, a page at a time."""
    for _, _, body in stored(connection):
        yield orjson.loads(body)


def record(connection: Connection, seq: int) -> Record | None:
    """Return record number `seq`, or None."""
    body = connection.execute(select(t.records.c.body).where(t.records.c.seq == seq)).scalar()
    return orjson.loads(body) if body else None


def around(connection: Connection, seq: int, most: int, *, own: bool) -> list[Record]:
    """Return a record with those before and after it, at most so many of each; empty if there is none.

    Args:
        connection: one view of the ledger.
        seq: the record's number.
        most: how many before, and how many after.
        own: only those of its session.
    """
    found = record(connection, seq)
    if found is None:
        return []
    chosen = select(t.records.c.body)
    if own:
        chosen = chosen.where(t.records.c.session == found.get("session", ""))
    before = chosen.where(t.records.c.seq < seq).order_by(t.records.c.seq.desc()).limit(most)
    after = chosen.where(t.records.c.seq > seq).order_by(t.records.c.seq).limit(most)
    rows = [*list(connection.execute(before))[::-1], *connection.execute(after)]
    others = [orjson.loads(row.body) for row in rows]
    return sorted([*others, found], key=lambda one: one["seq"])


def last_records(connection: Connection, most: int) -> list[Record]:
    """Return the newest records, oldest first."""
    rows = connection.execute(select(t.records.c.body).order_by(t.records.c.seq.desc()).limit(most))
    return [orjson.loads(row.body) for row in rows][::-1]


def records_of(connection: Connection, session: str, call: str | None = None) -> list[Record]:
    """Return a session's records, in order; of one call only, if given."""
    chosen: Select[Any] = select(t.records.c.body).where(t.records.c.session == session)
    if call is not None:
        chosen = chosen.where(t.records.c.call == call)
    return [orjson.loads(row.body) for row in connection.execute(chosen.order_by(t.records.c.seq))]


def session(connection: Connection, name: str) -> Any | None:
    """Return the row of the session with this id or trace id, or None."""
    return connection.execute(
        select(t.sessions).where((t.sessions.c.id == name) | (t.sessions.c.trace_id == name))
    ).one_or_none()


def sessions(connection: Connection, most: int = 50) -> list[Any]:
    """Return the newest sessions, newest first."""
    return list(connection.execute(select(t.sessions).order_by(t.sessions.c.opened_us.desc()).limit(most)))


def call(connection: Connection, session: str, call: str, digest: str) -> Any | None:
    """Return the row of a call that had an intent, or None."""
    return connection.execute(
        select(t.calls).where(
            t.calls.c.session == session, t.calls.c.call == call, t.calls.c.digest == digest
        )
    ).one_or_none()


def open_intents(connection: Connection) -> list[Any]:
    """Return every call that has an intent and no outcome."""
    return list(connection.execute(select(t.calls).where(t.calls.c.state == "started")))


def values(connection: Connection, vault: Vault, of: Record) -> dict[str, Opened]:
    """Return the values that a record commits to, as far as the vault still has them.

    The subject's key must be in the vault's memory (`Ledger.learn`).
    """
    row = connection.execute(select(t.vault).where(t.vault.c.seq == of["seq"])).one_or_none()
    if row is None or not vault.knows(row.subject):
        return {}
    return vault.open(row.subject, about(of), row.sealed, of)


def subject_of(connection: Connection, seq: int) -> str | None:
    """Return under whose key the values of a record lie, or None when there are none."""
    return connection.execute(select(t.vault.c.subject).where(t.vault.c.seq == seq)).scalar()


def about(draft: Record) -> str:
    """Return what a vault row is bound to: the record's type, session and call."""
    return f"{draft['type']}:{draft.get('session', '')}:{draft.get('call_id', '')}"


def approval(connection: Connection, ticket: str) -> Any | None:
    """Return the row of an approval, or None."""
    return connection.execute(select(t.approvals).where(t.approvals.c.ticket == ticket)).one_or_none()


def approval_of(connection: Connection, session: str, call: str, digest: str) -> Any | None:
    """Return the newest approval for this very call, or None."""
    return connection.execute(
        select(t.approvals)
        .where(t.approvals.c.session == session, t.approvals.c.call == call, t.approvals.c.digest == digest)
        .order_by(t.approvals.c.proposed_seq.desc())
        .limit(1)
    ).one_or_none()


def final_digest(connection: Connection, session: str, call: str, digest: str) -> str:
    """Return the digest of a call as people left it: they may have edited it, more than once."""
    row = approval_of(connection, session, call, digest)
    while row is not None and row.state == "edited":
        row = approval(connection, row.edited_to)
    return digest if row is None else str(row.digest)


def approvals(connection: Connection, state: str | None = "proposed", most: int = 500) -> list[Any]:
    """Return approvals in this state (any, if None), oldest first."""
    chosen = select(t.approvals).order_by(t.approvals.c.proposed_us).limit(most)
    if state is not None:
        chosen = chosen.where(t.approvals.c.state == state)
    return list(connection.execute(chosen))


def votes(connection: Connection, ticket: str) -> list[Any]:
    """Return the votes on an approval, in order."""
    return list(
        connection.execute(select(t.votes).where(t.votes.c.ticket == ticket).order_by(t.votes.c.ts_us))
    )


def newest_checkpoint(connection: Connection) -> SignedCheckpoint | None:
    """Return the newest checkpoint that was signed, or None."""
    note = connection.execute(
        select(t.checkpoints.c.note).order_by(t.checkpoints.c.size.desc()).limit(1)
    ).scalar()
    return None if note is None else SignedCheckpoint.parse(note)


def servers(connection: Connection) -> set[str]:
    """Return the names of other programs' servers that were added and not removed."""
    chosen = select(t.mcp_servers.c.name).where(t.mcp_servers.c.removed_us == 0)
    return set(connection.execute(chosen).scalars())


def dropped(connection: Connection) -> int:
    """Return the last record that was dropped, 0 when none was."""
    chosen = select(func.max(t.segments.c.last)).where(t.segments.c.dropped_seq > 0)
    return connection.execute(chosen).scalar() or 0


def count(connection: Connection) -> int:
    """Return how many records there are."""
    return int(connection.execute(select(func.count()).select_from(t.records)).scalar_one())


def misfiled(connection: Connection) -> int | None:
    """Return the number of the first record whose index columns do not say what its bytes say, or None."""
    rows = connection.execution_options(yield_per=PAGE).execute(select(t.records).order_by(t.records.c.seq))
    for row in rows:
        body = orjson.loads(row.body)
        stated = (body.get("type", ""), body.get("session", ""), body.get("call_id", ""))
        if stated != (row.type, row.session, row.call):
            return int(row.seq)
    return None
