"""What must still be true at the moment of commit. Each guard is looked at inside the transaction.

Rules:
- A guard reads, it never writes. It returns None, or in one line what is no longer true.
- Every decision that rests on a state which may change has its guard here; an entry names the ones it needs.
"""

from typing import NamedTuple, Protocol

from sqlalchemy import Connection, select

from pratique.ledger import tables as t


class Moment(NamedTuple):
    """What a guard may look at: the transaction, the epoch in force in it, and its time.

    `held` is what guards found true since another process last wrote, as their kind and what it is true of.
    Only this process can have made it untrue since, and the sequencer forgets it before it writes what does.
    """

    connection: Connection
    epoch: int
    now_us: int
    held: set[tuple[str, str]]


class Guard(Protocol):
    """One condition on the commit."""

    def refuses(self, moment: Moment) -> str | None:
        """Return why the entry must not be committed, or None."""


class EpochIs(NamedTuple):
    """The policy that decided is still the one in force."""

    epoch: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        if moment.epoch == self.epoch:
            return None
        return f"the policy changed from epoch {self.epoch} to {moment.epoch}"


class CallIsNew(NamedTuple):
    """No intent for this very call is in the log: it runs once.

    `rerun`: the tool takes an idempotency key, so an intent whose outcome is unknown does not count.
    """

    session: str
    call: str
    digest: str
    rerun: bool = False

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        state = moment.connection.execute(
            select(t.calls.c.state).where(
                t.calls.c.session == self.session,
                t.calls.c.call == self.call,
                t.calls.c.digest == self.digest,
            )
        ).scalar()
        if state is None or (self.rerun and state == "unknown"):
            return None
        return f"the call {self.call} has run already ({state})"


class CallIsOpen(NamedTuple):
    """The intent has no outcome yet."""

    intent: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        state = moment.connection.execute(
            select(t.calls.c.state).where(t.calls.c.intent_seq == self.intent)
        ).scalar()
        return None if state == "started" else f"intent {self.intent} is {state or 'not there'}"


class UsesLeft(NamedTuple):
    """The counted exception has been used fewer than `most` times."""

    rule: str
    most: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        uses = moment.connection.execute(
            select(t.grant_uses.c.uses).where(t.grant_uses.c.rule == self.rule)
        ).scalar()
        return None if (uses or 0) < self.most else f"{self.rule} has been used {uses} of {self.most} times"


class TraceIsNew(NamedTuple):
    """No session has this trace id: a trace is the story of one session."""

    trace_id: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        session = moment.connection.execute(
            select(t.sessions.c.id).where(t.sessions.c.trace_id == self.trace_id)
        ).scalar()
        return None if session is None else f"trace_id {self.trace_id} is that of the session {session}"


class SessionIsOpen(NamedTuple):
    """The session is not closed, and no other process has taken it over (its label may have risen there)."""

    session: str
    writer: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.sessions.c.closed_us, t.sessions.c.writer).where(t.sessions.c.id == self.session)
        ).one_or_none()
        if row is None or row.closed_us:
            return f"the session {self.session} is closed"
        return None if row.writer == self.writer else f"the session {self.session} goes on in another process"


class SessionNotClosed(NamedTuple):
    """The session is not closed, whichever process serves it: people may still decide about its calls."""

    session: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        closed_us = moment.connection.execute(
            select(t.sessions.c.closed_us).where(t.sessions.c.id == self.session)
        ).scalar()
        return None if closed_us == 0 else f"the session {self.session} is closed"


class SessionIsHeld(NamedTuple):
    """As `SessionIsOpen`, for reads: asked again only when another process has written meanwhile."""

    session: str
    writer: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        if ("session", self.session) in moment.held:
            return None
        why = SessionIsOpen(self.session, self.writer).refuses(moment)
        if why is None:
            moment.held.add(("session", self.session))
        return why
