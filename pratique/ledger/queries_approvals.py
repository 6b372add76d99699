"""What can be read about approvals: pages of questions, threads, hand-overs, standing approvals, notices.

Rules:
- As in `pratique.ledger.queries`: nothing here writes.
- A page is found by an index and a place in it, so that it costs the same however many questions wait.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_

from pratique.ledger import tables as t

_A = t.approvals.c


class Chosen(NamedTuple):
    """Which questions, each condition if it is given.

    Attributes:
        states: in one of these; none for any.
        tool, agent, tier, taint, session, shape: exactly; a tool may end in `.*`.
        subject: the pseudonym of the person on whose behalf it was asked.
        text: stands in tool, agent, ticket, session or call id.
        groups: one of these groups is asked, or may answer since it escalated; None for any.
        person: or it was handed to this person, or escalated to them; only with `groups`.
        now_us: leave out those whose time is over; 0 to keep them.
    """

    states: tuple[str, ...] = ("proposed",)
    tool: str = ""
    agent: str = ""
    tier: str = ""
    taint: str = ""
    session: str = ""
    shape: str = ""
    subject: str = ""
    text: str = ""
    groups: tuple[str, ...] | None = None
    person: str = ""
    now_us: int = 0


def most_urgent(
    connection: Connection, chosen: Chosen, after: tuple[int, int, str] | None, most: int
) -> list[Any]:
    """Return questions: escalated first, then the riskiest, then those with the least time left.

    Args:
        connection: to read from.
        chosen: which.
        after: rank, end of the wait and ticket of the last one seen.
        most: how many.
    """
    place = tuple_(_A.rank, _A.wait_until_us, _A.ticket)
    where = _conditions(chosen) + ([] if after is None else [place > after])
    found = select(t.approvals).where(*where).order_by(_A.rank, _A.wait_until_us, _A.ticket).limit(most)
    return list(connection.execute(found))


def newest(connection: Connection, chosen: Chosen, after: tuple[int, str] | None, most: int) -> list[Any]:
    """Return questions, the newest first; `after` is time and ticket of the last one seen."""
    place = tuple_(_A.proposed_us, _A.ticket)
    where = _conditions(chosen) + ([] if after is None else [place < after])
    found = select(t.approvals).where(*where).order_by(_A.proposed_us.desc(), _A.ticket.desc()).limit(most)
    return list(connection.execute(found))


def how_many(connection: Connection, chosen: Chosen) -> int:
    """Return how many questions there are."""
    found = select(func.count()).select_from(t.approvals).where(*_conditions(chosen))
    return int(connection.execute(found).scalar_one())


def hand_overs(connection: Connection, ticket: str) -> list[Any]:
    """Return a question's hand-overs, in order."""
    found = select(t.hand_overs).where(t.hand_overs.c.ticket == ticket).order_by(t.hand_overs.c.seq)
    return list(connection.execute(found))


def remarks(connection: Connection, ticket: str) -> list[Any]:
    """Return the lines of a question's thread, in order."""
    found = select(t.remarks).where(t.remarks.c.ticket == ticket).order_by(t.remarks.c.seq)
    return list(connection.execute(found))


def of_shape(connection: Connection, shape: str, but: str, most: int) -> list[Any]:
    """Return the newest questions of this shape that are not open any more, but for one ticket."""
    found = (
        select(t.approvals)
        .where(_A.shape == shape, _A.ticket != but, _A.state != "proposed")
        .order_by(_A.proposed_us.desc())
        .limit(most)
    )
    return list(connection.execute(found))


def overdue(connection: Connection, now_us: int, most: int) -> list[Any]:
    """Return open questions whose time is over."""
    found = select(t.approvals).where(_A.state == "proposed", _A.wait_until_us <= now_us)
    return list(connection.execute(found.order_by(_A.wait_until_us).limit(most)))


def unused(connection: Connection, now_us: int, most: int) -> list[Any]:
    """Return yeses that were not used in time."""
    found = select(t.approvals).where(_A.state == "approved", _A.use_until_us <= now_us)
    return list(connection.execute(found.limit(most)))


