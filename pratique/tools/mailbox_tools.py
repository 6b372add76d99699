"""The tools that read a mailbox, whatever kind it is: `mail.list`, `mail.search`, `mail.read`.

Rules:
- All that a sender wrote is foreign: addresses are identities, everything else is untrusted, file names and
  display names included. Only ids, sizes, the time of arrival, flags and `problems` are the system's.
- What a kind of mailbox needs (a file root, a host, a secret) is declared by who makes the tools.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Field

from pratique.errors import ToolError
from pratique.sandbox.threads import in_thread
from pratique.tools import email_reading
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.mailbox import INBOX, Entry, FolderName, Mailbox, MessageRef, Page
from pratique.tools.mailbox_search import Day, Query, Words

_Answer = TypeVar("_Answer")

_SYSTEM = dict.fromkeys(("date", "unread", "flags", "bytes", "has_attachments", "problems"), "meta")
_PEOPLE = dict.fromkeys(("from", "reply_to", "to", "cc"), "identity")
READ_SOURCES = {**_SYSTEM, **_PEOPLE, "id": "meta:message", "attachments[].bytes": "meta"}
PAGE_SOURCES = {
    **{f"messages[].{name}": label for name, label in _SYSTEM.items()},
    "messages[].id": "meta:message",
    "messages[].from": "identity",
    "folder": "meta",
    "total": "meta",
    "next": "meta",
}
PAGE_IDS = {"messages[]": "email:{id}"}


class Use(Protocol):
    """Opens the mailbox of a call and does something with it, away from the event loop."""

    async def __call__(self, ctx: ToolContext, work: Callable[[Mailbox], _Answer], /) -> _Answer:
        """Return what `work` returns."""


def from_files(root: str, kind: Callable[[Any], Mailbox]) -> Use:
    """Return how to use a mailbox beneath a file root."""

    async def use(ctx: ToolContext, work: Callable[[Mailbox], _Answer], /) -> _Answer:
        return await in_thread(lambda: work(kind(ctx.files(root))), abandon_on_cancel=True)

    return use


def reading_tools(
    use: Use,
    *,
    paths: Mapping[str, Literal["read", "write"]] | None = None,
    hosts: Iterable[str] = (),
    secrets: Iterable[str] = (),
    timeout: float = 30.0,
) -> tuple[Tool, Tool, Tool]:
    """Return `mail.list`, `mail.search` and `mail.read` on one kind of mailbox.

    Args:
        use: how to open it.
        paths: the file roots that it needs.
        hosts: the servers that it needs.
        secrets: the names of the secrets that it needs.
        timeout: seconds that a call may take.
    """
    needs: Any = {"paths": paths, "hosts": tuple(hosts), "secrets": tuple(secrets), "timeout": timeout}
    return _listing(use, needs), _searching(use, needs), _reading(use, needs)


def shown(page: Page) -> dict[str, Any]:
    """Return a page as the tools give it."""
    lines = [_line(entry) for entry in page.entries]
    return {"folder": page.folder, "total": page.total, "messages": lines, "next": page.next}


def _listing(use: Use, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.list",
        tier="read",
        confidentiality="confidential",
        sources=PAGE_SOURCES,
        ids=PAGE_IDS,
        sinks={"folder": "selector"},
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    async def list_messages(
        ctx: ToolContext,
        folder: FolderName = INBOX,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        before: MessageRef | None = None,
    ) -> dict[str, Any]:
        """List a mail folder's messages, newest first. Give `next` as `before` to list those that follow."""
        return await use(ctx, lambda mailbox: shown(mailbox.list(folder, limit, before)))

    return list_messages


def _searching(use: Use, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.search",
        tier="read",
        confidentiality="confidential",
        sources=PAGE_SOURCES,
        ids=PAGE_IDS,
        sinks={"folder": "selector"},
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    async def search_messages(  # noqa: PLR0913, PLR0917  # one per condition
        ctx: ToolContext,
        folder: FolderName = INBOX,
        text: Words | None = None,
        sender: Words | None = None,
        subject: Words | None = None,
        since: Day | None = None,
        until: Day | None = None,
        unread: bool | None = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        before: MessageRef | None = None,
    ) -> dict[str, Any]:
        """Find messages of a mail folder, newest first; all conditions given must hold.

        `since` is a day of arrival (YYYY-MM-DD, UTC), `until` the first day that no longer counts. When
        `next` is not null, older messages were not looked at yet: give it as `before`.
        """
        query = Query(text, sender, subject, _day("since", since), _day("until", until), unread)
        if query == Query():
            raise ToolError("nothing to search for: give a condition, or list the folder")
        return await use(ctx, lambda mailbox: shown(mailbox.search(folder, query, limit, before)))

    return search_messages


def _reading(use: Use, needs: dict[str, Any]) -> Tool:
    @tool(
        "mail.read",
        tier="read",
        confidentiality="confidential",
        sources=READ_SOURCES,
        ids={"": "email:{id}"},
        sinks={"id": "selector:message"},
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    async def read_message(ctx: ToolContext, id: MessageRef) -> dict[str, Any]:  # noqa: A002  # the argument's public name
        """Read one message: its sender, recipients, subject, text and the names of its attachments."""
        return await use(ctx, lambda mailbox: _whole(mailbox, id))

    return read_message


def _whole(mailbox: Mailbox, identity: str) -> dict[str, Any]:
    entry, raw = mailbox.read(identity)
    message = email_reading.full(raw)
    if entry.size > len(raw):
        message["problems"].insert(0, f"only the first {len(raw):,} of {entry.size:,} bytes were read")
    return {**_facts(entry), **message}


def _line(entry: Entry) -> dict[str, Any]:
    """Return a message's line in the list; one that cannot be read has a line too, which says why."""
    line = {**_facts(entry), **email_reading.summary(entry.head)}
    return {**line, "problems": [f"cannot be read: {entry.problem}"]} if entry.problem else line


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "date": entry.date,
        "unread": "seen" not in entry.flags,
        "flags": list(entry.flags),
        "bytes": entry.size,
    }


def _day(name: str, given: str | None) -> date | None:
    try:
        return date.fromisoformat(given) if given is not None else None
    except ValueError:
        raise ToolError(f"{name}: {given} is no day") from None
