"""How long records stay, and who may end it: sealed into a bundle, held, dropped; each a record of its own.

Rules:
- Only what was sealed into a bundle can be dropped, from the beginning of the log, and no gaps are made.
- Records younger than `days` stay. The default, 184 days, is the longest that six months can be: for so long
  Regulation (EU) 2024/1689 (AI Act) makes providers (Article 19) and deployers (Article 26(6)) of high-risk
  systems keep their logs at least.
- A legal hold keeps a session's, a person's or a range's records, whatever their age, until it is lifted.
- What a call or a question that is still open rests on stays.
- Of dropped records their hashes stay, and the state they made: all proofs still work, and the state can
  still be rebuilt (`pratique.ledger.state`).
- Dropping deletes the values of those records from the vault too.
"""

import hashlib
import secrets
import tarfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, func, select

from pratique.audit.bundle import Trust
from pratique.audit.chain import BrokenError, Verdict
from pratique.audit.checkpoint import rotation
from pratique.audit.merkle import root_of
from pratique.audit.note import Verifier
from pratique.audit.record import Draft
from pratique.errors import RetentionError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.bundles import MANIFEST, Written, opened, verify_bundle_at, write_bundle
from pratique.ledger.door import Ledger
from pratique.ledger.guards import Guard, Moment
from pratique.ledger.readonly import driver_of
from pratique.ledger.rebuild import rebuilt
from pratique.ledger.sequencer import Entry, Receipt
from pratique.ledger.state import dump
from pratique.ledger.tree import StoredTree
from pratique.ledger.verification import verify_file

DAYS: Final = 184
DAY_US: Final = 86_400 * 1_000_000


class Hold(NamedTuple):
    """What a legal hold keeps: a session's records, a person's, or a range's. Empty and 0: not by that."""

    session: str = ""
    subject: str = ""
    first: int = 0
    last: int = 0


class NotDroppedSince(NamedTuple):
    """Nothing was dropped, held or opened since it was decided that these records may go."""

    last: int
    dropped: int

    def refuses(self, moment: Moment) -> str | None:
        """Return why not, or None."""
        if queries.dropped(moment.connection) != self.dropped:
            return "another process dropped records meanwhile"
        return stays(moment.connection, self.dropped, self.last)


class KeyIs(NamedTuple):
    """This is still the key in force."""

    key: str
    first: str

    def refuses(self, moment: Moment) -> str | None:
        """Return why not, or None."""
        found = moment.connection.execute(
            select(t.log_keys.c.key).order_by(t.log_keys.c.seq.desc()).limit(1)
        ).scalar()
        return None if (found or self.first) == self.key else "another key came into force meanwhile"


def rotate_key(ledger: Ledger, by: str, reason: str) -> Verifier:
    """Bring a new signing key into force, and sign the head with it; return its public half.

    Raises:
        LedgerError: the old key cannot be used, or another process rotated at the same time.
    """
    current = ledger.read(
        lambda connection: connection.execute(
            select(t.log_keys.c.key).order_by(t.log_keys.c.seq.desc()).limit(1)
        ).scalar()
    ) or str(ledger.keys.first.verifier)
    old, new = ledger.keys.signer(current), ledger.keys.make()
    draft = rotation(ledger.log, old, new, by, reason)
    _commit(ledger, draft, KeyIs(current, str(ledger.keys.first.verifier)), checkpoint=True)
    return new.verifier


def seal_segment(ledger: Ledger, to: Path, last: int | None, by: str, reason: str) -> Written:
    """Write the records up to `last` that were not dropped yet as a bundle, and record that.

    Raises:
        RetentionError: no checkpoint covers them.
    """
    ledger.commit_now(Entry((), checkpoint=True))
    key = str(ledger.keys.first.verifier)

    def write(connection: Connection) -> tuple[Written, str]:
        first = queries.dropped(connection) + 1
        written = write_bundle(connection, to, key=key, first=first, last=last)
        return written, root_of(written.last, StoredTree(driver_of(connection))).hex()

    written, root = ledger.read(write)
    draft = {
        "type": "segment.seal",
        "first": written.first,
        "last": written.last,
        "leaf": written.leaf,
        "root": root,
        "bundle": written.digest,
        "by": by,
        "reason": reason,
    }
    _commit(ledger, draft, None)
    return written


def drop_segment(ledger: Ledger, bundle: Path, by: str, reason: str, days: int = DAYS) -> tuple[int, int]:
    """Drop the records that a sealed bundle holds; return the first and last number.

    Args:
        ledger: whose records.
        bundle: where the sealed bundle is now: it is verified before anything is dropped.
        by: who says so.
        reason: why.
        days: how many days old the records must be at least.

    Raises:
        RetentionError: they must stay; the message says why.
    """
    whole = verify_file(ledger.path)
    if whole.verdict is Verdict.BROKEN:
        raise RetentionError(f"the log is broken, and nothing of it may go: {whole.problem}")
    digest = _digest_of(bundle)
    segment = ledger.read(lambda connection: _sealed(connection, digest))
    if segment is None:
        raise RetentionError(f"{bundle / MANIFEST} is not a bundle that was sealed here")
    report = verify_bundle_at(bundle, Trust(key=ledger.keys.first.verifier))
    if report.verdict is Verdict.BROKEN or report.head.leaf != segment.leaf:
        raise RetentionError(f"the bundle is not whole, and would be all that is left: {report.problem}")
    state, guard = ledger.read(lambda connection: _decide(connection, segment, ledger.clock(), days))
    text_digest = hashlib.sha256(state).hexdigest()
    draft = {
        "type": "segment.drop",
        "first": segment.first,
        "last": segment.last,
        "state": text_digest,
        "bundle": digest,
        "by": by,
        "reason": reason,
    }
    _commit(ledger, draft, guard, blobs=((text_digest, state),), drop=segment.last)
    return segment.first, segment.last