def to_escalate(connection: Connection, now_us: int, most: int) -> list[Any]:
    """Return open questions of which half of the wait is over, and nobody else was asked."""
    found = select(t.approvals).where(
        _A.state == "proposed",
        _A.escalated_us == 0,
        _A.escalate_us.between(1, now_us),
        _A.wait_until_us > now_us,
    )
    return list(connection.execute(found.order_by(_A.escalate_us).limit(most)))


def standing(connection: Connection, identity: str) -> Any | None:
    """Return the row of a standing approval, or None."""
    return connection.execute(select(t.standings).where(t.standings.c.id == identity)).one_or_none()


def standings(connection: Connection, most: int = 500) -> list[Any]:
    """Return standing approvals, the newest first."""
    return list(connection.execute(select(t.standings).order_by(t.standings.c.seq.desc()).limit(most)))


def standings_for(connection: Connection, agent: str, tool: str, now_us: int) -> list[Any]:
    """Return standing approvals that may count for a call: active, in time, with uses left."""
    found = select(t.standings).where(
        t.standings.c.state == "active",
        t.standings.c.agent == agent,
        t.standings.c.tool == tool,
        t.standings.c.expires_us > now_us,
        t.standings.c.uses < t.standings.c.max_uses,
    )
    return list(connection.execute(found.order_by(t.standings.c.expires_us)))


def undelivered(  # one argument per condition
    connection: Connection, channel: str, since_us: int, now_us: int, most: int, events: Collection[str]
) -> list[Any]:
    """Return notices that are due on a channel, oldest first, with how often each was tried.

    `since_us` leaves out what is too old to be news.
    """
    notices, deliveries = t.notices, t.deliveries
    tried = and_(deliveries.c.notice == notices.c.seq, deliveries.c.channel == channel)
    due = or_(
        deliveries.c.state.is_(None), and_(deliveries.c.state == "trying", deliveries.c.next_us <= now_us)
    )
    found = (
        select(
            notices.c.seq,
            notices.c.ticket,
            notices.c.event,
            notices.c.ts_us,
            func.coalesce(deliveries.c.attempts, 0).label("attempts"),
        )
        .select_from(notices.outerjoin(deliveries, tried))
        .where(notices.c.ts_us >= since_us, notices.c.event.in_(sorted(events)), due)
        .order_by(notices.c.seq)
        .limit(most)
    )
    return list(connection.execute(found))


def _conditions(chosen: Chosen) -> list[ColumnElement[bool]]:
    exact = {
        _A.agent: chosen.agent,
        _A.tier: chosen.tier,
        _A.taint: chosen.taint,
        _A.session: chosen.session,
        _A.shape: chosen.shape,
        _A.subject: chosen.subject,
    }
    where = [column == value for column, value in exact.items() if value]
    if len(chosen.states) == 1:
        where.append(_A.state == chosen.states[0])
    elif chosen.states:
        where.append(_A.state.in_(chosen.states))
    if chosen.tool:
        where.append(_named(chosen.tool))
    if chosen.now_us:
        where.append(_A.wait_until_us > chosen.now_us)
    if chosen.text:
        within = (_A.tool, _A.agent, _A.ticket, _A.session, _A.call)
        where.append(or_(*(column.icontains(chosen.text, autoescape=True) for column in within)))
    if chosen.groups is not None:
        where.append(_answered_by(chosen.groups, chosen.person))
    return where


def _named(tool: str) -> ColumnElement[bool]:
    if tool.endswith(".*"):
        return _A.tool.startswith(tool[:-1], autoescape=True)
    return _A.tool == tool


def _answered_by(groups: Sequence[str], person: str) -> ColumnElement[bool]:
    """Return whether one of the groups, or the person, may answer: names are found in the JSON."""
    asked = [_A.needs.contains(f'"approvers":"{group}"', autoescape=True) for group in groups]
    names = [*groups, *([f"person:{person}"] if person else [])]
    wider = [_A.escalate_to.contains(f'"{name}"', autoescape=True) for name in names]
    heirs = select(t.hand_overs.c.ticket).where(t.hand_overs.c.heir == person)
    return or_(*asked, and_(_A.escalated_us > 0, or_(False, *wider)), _A.ticket.in_(heirs))  # noqa: FBT003
