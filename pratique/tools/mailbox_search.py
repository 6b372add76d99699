"""What is asked of a mailbox, and the answer where no server gives it. Pure.

Rules:
- Every condition that is given must hold. Text is found as a part, whatever its case.
- Days are days of arrival in UTC, the first included and the last not (RFC 9051, 6.4.4: SINCE and BEFORE).
- What a server answers is the server's: its idea of words and of text in attachments may be another.
"""

from datetime import date
from typing import Annotated, Any, NamedTuple

from pydantic import Field

MOST_LOOKED_AT = 2000
"""Messages that one search reads where no server does it."""

Words = Annotated[str, Field(min_length=1, max_length=200, pattern="^[^\\x00-\\x1f\\x7f]+$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Query(NamedTuple):
    """The conditions of a search; None is no condition.

    Attributes:
        text: somewhere in the headers shown or the text.
        sender: in the From field, name or address.
        subject: in the subject.
        since: arrived on this day or later.
        until: arrived before this day.
        unread: nobody has read it, or somebody has.
    """

    text: str | None = None
    sender: str | None = None
    subject: str | None = None
    since: date | None = None
    until: date | None = None
    unread: bool | None = None


def suits(query: Query, arrived: str | None, *, seen: bool) -> bool:
    """Return whether a message can match by what is known without opening it."""
    if query.unread is not None and query.unread == seen:
        return False
    day = arrived[:10] if arrived else ""
    if query.since is not None and day < query.since.isoformat():
        return False
    return query.until is None or (day != "" and day < query.until.isoformat())


def holds(query: Query, message: dict[str, Any]) -> bool:
    """Return whether a message, as `email_reading.full` gives it, holds the words that are asked for."""
    sender = f"{message['from_name']} <{message['from']}>"
    everything = "\n".join(
        [sender, message["subject"], *message["to"], *message["cc"], *message["reply_to"], message["body"]]
    )
    asked = ((query.sender, sender), (query.subject, message["subject"]), (query.text, everything))
    return all([words is None or words.casefold() in found.casefold() for words, found in asked])
