"""Reads questions for the pages: rows for the queue, and the card as one person sees it.

Rules:
- The card is the one that was recorded, checked against its digest. If any of it cannot be had, the view has
  no card, says why, and offers no yes.
- Whether somebody may answer is asked of the same code that takes the answer.
"""

from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, select

from pratique.approvals.card import Card, CardArgument
from pratique.approvals.question import Question
from pratique.approvals.queue import Asked
from pratique.capabilities.approvers import Handed, same_person
from pratique.errors import PratiqueError
from pratique.ledger import queries
from pratique.ledger import queries_approvals as asking
from pratique.ledger import tables as t
from pratique.model import Taint, Tier
from pratique.redaction import Redaction
from pratique.server.auth.people import Person
from pratique.server.door import Door
from pratique.server.web.render import folded, plain
from pratique.server.web.views import CardView, Change, Earlier, Line, Ran, Row, Vote, on_one_line
from pratique.server.web.words import DECIDES, FROM_WORDS

log = structlog.get_logger("pratique")

EARLIER = 5
_ORDER = ("dest", "selector", "secret", "amount", "sched", "", "content")
_GIST = 3


def row(here: Door, person: Person, question: Question) -> Row:
    """Return one question as a row."""
    asked = _asked(here, question)
    now_us = here.ledger.clock()
    wait = question.wait_until_us - question.proposed_us
    urgent = "was not answered for long" if question.escalated_us else ""
    if question.wait_until_us - now_us < wait // 4:
        urgent = "ends soon"
    not_mine = _why_not(here, person, question, asked)
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
        urgent=urgent,
        bulk=asked is not None and not alone and not not_mine,
        shape=question.shape,
        not_mine=not_mine,
    )


def card_view(here: Door, person: Person, question: Question) -> CardView:
    """Return a question and its card, for this person."""
    now_us, queue, desk = here.ledger.clock(), here.runtime.queue, here.runtime.desk
    asked: Asked | None = None
    problem = ""
    try:
        asked = queue.asked(question.ticket)
        problem = asked.card.refuses
    except PratiqueError as found:
        problem = f"What it would do cannot be shown: {found}."
    card = None if asked is None else _ordered(asked.card)
    is_open = question.is_open(now_us)
    not_mine = _why_not(here, person, question, asked)
    answers = is_open and not not_mine and person.groups != frozenset()
    ended, kind = _ended(question, is_over=question.state == "proposed" and not is_open)
    talk = () if asked is None else tuple(desk.thread(question.ticket))
    mine = asked is not None and same_person(asked.user) == same_person(person.name)
    return CardView(
        card=card,
        problem=problem,
        taint=question.taint,
        is_open=is_open,
        is_over=question.state == "proposed" and not is_open,
        old_policy=is_open and question.epoch != here.ledger.read(queries.epoch),
        rules=card.rules if card else (),
        request=here.ledger.read(lambda c: _request(c, here, question.session)),
        preview=card.preview if card else "",
        stated=asked.why if asked else "",
        changes=_changes(asked),
        edited_by=question.edited_by,
        edited_from=question.edited_from,
        edited_to=question.edited_to,
        escalated=question.escalate_to if question.escalated_us else (),
        earlier=_earlier(here, question),
        needs=tuple(dict.fromkeys(f"{need.quorum} of {need.approvers}" for need in question.needs)),
        votes=tuple(Vote(*vote) for vote in queue.votes(question.ticket)),
        confirm=card.confirm if card else "",
        not_mine=not_mine,
        ended=ended,
        ended_kind=kind,
        ran=here.ledger.read(lambda c: _ran(c, here, question)),
        folds=sum(bool(folded(argument.text).rest) for argument in card.arguments) if card else 0,
        use_within_s=here.ledger.read(lambda c: _use_within(c, question.ticket)),
        can_edit=answers and asked is not None,
        can_delegate=answers,
        can_ask=answers and asked is not None,
        can_reply=mine and is_open and talk != (),
        can_stand=answers and question.tier != Tier.IRREVERSIBLE and question.taint in _STANDS,
        talk=tuple(Line(line.speaker, line.text, line.ts_us) for line in talk),
        decides=DECIDES,
        from_words=FROM_WORDS,
    )


