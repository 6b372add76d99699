"""The mail tools on an IMAP account: list, search, read, flag, wait, draft.

Rules:
- A host registers these, those of `email` or those of `email_mbox`: the names are the same.
- A search stays with the server that holds the mail, so it is a read and no egress.
- Flags are set that people set. None that deletes.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import Field

from pratique.errors import ToolError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.email_writing import Body, Letter, MessageId, Recipients, Subject, compose, sender_of
from pratique.tools.imap import drafts, waiting
from pratique.tools.imap.account import ImapAccount
from pratique.tools.imap.mailbox import ImapMailbox
from pratique.tools.imap.pool import Connections
from pratique.tools.mail_attachment import attachment_tool
from pratique.tools.mailbox import INBOX, Flag, FolderName, Mailbox, MessageRef
from pratique.tools.mailbox_tools import PAGE_IDS, PAGE_SOURCES, reading_tools, shown

LONGEST_WAIT = 120
TIMEOUT = 60.0

_Answer = TypeVar("_Answer")
_Flags = Annotated[tuple[Flag, ...], Field(max_length=3)]


def imap_tools(account: ImapAccount, *, attachments: bool = False) -> tuple[Tool, ...]:
    """Return `mail.list`, `search`, `read`, `flag`, `wait` and `draft` for an account.

    They keep connections open between calls, and close them when nobody has the tools any more.

    Args:
        account: where the mail is. The host gives the secret that it names.
        attachments: `mail.attachment` as well, which needs a jail.

    Raises:
        ToolDeclarationError: its CA file cannot be used.
    """
    connections = Connections(account)
    needs: dict[str, Any] = {"hosts": (account.address,), "secrets": (account.secret,)}

    async def use(ctx: ToolContext, work: Callable[[Mailbox], _Answer], /) -> _Answer:
        password = ctx.secret(account.secret)
        return await connections.use(password, lambda connection: work(ImapMailbox(connection)))

    return (
        *reading_tools(use, **needs, timeout=TIMEOUT),
        *((attachment_tool(use, **needs),) if attachments else ()),
        _flagging(account, connections, needs),
        _waiting(account, connections, needs),
        _drafting(account, connections, needs),
    )


def _flagging(account: ImapAccount, connections: Connections, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.flag",
        tier="write",
        confidentiality="internal",
        sources={"*": "meta", "id": "meta:message"},
        sinks={"id": "selector:message"},
        takes_idempotency_key=True,
        timeout=TIMEOUT,
        **needs,
    )
    async def flag_message(
        ctx: ToolContext,
        id: MessageRef,  # noqa: A002  # the argument's public name
        add: _Flags = (),
        remove: _Flags = (),
    ) -> dict[str, Any]:
        """Set or take away a message's flags: seen, answered, flagged."""
        if not (add or remove) or set(add) & set(remove):
            raise ToolError("name a flag to add or to remove, and none in both")
        flags = await connections.use(
            ctx.secret(account.secret),
            lambda connection: ImapMailbox(connection).set_flags(id, add, remove),
        )
        return {"id": id, "flags": list(flags)}

    return flag_message


def _waiting(account: ImapAccount, connections: Connections, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.wait",
        tier="read",
        confidentiality="confidential",
        sources=PAGE_SOURCES,
        ids=PAGE_IDS,
        sinks={"folder": "selector"},
        timeout=LONGEST_WAIT + TIMEOUT,
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    async def wait_for_messages(
        ctx: ToolContext,
        seconds: Annotated[int, Field(ge=1, le=LONGEST_WAIT)],
        folder: FolderName = INBOX,
        after: MessageRef | None = None,
    ) -> dict[str, Any]:
        """Wait for new messages in a mail folder, and list them; an empty list if none came.

        `after` is the newest message that you know: what came since then is new, and is given at once.
        """
        page = await connections.use(
            ctx.secret(account.secret),
            lambda connection: waiting.wait(connection, folder, seconds, after),
        )
        return shown(page)

    return wait_for_messages


def _drafting(account: ImapAccount, connections: Connections, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.draft",
        tier="write",
        confidentiality="internal",
        sources={"*": "meta", "id": "meta:message"},
        sinks={"to": "dest", "subject": "content", "body": "content", "in_reply_to": "selector"},
        takes_idempotency_key=True,
        timeout=TIMEOUT,
        **needs,
    )
    async def draft_message(
        ctx: ToolContext,
        to: Recipients,
        subject: Subject,
        body: Body,
        in_reply_to: MessageId | None = None,
    ) -> dict[str, Any]:
        """Keep a draft for a person to look over, unsent. `in_reply_to` is a message's `message_id`."""
        letter = Letter(sender_of(ctx.user), to, (), subject, body, in_reply_to)
        draft = compose(letter, session=ctx.session, call_id=ctx.call_id, now=datetime.now(UTC))
        identity = await connections.use(
            ctx.secret(account.secret),
            lambda connection: drafts.keep(connection, account.drafts, draft),
        )
        return {"status": "draft", "message_id": draft.message_id, "id": identity, "recipients": len(to)}

    return draft_message
