"""Erasing values for good, and saying so: who asked, who agreed, why, and what is gone.

1. What an erasure would take is counted and shown; a session that is open, or a legal hold, stops it.
2. If the policy names a group, one person proposes and another one, of that group, agrees.
3. One transaction: the record `erase`, the rows gone, the key gone. Other processes drop what they remember.
4. The file is rewritten (VACUUM) and its write-ahead log cut, so that no page keeps what was deleted.

Rules:
- The chain stands: records hold salted commitments only. A value reads as erased from then on.
- What a record holds in clear (names of tools, redacted errors, reasons, ids of sources) is not erased.
- Copies made elsewhere (backups, exports) are not reached; without the person's key, which goes as well, they
  cannot be read. A backup of the database holds the wrapped key, too.
"""

import secrets
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from pratique.audit import drafts
from pratique.audit.record import Draft
from pratique.errors import ErasureRefusedError
from pratique.ledger import policies, queries
from pratique.ledger import tables as t
from pratique.ledger.database import purged
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing, of_type, rows_of
from pratique.ledger.guards import Guard, Moment
from pratique.ledger.segments import holds
from pratique.ledger.sequencer import Entry, Receipt, Refused
from pratique.model import Value
from pratique.people import is_member, same_person

PROPOSAL_US = 7 * 24 * 3600 * 1_000_000
"""How long a proposal can be agreed to."""


class Extent(Value):
    """What an erasure would take.

    Attributes:
        values: rows of the vault, one for each record that has values.
        sessions: how many sessions these belong to.
        first_us, last_us: when the first and the last were written; 0 when there are none.
        open_sessions: sessions of that person that are not over: nothing is erased while there are any.
        approvers: the group that must agree; empty if the policy names none.
    """

    values: int
    sessions: int
    first_us: int
    last_us: int
    open_sessions: tuple[str, ...]
    approvers: str


class Proposal(Value):
    """An erasure that somebody proposed, and nobody has agreed to yet."""

    id: str
    subject: str
    session: str
    call_id: str
    reason: str
    asked_by: str
    ts_us: int

    @property
    def erasing(self) -> Erasing:
        """What it would take."""
        return Erasing(self.subject, self.session, self.call_id)


class ErasureIs(NamedTuple):
    """Guard: the proposal is there, and nobody has agreed to it yet."""

    proposal: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        if any(found.id == self.proposal for found in _open(moment.connection)):
            return None
        return f"the erasure {self.proposal} was carried out already"


class NobodyUses(NamedTuple):
    """Guard: the person has no session that goes on, but for those that this very entry ends."""

    subject: str
    ended: tuple[str, ...]

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        others = sorted(set(_open_sessions(moment.connection, self.subject)) - set(self.ended))
        return f"the session {others[0]} is open; end it, or say --end-sessions" if others else None


class NotHeld(NamedTuple):
    """Guard: no legal hold keeps any of the values."""

    erasing: Erasing

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        connection, where = moment.connection, rows_of(self.erasing)
        for hold in holds(connection):
            kept = select(t.vault.c.seq).where(where, _held(hold)).limit(1)
            if connection.execute(kept).first() is not None:
                return f"the legal hold {hold.id} keeps some of it: {hold.reason}"
        return None


def extent(ledger: Ledger, erasing: Erasing) -> Extent:
    """Return what an erasure would take."""
    approvers = approvers_of(ledger)

    def look(connection: Connection) -> Extent:
        where = rows_of(erasing)
        joined = select(t.vault.c.seq, t.records.c.session).join(t.records, t.records.c.seq == t.vault.c.seq)
        found = joined.where(where).subquery()
        count, sessions, first, last = connection.execute(
            select(
                func.count(),
                func.count(func.distinct(found.c.session)),
                func.min(found.c.seq),
                func.max(found.c.seq),
            )
        ).one()
        return Extent(
            values=count,
            sessions=sessions,
            first_us=_when(connection, first),
            last_us=_when(connection, last),
            open_sessions=_open_sessions(connection, erasing.subject) if erasing.subject else (),
            approvers=approvers,
        )

    return ledger.read(look)


def approvers_of(ledger: Ledger) -> str:
    """Return the group that must agree to an erasure, by the policy in force; empty for none."""
    rule = policies.in_force(ledger).policy.file.erasure
    return rule.approvers if rule is not None else ""


def propose(ledger: Ledger, erasing: Erasing, reason: str, asked_by: str) -> str:
    """Record that somebody wants this erased; return the id that another person agrees to.

    Raises:
        ErasureRefusedError: there is no reason.
    """
    _demand_reason(reason)
    rows_of(erasing)
    proposal = f"e_{secrets.token_hex(8)}"
    ledger.commit_now(Entry(drafts=(drafts.erase_proposed(proposal, erasing.facts, reason, asked_by),)))
    return proposal


