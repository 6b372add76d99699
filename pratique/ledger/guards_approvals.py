"""What must still be true when something about an approval is committed; see `pratique.ledger.guards`.

Rules:
- Late, double, replayed and raced answers are refused here, inside the transaction, and change nothing.
"""

from typing import NamedTuple

import orjson
from sqlalchemy import func, select

from pratique.ledger import tables as t
from pratique.ledger.guards import Moment

OPEN = "proposed"
APPROVED = "approved"


class ApprovalUsable(NamedTuple):
    """The approval is a yes to this very call, unused, under this policy, and not too old.

    `rerun`: as in `CallIsNew`; the yes was used by a run whose outcome is unknown.
    """

    ticket: str
    digest: str
    card_digest: str
    epoch: int
    rerun: bool = False

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.approvals).where(t.approvals.c.ticket == self.ticket)
        ).one_or_none()
        if row is None or not (row.state == APPROVED or (self.rerun and row.state == "unknown")):
            return f"{self.ticket} is {'not there' if row is None else row.state}, not approved"
        if (row.digest, row.card_digest, row.epoch) != (self.digest, self.card_digest, self.epoch):
            return f"{self.ticket} was given for another call, card or policy"
        if moment.now_us >= row.use_until_us:
            return f"{self.ticket} was not used in time"
        return None


class ApprovalIs(NamedTuple):
    """The approval is in this state, and as many votes and other changes were made to it: compare-and-swap.

    `in_time`: it must not have waited too long. `changes`: hand-overs and escalations; None for any.
    """

    ticket: str
    state: str
    votes: int
    in_time: bool = True
    changes: int | None = None

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.approvals).where(t.approvals.c.ticket == self.ticket)
        ).one_or_none()
        if row is None or row.state != self.state:
            return f"{self.ticket} is {'not there' if row is None else row.state}"
        if row.votes != self.votes:
            return f"{self.ticket} was voted on in the meantime"
        if self.changes not in {None, row.changes}:
            return f"{self.ticket} was handed on, or has escalated, in the meantime"
        if self.in_time and moment.now_us >= row.wait_until_us:
            return f"{self.ticket} has waited too long"
        return None


class FewWait(NamedTuple):
    """Fewer questions than this wait for people from the session's key (in process: from its agent)."""

    session: str
    most: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        mine = (
            select(t.sessions.c.api_key, t.sessions.c.agent).where(t.sessions.c.id == self.session).subquery()
        )
        waiting = (
            select(t.approvals.c.ticket)
            .join(t.sessions, t.sessions.c.id == t.approvals.c.session)
            .join(mine, (mine.c.api_key == t.sessions.c.api_key) & (mine.c.agent == t.sessions.c.agent))
            .where(t.approvals.c.state == OPEN, t.approvals.c.wait_until_us > moment.now_us)
            .limit(self.most)
        )
        number = moment.connection.execute(select(func.count()).select_from(waiting.subquery())).scalar_one()
        return None if number < self.most else f"{number} questions of this agent's wait for people already"


class NotAskedYet(NamedTuple):
    """No approval waits, or is ready to be used, for this very call."""

    session: str
    call: str
    digest: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        ticket = moment.connection.execute(
            select(t.approvals.c.ticket).where(
                t.approvals.c.session == self.session,
                t.approvals.c.call == self.call,
                t.approvals.c.digest == self.digest,
                t.approvals.c.state.in_((OPEN, APPROVED)),
            )
        ).scalar()
        return None if ticket is None else f"{ticket} asks this already"


class NotEdited(NamedTuple):
    """No person edited this very call: what was asked then never runs, under whatever policy."""

    session: str
    call: str
    digest: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        ticket = moment.connection.execute(
            select(t.approvals.c.ticket).where(
                t.approvals.c.session == self.session,
                t.approvals.c.call == self.call,
                t.approvals.c.digest == self.digest,
                t.approvals.c.state == "edited",
            )
        ).scalar()
        return None if ticket is None else f"a person edited this call ({ticket}): it does not run as asked"


class NotEscalated(NamedTuple):
    """The question has not escalated yet."""

    ticket: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        at = moment.connection.execute(
            select(t.approvals.c.escalated_us).where(t.approvals.c.ticket == self.ticket)
        ).scalar()
        return None if at == 0 else f"{self.ticket} has escalated already"


class StandingUsable(NamedTuple):
    """The standing approval is not revoked, not too old, and has been used fewer than `most` times."""

    standing: str

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.standings).where(t.standings.c.id == self.standing)
        ).one_or_none()
        if row is None or row.state != "active":
            return f"the standing approval {self.standing} is {'not there' if row is None else row.state}"
        if moment.now_us >= row.expires_us:
            return f"the standing approval {self.standing} has expired"
        if row.uses >= row.max_uses:
            return f"the standing approval {self.standing} has been used {row.uses} of {row.max_uses} times"
        return None


class StandingIs(NamedTuple):
    """The standing approval is active, with these people behind it."""

    standing: str
    people: tuple[str, ...]

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.standings).where(t.standings.c.id == self.standing)
        ).one_or_none()
        if row is None or row.state != "active":
            return f"the standing approval {self.standing} is {'not there' if row is None else row.state}"
        changed = tuple(orjson.loads(row.people)) != self.people
        return f"somebody else joined {self.standing} in the meantime" if changed else None


class NoticeIs(NamedTuple):
    """A notice has been tried this often on this channel, and and is not over: one sender at a time."""

    notice: int
    channel: str
    attempts: int

    def refuses(self, moment: Moment) -> str | None:
        """See the class."""
        row = moment.connection.execute(
            select(t.deliveries.c.state, t.deliveries.c.attempts).where(
                t.deliveries.c.notice == self.notice, t.deliveries.c.channel == self.channel
            )
        ).one_or_none()
        state, attempts = ("trying", 0) if row is None else (row.state, row.attempts)
        if state == "trying" and attempts == self.attempts:
            return None
        return f"the notice {self.notice} is {state} on {self.channel}, after {attempts} attempts"
