"""Composes a message for the outbox or the drafts. Pure: arguments and a moment in, bytes out.

Rules:
- The result is an RFC 5322 message in ASCII with CRLF, whatever text is in it.
- No argument reaches a header unless it has the form that belongs there, so none can add a header.
- The file's name and the Message-ID follow from the call and what it says: a repeated call is the same file,
  another text is another file.
- It says that a program wrote it (`Auto-Submitted`, RFC 3834), so that no vacation notice answers.
"""

import hashlib
import re
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Annotated, NamedTuple

import orjson
from pydantic import Field

from pratique.errors import ToolError
from pratique.tools.context import ToolContext
from pratique.tools.saying import quoted

# RFC 5321's dot-atoms and host names. No quoted local parts, no address literals, no non-ASCII: mail programs
# disagree about those, and where they disagree an approver cannot know where the mail goes.
ADDRESS = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)

MailAddress = Annotated[str, Field(pattern=ADDRESS, max_length=254)]
Recipients = Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=100)]
CopyRecipients = Annotated[tuple[MailAddress, ...], Field(max_length=100)]
Subject = Annotated[str, Field(pattern="^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$", max_length=998)]
Body = Annotated[str, Field(max_length=1_000_000)]
MessageId = Annotated[str, Field(pattern=r"^<[!-;=?-~]{1,250}>$")]


class Letter(NamedTuple):
    """What a message says, and to whom. Its fields have the forms of the types above."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    in_reply_to: str | None


class Composed(NamedTuple):
    """A message ready to be written."""

    file: str
    message_id: str
    content: bytes


def sender_of(user: str) -> str:
    """Return the address in whose name a user writes.

    Raises:
        ToolError: the user's name is no mail address.
    """
    if not re.fullmatch(ADDRESS, user):
        raise ToolError(f"the user {user!r} has no mail address, so nothing can be written in their name")
    return user


def preview_letter(  # the arguments of `mail.send`
    ctx: ToolContext,
    to: Recipients,
    subject: Subject,
    body: Body,
    cc: CopyRecipients = (),
    in_reply_to: MessageId | None = None,
) -> str:
    """Say which message leaves: from whom, to which domains, how long."""
    sender = sender_of(ctx.user)
    people = tuple(dict.fromkeys((*to, *cc)))
    domains = sorted({address.rpartition("@")[2].lower() for address in people})
    outside = [domain for domain in domains if domain != sender.rpartition("@")[2].lower()]
    lines = [
        f"One message from {sender} to {len(people)} recipient{'s' if len(people) > 1 else ''}"
        f" at {', '.join(domains)}"
        + (f", outside of the sender's domain: {', '.join(outside)}" if outside else ""),
        f"Subject: {quoted(subject)}",
        f"Body: {len(body.splitlines())} lines, {len(body)} characters"
        + (f", as an answer to {in_reply_to}" if in_reply_to else ", in a new thread"),
    ]
    return "\n".join(lines)


def compose(letter: Letter, *, session: str, call_id: str, now: datetime) -> Composed:
    """Return the message and the name of its file.

    Args:
        letter: what it says.
        session: the run in which it is written; a call id is unique only within one.
        call_id: the call that writes it.
        now: its date, with a zone.
    """
    key = hashlib.sha256(orjson.dumps([session, call_id, list(letter)])).hexdigest()[:40]
    message_id = f"<{key}@{letter.sender.rpartition('@')[2]}>"
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id
    message["Date"] = now
    message["From"] = letter.sender
    message["To"] = ", ".join(letter.to)
    if letter.cc:
        message["Cc"] = ", ".join(letter.cc)
    message["Subject"] = letter.subject
    if letter.in_reply_to:
        message["In-Reply-To"] = letter.in_reply_to
        message["References"] = letter.in_reply_to
    message["Auto-Submitted"] = "auto-replied" if letter.in_reply_to else "auto-generated"
    message.set_content(letter.body, charset="utf-8")
    return Composed(f"{key}.eml", message_id, message.as_bytes())
