"""What the queue and the card show, as values that templates read."""

from typing import Any, NamedTuple

from pratique.approvals.card import Card
from pratique.model import Value


class Row(Value):
    """One question in the queue.

    Attributes:
        gist: the arguments that decide where it goes, each on one line; the card has them all, in full.
        urgent: why it is urgent, in words; empty if it is not.
        bulk: whether it can be answered together with others of its shape.
        not_mine: why whoever reads this cannot answer it; empty if they can.
    """

    ticket: str
    tool: str
    tier: str
    taint: str
    agent: str
    user: str
    gist: tuple[tuple[str, str], ...]
    asked_us: int
    until_us: int
    votes: int
    urgent: str
    bulk: bool
    shape: str
    not_mine: str


class Vote(NamedTuple):
    """One answer that was given."""

    voter: str
    word: str
    reason: str


class Earlier(NamedTuple):
    """A question of the same shape that was decided before."""

    ticket: str
    state: str
    by: str
    at_us: int
    reason: str


class Change(NamedTuple):
    """What somebody changed in a call before it was agreed to."""

    path: str
    value: str


class Line(NamedTuple):
    """One line of what was asked and answered about a question."""

    who: str
    text: str
    at_us: int


class Ran(NamedTuple):
    """What became of the call."""

    status: str
    error: str
    result: str


class CardView(Value):
    """A question and its card, as one person sees it.

    Attributes:
        card: None when it cannot be shown; then `problem` says why, and it cannot be approved.
        problem: why it cannot be approved; empty if it can.
        confirm: what to type to approve; empty if nothing.
        not_mine: why this person cannot answer it; empty if they can.
        ended, ended_kind: how it ended, in a sentence, and how to colour it.
        folds: how many of its texts are folded.
    """

    card: Card | None
    problem: str
    taint: str
    is_open: bool
    is_over: bool
    old_policy: bool
    rules: tuple[str, ...]
    request: str
    preview: str
    stated: str
    changes: tuple[Change, ...]
    edited_by: str
    edited_from: str
    edited_to: str
    escalated: tuple[str, ...]
    earlier: tuple[Earlier, ...]
    needs: tuple[str, ...]
    votes: tuple[Vote, ...]
    confirm: str
    not_mine: str
    ended: str
    ended_kind: str
    ran: Ran | None
    folds: int
    use_within_s: int
    can_edit: bool
    can_delegate: bool
    can_ask: bool
    can_reply: bool
    can_stand: bool
    talk: tuple[Line, ...]
    decides: dict[str, str]
    from_words: dict[str, str]


def on_one_line(text: str, most: int = 160) -> str:
    """Return the beginning of a text on one line: the queue's gist, never what is decided on."""
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most and len(text) <= most * 2 else line[:most] + " …"


Context = dict[str, Any]


class Problems(NamedTuple):
    """What was wrong with a form that was posted, by field."""

    confirm: str = ""
    reason: str = ""