def set_hold(ledger: Ledger, hold: Hold, by: str, reason: str) -> str:
    """Hold records; return the hold's id."""
    if not any(hold):
        raise RetentionError("say what to hold: a session, a person or a range")
    name = f"h_{secrets.token_hex(8)}"
    of = {f"of_{field}": value for field, value in hold._asdict().items()}
    _commit(ledger, {"type": "hold.set", "hold": name, **of, "by": by, "reason": reason}, None)
    return name


def lift_hold(ledger: Ledger, name: str, by: str, reason: str) -> None:
    """Lift a hold.

    Raises:
        RetentionError: there is none of that name that is in force.
    """
    if name not in {row.id for row in ledger.read(holds)}:
        raise RetentionError(f"there is no hold {name} in force")
    _commit(ledger, {"type": "hold.lift", "hold": name, "by": by, "reason": reason}, None)


def holds(connection: Connection) -> list[Any]:
    """Return every hold that is in force."""
    return list(connection.execute(select(t.holds).where(t.holds.c.lifted_us == 0)))


def stays(connection: Connection, after: int, last: int) -> str | None:
    """Return why the records `after` + 1 to `last` must stay, whatever their age; None if they need not."""
    inside = t.records.c.seq.between(after + 1, last)
    for hold in holds(connection):
        if hold.last and hold.first <= last and hold.last > after:
            return f"{hold.id} holds records {hold.first} to {hold.last}: {hold.reason}"
        sessions = select(t.sessions.c.id).where(t.sessions.c.subject == hold.subject)
        chosen = t.records.c.session == hold.session if hold.session else t.records.c.session.in_(sessions)
        if (hold.session or hold.subject) and connection.execute(
            select(t.records.c.seq).where(inside, chosen).limit(1)
        ).first():
            return f"{hold.id} holds records of {hold.session or hold.subject}: {hold.reason}"
        kept = select(t.vault.c.seq).where(t.vault.c.seq.between(after + 1, last))
        if hold.subject and connection.execute(kept.where(t.vault.c.subject == hold.subject)).first():
            return f"{hold.id} holds values of {hold.subject}: {hold.reason}"
    call = connection.execute(
        select(t.calls).where(t.calls.c.state == "started", t.calls.c.intent_seq <= last).limit(1)
    ).first()
    if call is not None:
        return f"the call {call.call} of record {call.intent_seq} has no outcome yet"
    open_ = select(t.approvals).where(t.approvals.c.proposed_seq <= last)
    asked = connection.execute(
        open_.where(t.approvals.c.state.in_(["proposed", "approved", "started"])).limit(1)
    ).first()
    return None if asked is None else f"the question {asked.ticket} of record {asked.proposed_seq} is open"


def _digest_of(bundle: Path) -> str:
    """Return the digest by which a sealed bundle is known.

    Raises:
        RetentionError: there is no bundle that can be read.
    """
    try:
        with opened(bundle) as parts:
            return hashlib.sha256(parts.manifest).hexdigest()
    except (OSError, tarfile.TarError, BrokenError) as problem:
        raise RetentionError(f"{bundle}: the bundle cannot be read: {problem}") from None


def _sealed(connection: Connection, digest: str) -> Any:
    return connection.execute(
        select(t.segments).where(t.segments.c.bundle == digest, t.segments.c.dropped_seq == 0)
    ).one_or_none()


def _decide(connection: Connection, segment: Any, now_us: int, days: int) -> tuple[bytes, NotDroppedSince]:
    """Return the state to keep and what must still be true, if the records may go."""
    after = queries.dropped(connection)
    if segment.first != after + 1:
        raise RetentionError(
            f"the segment starts at {segment.first}; the next one to go starts at {after + 1}"
        )
    body = connection.execute(select(t.records.c.body).where(t.records.c.seq == segment.last)).scalar_one()
    age_us = now_us - orjson.loads(body)["ts_us"]
    if age_us < days * DAY_US:
        raise RetentionError(
            f"record {segment.last} is {age_us // DAY_US} days old; records stay {days} days "
            "(`retention_days` in the settings)"
        )
    why = stays(connection, after, segment.last)
    if why is not None:
        raise RetentionError(why)
    if connection.execute(select(func.max(t.records.c.seq))).scalar() == segment.last:
        raise RetentionError("the newest record stays: the chain goes on from it")
    with rebuilt(connection, segment.last) as state:
        return dump(state, segment.last), NotDroppedSince(segment.last, after)


def _commit(ledger: Ledger, draft: Draft, guard: Guard | None, **more: Any) -> None:
    guards = () if guard is None else (guard,)
    answer = ledger.commit_now(Entry((draft,), guards=guards, **more))
    if not isinstance(answer, Receipt):
        raise RetentionError(answer.why)
