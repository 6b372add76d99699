"""The mail tools on files: list, search and read a Maildir, keep a draft, put a message into the outbox.

Rules:
- The host names three file roots: `maildir` (read), `drafts` and `outbox` (write). What is in the outbox
  leaves the house: whatever sends mail there picks it up.
- The sender of what is written is the user for whom the agent acts.
- A repeated call writes the same file again, which is no second message.
"""

from datetime import UTC, datetime
from typing import Any

from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from pratique.tools.email_writing import (
    Body,
    Composed,
    CopyRecipients,
    Letter,
    MessageId,
    Recipients,
    Subject,
    compose,
    preview_letter,
    sender_of,
)
from pratique.tools.files_refusal import in_words
from pratique.tools.mailbox_tools import from_files, reading_tools
from pratique.tools.maildir import Maildir

list_messages, search_messages, read_message = reading_tools(
    from_files("maildir", Maildir), paths={"maildir": "read"}
)


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
    letter = Letter(sender_of(ctx.user), to, (), subject, body, in_reply_to)
    return _write(ctx, "drafts", letter, "draft")


@tool(
    "mail.send",
    tier="irreversible",
    confidentiality="internal",
    sources={"*": "meta"},
    sinks={"to": "dest", "cc": "dest", "subject": "content", "body": "content", "in_reply_to": "selector"},
    paths={"outbox": "write"},
    takes_idempotency_key=True,
    preview=preview_letter,
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
    return _write(ctx, "outbox", Letter(sender_of(ctx.user), to, cc, subject, body, in_reply_to), "queued")


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
