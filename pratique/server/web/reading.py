"""Reads questions for the pages: rows for the queue, and the card as one person sees it.

Rules:
- The card is the one that was recorded, checked against its digest. If any of it cannot be had or rendered,
  the view has no card, says why, and offers no yes.
- Whether somebody may answer is asked of the same code that takes the answer.
"""

import structlog

from pratique.approvals.card import Card, CardArgument
from pratique.approvals.queue import Question, is_member, same_person
from pratique.errors import PratiqueError
from pratique.ledger import queries
from pratique.server.auth.people import Person
from pratique.server.door import Door
from pratique.server.web.render import folded
from pratique.server.web.views import CardView, Row, Vote, on_one_line
from pratique.server.web.words import DECIDES, FROM_WORDS

log = structlog.get_logger("pratique")

_ORDER = ("dest", "selector", "secret", "amount", "sched", "", "content")
_GIST = 3


def row(here: Door, person: Person, question: Question) -> Row:
    """Return one question as a row."""
    card: Card | None = None
    try:
        card = here.runtime.queue.asked(question.ticket).card
    except PratiqueError as problem:
        log.warning("a card cannot be read", ticket=question.ticket, error=str(problem))
    now_us, taint = here.ledger.clock(), _taint(card)
    wait = question.wait_until_us - question.proposed_us
    urgent = question.wait_until_us - now_us < wait // 4
    return Row(
        ticket=question.ticket,
        tool=question.tool,
        tier=question.tier,
        taint=taint,
        agent=question.agent,
        user=card.user if card else "somebody",
        gist=_gist(card),
        asked_us=question.proposed_us,
        until_us=question.wait_until_us,
        votes=question.votes,
        urgent="ends soon" if urgent else "",
        bulk=card is not None and taint in {"none", "context"} and question.tier != "irreversible",
        shape=f"{question.agent} {question.tool}",
        not_mine=why_not(here, person, question, card.user if card else ""),
    )


def card_view(here: Door, person: Person, question: Question) -> CardView:
    """Return a question and its card, for this person."""
    now_us, queue = here.ledger.clock(), here.runtime.queue
    card: Card | None = None
    problem = ""
    try:
        card = queue.asked(question.ticket).card
    except PratiqueError as found:
        problem = f"What it would do cannot be shown: {found}."
    if card is not None:
        card = card.model_copy(update={"arguments": tuple(sorted(card.arguments, key=_place))})
    votes = tuple(Vote(*vote) for vote in queue.votes(question.ticket))
    is_over = question.state == "proposed" and not question.is_open(now_us)
    epoch = here.ledger.read(queries.epoch)
    ended, kind = _ended(question, is_over=is_over)
    return CardView(
        card=card,
        problem=problem,
        taint=_taint(card),
        is_open=question.is_open(now_us),
        is_over=is_over,
        old_policy=question.epoch != epoch,
        rules=card.rules if card else (),
        request="",
        preview="",
        stated="",
        earlier=(),
        votes=votes,
        confirm=_confirm(card) if question.tier == "irreversible" else "",
        not_mine=why_not(here, person, question, card.user if card else ""),
        ended=ended,
        ended_kind=kind,
        ran=None,
        folds=sum(bool(folded(argument.text).rest) for argument in card.arguments) if card else 0,
        use_within_s=900,
        can_edit=card is not None,
        can_delegate=True,
        can_ask=True,
        can_reply=False,
        can_stand=True,
        talk=(),
        decides=DECIDES,
        from_words=FROM_WORDS,
    )


def why_not(here: Door, person: Person, question: Question, user: str) -> str:
    """Return why this person cannot answer; empty if they can."""
    members = here.runtime.enforcement.snapshot.policy.members
    if user and same_person(user) == same_person(person.name):
        return "It was asked on your behalf, so somebody else answers."
    groups = dict.fromkeys(need.approvers for need in question.needs)
    if not any(is_member(members(group), person.name) for group in groups):
        return f"It is for {', '.join(groups)}."
    if any(
        same_person(name) == same_person(person.name)
        for name, _, _ in here.runtime.queue.votes(question.ticket)
    ):
        return "You have answered. It still needs somebody else."
    return ""


def _place(argument: CardArgument) -> tuple[int, str]:
    """Return where an argument stands on the card: first what decides where it goes."""
    return _ORDER.index(argument.decides.partition(":")[0]), argument.name


def _gist(card: Card | None) -> tuple[tuple[str, str], ...]:
    if card is None:
        return ()
    first = sorted(card.arguments, key=_place)[:_GIST]
    return tuple((argument.name, on_one_line(argument.text)) for argument in first)


def _confirm(card: Card | None) -> str:
    found = [] if card is None else [one for one in card.arguments if one.decides == "dest"]
    return found[0].text if found else ""


def _taint(card: Card | None) -> str:
    text = card.taint if card else ""
    marks: dict[str, str] = {"decides where": "sink", "carries": "argument", "has read": "context"}
    return next((word for mark, word in marks.items() if mark in text), "none")


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
    }
    if is_over:
        return "Nobody answered in time. The call does not run.", "warn"
    return said.get(question.state, (question.state, "info"))
