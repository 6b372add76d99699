"""The mail tools: list and read a Maildir, keep a draft, put a message into the outbox.

Rules:
- The host names three file roots: `maildir` (read), `drafts` and `outbox` (write). What is in the outbox
  leaves the house: whatever sends mail there picks it up.
- All that a sender wrote is foreign: addresses are identities, everything else is untrusted. Only ids, sizes,
  the delivery time and `problems` are the system's.
- The sender of what is written is the user for whom the agent acts.
- A repeated call writes the same file again, which is no second message.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from pratique.errors import ToolError
from pratique.tools import email_reading
from pratique.tools.context import ToolContext
from pratique.tools.email_writing import (
    ADDRESS,
    Body,
    Composed,
    CopyRecipients,
    Letter,
    MessageId,
    Recipients,
    Subject,
    compose,
)
from pratique.tools.files_refusal import in_words
from pratique.tools.maildir import INBOX, Maildir
from pratique.tools.maildir import Letter as Stored
from pratique.tools.registry import tool

HEAD = 64 * 1024
LARGEST_MESSAGE = 32 * 1024 * 1024

_SYSTEM = dict.fromkeys(("id", "date", "unread", "bytes", "has_attachments", "problems"), "meta")
_PEOPLE = dict.fromkeys(("from", "reply_to", "to", "cc"), "identity")
_LISTED = {f"messages[].{name}": label for name, label in {**_SYSTEM, "from": "identity"}.items()}


@tool(
    "mail.list",
    tier="read",
    confidentiality="confidential",
    sources={**_LISTED, "messages[].id": "meta:message", "folder": "meta", "total": "meta", "next": "meta"},
    ids={"messages[]": "email:{id}"},
    sinks={"folder": "selector"},
    paths={"maildir": "read"},
)
def list_messages(
    ctx: ToolContext,
    folder: Annotated[str, Field(max_length=200)] = INBOX,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    before: Annotated[str, Field(max_length=1000)] | None = None,
) -> dict[str, Any]:
    """List the messages of a mail folder, newest first. Give `next` as `before` to list those that follow."""
    files = ctx.files("maildir")
    with in_words("the mailbox"):
        letters = Maildir(files).letters(folder)
    rest = _after(letters, before)
    shown = rest[:limit]
    return {
        "folder": INBOX if folder.lower() == INBOX else folder,
        "total": len(letters),
        "messages": [_line(ctx, letter) for letter in shown],
        "next": shown[-1].id if len(rest) > limit else None,
    }


@tool(
    "mail.read",
    tier="read",
    confidentiality="confidential",
    sources={**_SYSTEM, **_PEOPLE, "id": "meta:message", "attachments[].bytes": "meta"},
    ids={"": "email:{id}"},
    sinks={"id": "selector:message"},
    paths={"maildir": "read"},
    result_limit=2 * 1024 * 1024,
)
def read_message(ctx: ToolContext, id: Annotated[str, Field(max_length=1000)]) -> dict[str, Any]:  # noqa: A002  # the argument's public name
    """Read one message: its sender, recipients, subject, text and the names of its attachments."""
    with in_words("the mailbox"):
        letter = Maildir(ctx.files("maildir")).find(id)
    if letter.problem:
        raise ToolError(f"the message {id!r} cannot be read: {letter.problem}")
    with in_words(f"the message {id!r}"):
        raw = ctx.files("maildir").head(letter.path, LARGEST_MESSAGE)
    message = email_reading.full(raw)
    if letter.size > len(raw):
        message["problems"].insert(0, f"only the first {len(raw):,} of {letter.size:,} bytes were read")
    return {"id": letter.id, "date": letter.date, "unread": letter.unread, "bytes": letter.size, **message}


@tool(
    "mail.draft",
    tier="write",
    confidentiality="internal",
    sources={"*": "meta"},
    sinks={"to": "dest", "subject": "content", "body": "content", "in_reply_to": "selector"},
    paths={"drafts": "write"},
    takes_idempotency_key=True,
)
def draft_message(
    ctx: ToolContext,
    to: Recipients,
    subject: Subject,
    body: Body,
    in_reply_to: MessageId | None = None,
) -> dict[str, Any]:
    """Keep a draft for a person to look over. Nothing is sent. `in_reply_to` is a message's `message_id`."""
    letter = Letter(_sender(ctx), to, (), subject, body, in_reply_to)
    return _write(ctx, "drafts", letter, "draft")


@tool(
    "mail.send",
    tier="irreversible",
    confidentiality="internal",
    sources={"*": "meta"},
    sinks={"to": "dest", "cc": "dest", "subject": "content", "body": "content", "in_reply_to": "selector"},
    paths={"outbox": "write"},
    takes_idempotency_key=True,
)
def send_message(
    ctx: ToolContext,
    to: Recipients,
    subject: Subject,
    body: Body,
    cc: CopyRecipients = (),
    in_reply_to: MessageId | None = None,
) -> dict[str, Any]:
    """Send a message. `in_reply_to` is the `message_id` of the message that it answers."""
    return _write(ctx, "outbox", Letter(_sender(ctx), to, cc, subject, body, in_reply_to), "queued")


def _after(letters: list[Stored], before: str | None) -> list[Stored]:
    """Return the letters that come after the one named `before`."""
    if before is None:
        return letters
    for place, letter in enumerate(letters):
        if letter.id == before:
            return letters[place + 1 :]
    raise ToolError(f"before: no message of this folder has the id {before!r}")


def _line(ctx: ToolContext, letter: Stored) -> dict[str, Any]:
    """Return a message's line in the list; one that cannot be read has a line too, which says why."""
    line = {"id": letter.id, "date": letter.date, "unread": letter.unread, "bytes": letter.size}
    problem = letter.problem
    if not problem:
        try:
            return {**line, **email_reading.summary(ctx.files("maildir").head(letter.path, HEAD))}
        except OSError as error:
            problem = error.strerror or "cannot be opened"
    return {**line, **email_reading.summary(b""), "problems": [f"cannot be read: {problem}"]}


def _sender(ctx: ToolContext) -> str:
    if not re.fullmatch(ADDRESS, ctx.user):
        raise ToolError(f"the user {ctx.user!r} has no mail address, so nothing can be written in their name")
    return ctx.user


def _write(ctx: ToolContext, root: str, letter: Letter, status: str) -> dict[str, Any]:
    """Write the message, unless this very call has written it already."""
    composed = compose(letter, session=ctx.session, call_id=ctx.call_id, now=datetime.now(UTC))
    with in_words(f"the {root}"):
        _write_once(ctx, root, composed)
    recipients = len(letter.to) + len(letter.cc)
    return {
        "status": status,
        "message_id": composed.message_id,
        "file": composed.file,
        "recipients": recipients,
    }


def _write_once(ctx: ToolContext, root: str, composed: Composed) -> None:
    try:
        ctx.files(root).write(composed.file, composed.content, replace=False)
    except FileExistsError:
        return
