"""The queue a page at a time: what a person may ask for, what a line says, and where a page ends.

Rules:
- The order is: what has escalated, then the riskiest (tier, then taint), then what has the least time left.
- A page starts at a place in that order, not at a number: it costs the same with ten waiting and with ten
  thousand, and what is answered meanwhile moves nothing out of sight.
"""

import base64
import binascii
from typing import Any

import orjson

from pratique.errors import CursorError
from pratique.model import Need, Taint, Tier, Value

MOST_ON_A_PAGE = 200


class Filter(Value):
    """Which questions a person wants to see; what is empty does not matter.

    Attributes:
        state: one of `Question.state`, `over` for all that are not open, or `any`.
        tool: exactly, or `mail.*`. agent, tier, taint, session, shape: exactly.
        person: on whose behalf it was asked, exactly: names are not kept in clear, so parts cannot be found.
        text: stands in the tool's or agent's name, in ticket, session or call id.
        mine: only what this person may answer: by their groups, by a hand-over, or since it escalated.
    """

    state: str = "proposed"
    tool: str = ""
    agent: str = ""
    tier: Tier | None = None
    taint: Taint | None = None
    session: str = ""
    shape: str = ""
    person: str = ""
    text: str = ""
    mine: str = ""


class Line(Value):
    """One question in the queue.

    Attributes:
        user: on whose behalf; empty if it was erased.
        needs: who must agree; `votes` have answered so far.
        urgent: it has escalated.
        wait_s: seconds it may still wait; 0 for none. age_s: since it was asked.
        destination: what it goes to, if it cannot be undone (`Card.confirm`).
        refuses: why it cannot be approved; empty if it can.
    """

    ticket: str
    tool: str
    tier: str
    taint: str
    agent: str
    user: str
    state: str
    needs: tuple[Need, ...]
    votes: int
    urgent: bool
    age_s: int
    wait_s: int
    proposed_us: int
    wait_until_us: int
    shape: str
    session: str
    epoch: int
    destination: str
    refuses: str
    edited_from: str
    edited_by: str
    decided_by: tuple[str, ...]
    reason: str


class Page(Value):
    """Some questions in order, how many there are in all, and where to go on; `next` is empty at the end."""

    lines: tuple[Line, ...]
    total: int
    next: str = ""


def cursor_of(row: Any, *, is_open: bool) -> str:
    """Return the cursor that stands for the place behind a row of the queue; nothing for no row."""
    if row is None:
        return ""
    place = [row.rank, row.wait_until_us, row.ticket] if is_open else [row.proposed_us, row.ticket]
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str, kinds: tuple[type, ...]) -> Any:
    """Return the place that a cursor stands for, or None for the start.

    Raises:
        CursorError: it stands for none.
    """
    if not cursor:
        return None
    try:
        place = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        place = None
    fits = isinstance(place, list) and len(place) == len(kinds)
    if not fits or any(type(item) is not kind for item, kind in zip(place, kinds, strict=True)):
        raise CursorError("no list gave this cursor: begin at the start of the list")
    if any(isinstance(item, int) and not -(2**62) < item < 2**62 for item in place):
        raise CursorError("no list gave this cursor: begin at the start of the list")
    return tuple(place)