def proposals(ledger: Ledger) -> list[Proposal]:
    """Return the erasures that wait for a second person, oldest first."""
    now = ledger.clock()
    return [found for found in ledger.read(_open) if now < found.ts_us + PROPOSAL_US]


def erase(
    ledger: Ledger, erasing: Erasing, reason: str, asked_by: str, *, end_sessions: bool = False
) -> Receipt:
    """Erase, where the policy in force asks nobody else.

    Args:
        ledger: whose values.
        erasing: which of them.
        reason: why; it is recorded in clear.
        asked_by: who, as their login says.
        end_sessions: end that person's open sessions, instead of stopping because of them.

    Raises:
        ErasureRefusedError: another person must agree, a session is open, or there is no reason.
        LedgerUnavailableError: it cannot be recorded; nothing was erased.
    """
    group = approvers_of(ledger)
    if group:
        raise ErasureRefusedError(f"the policy asks {group} to agree to an erasure: propose it")
    _demand_reason(reason)
    draft = drafts.erased(erasing.facts, reason, asked_by)
    return _carry_out(ledger, erasing, draft, (), end_sessions=end_sessions)


def agree(ledger: Ledger, proposal: str, approved_by: str, *, end_sessions: bool = False) -> Receipt:
    """Carry out what somebody else proposed.

    Args:
        ledger: whose values.
        proposal: its id.
        approved_by: who agrees, as their login says.
        end_sessions: as for `erase`.

    Raises:
        ErasureRefusedError: it is not there any more, this person may not agree, or a session is open.
        LedgerUnavailableError: it cannot be recorded; nothing was erased.
    """
    found = next((one for one in proposals(ledger) if one.id == proposal), None)
    if found is None:
        raise ErasureRefusedError(f"no erasure {proposal} waits: it was carried out, ran out, or never was")
    if same_person(found.asked_by) == same_person(approved_by):
        raise ErasureRefusedError(f"{approved_by} proposed {proposal}: another person must agree")
    policy, group = policies.in_force(ledger).policy, approvers_of(ledger)
    if group and not is_member(policy.members(group), approved_by):
        raise ErasureRefusedError(f"{approved_by} does not belong to {group}")
    draft = drafts.erased(found.erasing.facts, found.reason, found.asked_by, approved_by, proposal)
    return _carry_out(ledger, found.erasing, draft, (ErasureIs(proposal),), end_sessions=end_sessions)


def purge(ledger: Ledger) -> bool:
    """Rewrite the file without what was deleted, and cut the write-ahead log.

    Returns:
        Whether it could be done now; false while another process reads an old view. Do it again then.
    """
    return purged(ledger.path)


def _carry_out(
    ledger: Ledger, erasing: Erasing, draft: Draft, guards: tuple[Guard, ...], *, end_sessions: bool
) -> Receipt:
    ended: list[Draft] = []
    guards = (NotHeld(erasing), *guards)
    if erasing.subject:
        rows = ledger.read(lambda c: _session_rows(c, erasing.subject)) if end_sessions else []
        ended = [drafts.session_ended(row._asdict(), "erased") for row in rows]
        guards = (*guards, NobodyUses(erasing.subject, tuple(one["session"] for one in ended)))
    entry = Entry(drafts=(*ended, draft), guards=guards, erase=(erasing,))
    done = ledger.commit_now(entry)
    if isinstance(done, Refused):
        raise ErasureRefusedError(f"{done.why}; nothing was erased")
    return done


def _held(hold: Any) -> ColumnElement[bool]:
    """Return the condition on rows of the vault that a hold keeps."""
    if hold.session:
        return t.vault.c.seq.in_(select(t.records.c.seq).where(t.records.c.session == hold.session))
    if hold.subject:
        return t.vault.c.subject == str(hold.subject)
    return t.vault.c.seq.between(hold.first, hold.last)


def _open(connection: Connection) -> list[Proposal]:
    done = {record["proposal"] for record in of_type(connection, "erase")}
    waiting = []
    for record in of_type(connection, "erase.proposed"):
        if record["proposal"] not in done:
            fields = ("subject", "session", "call_id", "reason", "asked_by", "ts_us")
            waiting.append(Proposal(id=record["proposal"], **{name: record[name] for name in fields}))
    return waiting


def _open_sessions(connection: Connection, subject: str) -> tuple[str, ...]:
    return tuple(row.id for row in _session_rows(connection, subject))


def _session_rows(connection: Connection, subject: str) -> list[Any]:
    return list(
        connection.execute(
            select(t.sessions).where(t.sessions.c.subject == subject, t.sessions.c.closed_us == 0)
        )
    )


def _when(connection: Connection, seq: int | None) -> int:
    record = queries.record(connection, seq) if seq is not None else None
    return int(record["ts_us"]) if record else 0


def _demand_reason(reason: str) -> None:
    if not reason.strip():
        raise ErasureRefusedError("an erasure needs a reason: it is what is left to say why")