_STANDS = {Taint.NONE, Taint.CONTEXT}


def _asked(here: Door, question: Question) -> Asked | None:
    try:
        return here.runtime.queue.asked(question.ticket)
    except PratiqueError as problem:
        log.warning("a card cannot be read", ticket=question.ticket, error=str(problem))
        return None


def _why_not(here: Door, person: Person, question: Question, asked: Asked | None) -> str:
    """Return why this person cannot answer; empty if they can."""
    if question.votes:
        given = here.runtime.queue.votes(question.ticket)
        if any(same_person(name) == same_person(person.name) for name, _, _ in given):
            return "You have answered. It still needs somebody else."
    handed: tuple[Handed, ...] = ()
    if question.changes:
        rows = here.ledger.read(lambda c: asking.hand_overs(c, question.ticket))
        handed = tuple(Handed(row.person, row.heir) for row in rows)
    user = asked.user if asked else ""
    why = question.electorate(user, here.runtime.desk.members, handed).why_not(person.name)
    return f"You cannot answer it: {why}." if why else ""


def _ordered(card: Card) -> Card:
    """Return the card with its arguments in the order in which they matter; its digest is of the recorded one."""
    return card.model_copy(update={"arguments": tuple(sorted(card.arguments, key=_place))})


def _place(argument: CardArgument) -> tuple[int, str]:
    return _ORDER.index(argument.decides.partition(":")[0]), argument.name


def _gist(asked: Asked | None) -> tuple[tuple[str, str], ...]:
    if asked is None:
        return ()
    first = _ordered(asked.card).arguments[:_GIST]
    return tuple((argument.name, on_one_line(argument.text)) for argument in first)


def _changes(asked: Asked | None) -> tuple[Change, ...]:
    """Return what somebody changed, if this is an edited call."""
    if asked is None or asked.edited is None:
        return ()
    return tuple(
        Change(path, "(as it was, or taken out)" if value is None else plain(value))
        for path, value in asked.edited.changed.items()
    )


def _earlier(here: Door, question: Question) -> tuple[Earlier, ...]:
    if not question.shape:
        return ()
    rows = here.ledger.read(lambda c: asking.of_shape(c, question.shape, question.ticket, EARLIER))
    return tuple(
        Earlier(row.ticket, row.state, ", ".join(orjson.loads(row.decided_by)), row.proposed_us, row.reason)
        for row in rows
    )


def _request(connection: Connection, here: Door, session: str) -> str:
    """Return what the person asked the agent for; empty when it was erased."""
    r = t.records.c
    chosen = select(r.body).where(r.session == session, r.type == "session.open").limit(1)
    body = connection.execute(chosen).scalar()
    text = _value(connection, here, orjson.loads(body), "request") if body else b""
    return plain(Redaction().text(text.decode()))


def _ran(connection: Connection, here: Door, question: Question) -> Ran | None:
    """Return what became of the call, if it ran."""
    row = queries.call(connection, question.session, question.call_id, question.digest)
    record = None if row is None or not row.outcome_seq else queries.record(connection, row.outcome_seq)
    if record is None:
        return None
    redaction = Redaction().without("emails", "phones", "iban")
    result = _value(connection, here, record, "result")
    return Ran(
        status=record["outcome"],
        error=plain(redaction.text(record.get("error") or "")),
        result=plain(redaction.value(orjson.loads(result))) if result else "",
    )


def _value(connection: Connection, here: Door, record: Any, field: str) -> bytes:
    """Return a value of a record out of the vault; empty when it is not there, or not the recorded one."""
    owner = queries.subject_of(connection, record["seq"])
    if owner is None or not here.ledger.learn(connection, owner):
        return b""
    found = queries.values(connection, here.ledger.vault, record).get(field)
    return found.value if found is not None and found.genuine else b""


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
