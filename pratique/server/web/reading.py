"""Reads questions for the pages: rows for the queue, and the card as one person sees it.

Rules:
- The card is the one that was recorded, checked against its digest. If any of it cannot be had, the view has
  no card, says why, and offers no yes.
- Whether somebody may answer is asked of the same code that takes the answer.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, select

from pratique.approvals.card import Card, CardArgument
from pratique.approvals.dossier import Dossier
from pratique.approvals.dossier import Ran as Found
from pratique.approvals.question import Question, question_of
from pratique.approvals.queue import Asked
from pratique.capabilities.rights import Right
from pratique.electorate import Handed, Members
from pratique.errors import LedgerCorruptError
from pratique.ledger import queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger import tables as t
from pratique.model import Taint, Tier
from pratique.people import same_person
from pratique.redaction import Redaction
from pratique.server.auth.people import Person
from pratique.server.door import Door
from pratique.server.web.render import folded, plain
from pratique.server.web.views import CardView, Change, Earlier, Line, Ran, Row, Vote, on_one_line
from pratique.server.web.words import DECIDES, FROM_WORDS

_ORDER = ("dest", "selector", "secret", "amount", "sched", "", "content")
_GIST = 3
_STANDS = {Taint.NONE, Taint.CONTEXT}


def rows(here: Door, person: Person, connection: Connection, found: Sequence[Any]) -> list[Row]:
    """Return questions, as rows of the table, as one person sees them in the queue."""
    membership = here.runtime.desk.membership()
    return [_row(here, person, membership, connection, question_of(one, one.ticket)) for one in found]


def card_view(here: Door, person: Person, question: Question) -> CardView:
    """Return a question and its card, for this person."""
    found, problem = _dossier(here, person, question)
    card = _ordered(found.card) if found else None
    is_open = question.is_open(here.ledger.clock())
    why_not = found.why_not if found else ""
    answers = is_open and not why_not and person.may(Right.QUEUE_ANSWER)
    is_over = question.state == "proposed" and not is_open
    ended, kind = _ended(question, is_over=is_over)
    mine = found is not None and same_person(found.user) == same_person(person.name)
    talk = found.thread if found else ()
    return CardView(
        card=card,
        problem=problem,
        taint=question.taint,
        is_open=is_open,
        is_over=is_over,
        old_policy=is_open and found is not None and not found.current,
        rules=card.rules if card else (),
        request=here.ledger.read(lambda c: _request(c, here, question.session)),
        preview=card.preview if card else "",
        stated=plain(found.why) if found else "",
        changes=_changes(found),
        edited_by=question.edited_by,
        edited_from=question.edited_from,
        edited_to=question.edited_to,
        escalated=question.escalate_to if question.escalated_us else (),
        earlier=_earlier(found),
        needs=tuple(dict.fromkeys(f"{need.quorum} of {need.approvers}" for need in question.needs)),
        votes=tuple(Vote(*vote) for vote in here.runtime.queue.votes(question.ticket)),
        confirm=card.confirm if card else "",
        not_mine=_not_mine(person, why_not),
        ended=ended,
        ended_kind=kind,
        ran=_ran(found.ran) if found else None,
        folds=sum(bool(folded(argument.text).rest) for argument in card.arguments) if card else 0,
        use_within_s=here.ledger.read(lambda c: _use_within(c, question.ticket)),
        can_edit=answers and card is not None,
        can_delegate=answers and card is not None,
        can_ask=answers and card is not None,
        can_reply=mine and is_open and talk != (),
        can_stand=answers and question.tier != Tier.IRREVERSIBLE and question.taint in _STANDS,
        talk=tuple(Line(line.speaker, plain(line.text), line.ts_us) for line in talk),
        decides=DECIDES,
        from_words=FROM_WORDS,
    )


def _dossier(here: Door, person: Person, question: Question) -> tuple[Dossier | None, str]:
    """Return everything about a question, and why it cannot be approved as it is shown."""
    sees_results = person.may(Right.TRACE_READ)
    try:
        found = here.runtime.reading.dossier(question.ticket, person.name, sees_results=sees_results)
    except LedgerCorruptError as broken:
        return None, f"What it would do cannot be shown: {broken}."
    return found, found.card.refuses


def _row(here: Door, person: Person, membership: Members, connection: Connection, question: Question) -> Row:
    queue, now_us = here.runtime.queue, here.ledger.clock()
    asked: Asked | None = None
    try:
        asked = queue.asked_in(connection, question)
    except LedgerCorruptError:  # the row says so, and its card says why
        asked = None
    voted = queries.votes(connection, question.ticket) if question.votes else []
    handed = asking.hand_overs(connection, question.ticket) if question.changes else []
    electorate = question.electorate(
        asked.user if asked else "", membership, tuple(Handed(one.person, one.heir) for one in handed)
    )
    why_not = electorate.why_not(person.name)
    if any(same_person(one.voter) == same_person(person.name) for one in voted):
        why_not = "they have answered already"
    wait, left = question.wait_until_us - question.proposed_us, question.wait_until_us - now_us
    alone = question.taint != Taint.NONE or question.tier == Tier.IRREVERSIBLE or not question.shape
    return Row(
        ticket=question.ticket,
        tool=question.tool,
        tier=question.tier,
        taint=question.taint,
        agent=question.agent,
        user=asked.user if asked else "somebody",
        gist=_gist(asked),
        asked_us=question.proposed_us,
        until_us=question.wait_until_us,
        votes=question.votes,
        urgent="ends soon" if left < wait // 4 else "waits long" if question.escalated_us else "",
        bulk=asked is not None and not alone and not why_not and person.may(Right.QUEUE_ANSWER),
        shape=question.shape,
        not_mine=_not_mine(person, why_not),
    )


def _not_mine(person: Person, why_not: str) -> str:
    """Return why this person cannot answer, said to them; empty if they can."""
    if why_not == "they have answered already":
        return "You have answered. It still needs somebody else."
    if why_not:
        return f"You cannot answer it: {why_not}."
    return "" if person.may(Right.QUEUE_ANSWER) else "You can read it, and cannot answer it."


def _ordered(card: Card) -> Card:
    """Return the card with what matters first; its digest stays that of the recorded one."""
    return card.model_copy(update={"arguments": tuple(sorted(card.arguments, key=_place))})


def _place(argument: CardArgument) -> tuple[int, str]:
    return _ORDER.index(argument.decides.partition(":")[0]), argument.name


def _gist(asked: Asked | None) -> tuple[tuple[str, str], ...]:
    if asked is None:
        return ()
    first = _ordered(asked.card).arguments[:_GIST]
    return tuple((argument.name, on_one_line(argument.text)) for argument in first)


def _changes(found: Dossier | None) -> tuple[Change, ...]:
    """Return what somebody changed, if this is an edited call."""
    if found is None or found.edit is None:
        return ()
    return tuple(
        Change(path, "(see above)" if value is None else plain(value))
        for path, value in found.edit.changed.items()
    )


def _earlier(found: Dossier | None) -> tuple[Earlier, ...]:
    earlier = found.earlier if found else ()
    return tuple(
        Earlier(one.ticket, one.state, ", ".join(one.decided_by), one.proposed_us, one.reason)
        for one in earlier
    )


def _request(connection: Connection, here: Door, session: str) -> str:
    """Return what the person asked the agent for; empty when it was erased."""
    r = t.records.c
    chosen = select(r.body).where(r.session == session, r.type == "session.open").limit(1)
    body = connection.execute(chosen).scalar()
    record = orjson.loads(body) if body else None
    owner = queries.subject_of(connection, record["seq"]) if record else None
    if record is None or owner is None or not here.ledger.learn(connection, owner):
        return ""
    found = queries.values(connection, here.ledger.vault, record).get("request")
    if found is None or not found.genuine:
        return ""
    return plain(Redaction().text(found.value.decode()))


def _ran(found: Found | None) -> Ran | None:
    """Return what became of the call, if it ran; secrets are taken out of it, addresses are not."""
    if found is None:
        return None
    redaction = Redaction().without("emails", "phones", "iban")
    result = plain(redaction.value(orjson.loads(found.result))) if found.result else ""
    status = "started" if found.outcome == "running" else found.outcome
    return Ran(status, plain(redaction.text(found.error)), result)


def _use_within(connection: Connection, ticket: str) -> int:
    row = queries.approval(connection, ticket)
    return 0 if row is None else int(row.use_within_s)


def _ended(question: Question, *, is_over: bool) -> tuple[str, str]:
    by = f" by {', '.join(question.decided_by)}" if question.decided_by else ""
    why = f": {question.reason}" if question.reason else ""
    said: dict[str, tuple[str, str]] = {
        "approved": (f"Approved{by}. It runs when the agent comes back for it.", "good"),
        "started": (f"Approved{by}, and it runs.", "good"),
        "finished": (f"Approved{by}, and it ran.", "good"),
        "unknown": (f"Approved{by}, and started. Whether it ran to its end is not known: look.", "warn"),
        "rejected": (f"Rejected{by}{why}", "danger"),
        "expired": (f"Expired{why}. The call did not run.", "warn"),
        "void": (f"Void{why}. The call did not run.", "warn"),
        "edited": (f"Edited{by}{why}. Another call is asked about in its place.", "info"),
    }
    if is_over:
        return "Nobody answered in time. The call does not run.", "warn"
    return said.get(question.state, (question.state, "info"))
