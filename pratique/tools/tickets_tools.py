"""The ticket tools, whatever store they stand on: list, read, comment and update.

Rules:
- A reporter or author is an identity; titles, texts and file names are untrusted; states, ids and times are
  the system's.
- A ticket that cannot be read has a line in the list, which says why.
- A repeated call adds nothing.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field

from pratique.errors import ToolError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.email_headers import iso
from pratique.tools.saying import changes, quoted
from pratique.tools.tickets_store import (
    Assignee,
    Change,
    Comment,
    Priority,
    State,
    Ticket,
    TicketId,
    TicketStore,
    Unreadable,
)

MOST_COMMENTS = 200
MOST_TEXT = 256 * 1024

Open = Callable[[ToolContext], TicketStore]
Needs = dict[str, Any]

_SYSTEM = dict.fromkeys(("state", "priority", "created", "updated", "problem", "comment_count"), "meta")
_TICKET = {
    **_SYSTEM,
    "id": "meta:ticket",
    "reporter": "identity",
    "assignee": "internal",
    "title": "untrusted",
}
_SAID = {"messages[].author": "identity", "messages[].time": "meta", "messages[].body": "untrusted"}
_ATTACHED = {
    "attachments[].id": "meta",
    "attachments[].name": "untrusted",
    "attachments[].type": "untrusted",
}


def ticket_tools(opened: Open, *, reading: Needs, writing: Needs) -> tuple[Tool, Tool, Tool, Tool]:
    """Return `tickets.list`, `tickets.read`, `tickets.comment` and `tickets.update` on one kind of store.

    Args:
        opened: gives a call its store.
        reading: what the tools that read declare: `paths`, `hosts`, `secrets`, `timeout`.
        writing: what those that write declare.
    """
    return (
        _listing(opened, reading),
        _reading(opened, reading),
        _commenting(opened, writing),
        _updating(opened, writing),
    )


def _listing(opened: Open, needs: Needs) -> Tool:
    @tool(
        "tickets.list",
        tier="read",
        confidentiality="confidential",
        sources={f"tickets[].{field}": label for field, label in _TICKET.items()}
        | {"total": "meta", "next": "meta"},
        ids={"tickets[]": "ticket:{id}"},
        **needs,
    )
    def list_tickets(
        ctx: ToolContext,
        state: State | None = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        after: TicketId | None = None,
    ) -> dict[str, Any]:
        """List tickets by id, of one state or all. Give `next` as `after` to list those that follow."""
        found = opened(ctx).page(state, limit, after)
        return {"total": found.total, "tickets": [_line(one) for one in found.tickets], "next": found.next}

    return list_tickets


def _reading(opened: Open, needs: Needs) -> Tool:
    @tool(
        "tickets.read",
        tier="read",
        confidentiality="confidential",
        sources={**_TICKET, **_SAID, **_ATTACHED, "omitted": "meta"},
        ids={"": "ticket:{id}"},
        sinks={"id": "selector:ticket"},
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    def read_ticket(ctx: ToolContext, id: TicketId) -> dict[str, Any]:  # noqa: A002  # the argument's public name
        """Read one ticket: its state, all messages in it, oldest first, and the names of its attachments."""
        ticket = opened(ctx).ticket(id)
        first = Comment(author=ticket.reporter, time=ticket.created, body=ticket.body)
        messages = _within_bounds([first, *ticket.comments])
        return {
            **_facts(ticket),
            "messages": [{"author": one.author, "time": iso(one.time), "body": one.body} for one in messages],
            "omitted": ticket.omitted + len(ticket.comments) + 1 - len(messages),
            "attachments": [one.model_dump() for one in ticket.attachments],
        }

    return read_ticket


def _commenting(opened: Open, needs: Needs) -> Tool:
    @tool(
        "tickets.comment",
        tier="write",
        confidentiality="internal",
        sources={"*": "meta", "id": "meta:ticket"},
        sinks={"id": "selector:ticket", "body": "content"},
        takes_idempotency_key=True,
        **needs,
    )
    def comment_on_ticket(
        ctx: ToolContext,
        id: TicketId,  # noqa: A002  # the argument's public name
        body: Annotated[str, Field(min_length=1, max_length=100_000)],
    ) -> dict[str, Any]:
        """Add a comment to a ticket, in the name of the user."""
        comment = Comment(author=ctx.user, time=datetime.now(UTC), body=body)
        ticket = opened(ctx).comment(id, _key(ctx, "comment", id, body), comment)
        return {name: _facts(ticket)[name] for name in ("id", "comment_count", "updated")}

    return comment_on_ticket


def _updating(opened: Open, needs: Needs) -> Tool:
    def preview(
        ctx: ToolContext,
        id: TicketId,  # noqa: A002  # the argument's public name
        state: State | None = None,
        priority: Priority | None = None,
        assignee: Assignee | None = None,
    ) -> str:
        ticket = opened(ctx).ticket(id)
        wanted = {"state": state, "priority": priority, "assignee": assignee}
        fields = {name: (getattr(ticket, name), after) for name, after in wanted.items() if after is not None}
        return changes(f"Ticket {quoted(id)}, {quoted(ticket.title)}:", fields)

    @tool(
        "tickets.update",
        tier="write",
        confidentiality="internal",
        sources={"*": "meta", "id": "meta:ticket", "assignee": "internal"},
        sinks={"id": "selector:ticket", "assignee": "dest"},
        takes_idempotency_key=True,
        preview=preview,
        **needs,
    )
    def update_ticket(
        ctx: ToolContext,
        id: TicketId,  # noqa: A002  # the argument's public name
        state: State | None = None,
        priority: Priority | None = None,
        assignee: Assignee | None = None,
    ) -> dict[str, Any]:
        """Set a ticket's state, priority or assignee. What is left out stays as it is."""
        if state is None and priority is None and assignee is None:
            raise ToolError("nothing to update: give a state, a priority or an assignee")
        change = Change(
            author=ctx.user, time=datetime.now(UTC), state=state, priority=priority, assignee=assignee
        )
        key = _key(ctx, "change", id, state, priority, assignee)
        ticket = opened(ctx).change(id, key, change)
        return {name: _facts(ticket)[name] for name in ("id", "state", "priority", "assignee", "updated")}

    return update_ticket


def _facts(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "title": ticket.title,
        "reporter": ticket.reporter,
        "state": ticket.state,
        "priority": ticket.priority,
        "assignee": ticket.assignee,
        "created": iso(ticket.created),
        "updated": iso(ticket.updated),
        "comment_count": len(ticket.comments) + ticket.omitted,
    }


def _line(ticket: Ticket | Unreadable) -> dict[str, Any]:
    """Return a ticket's line in the list; `problem` says why it has no more than an id."""
    if isinstance(ticket, Unreadable):
        return {"id": ticket.id, "state": None, "problem": ticket.problem}
    return {**_facts(ticket), "problem": ""}


def _within_bounds(messages: list[Comment]) -> list[Comment]:
    """Return the first message and as many of the newest others as fit."""
    kept = [messages[0].model_copy(update={"body": messages[0].body[:MOST_TEXT]})]
    room = MOST_TEXT - len(kept[0].body)
    newest: list[Comment] = []
    for message in reversed(messages[1:]):
        room -= len(message.body)
        if room < 0 or len(newest) >= MOST_COMMENTS:
            break
        newest.append(message)
    return kept + newest[::-1]


def _key(ctx: ToolContext, *said: str | None) -> str:
    """Name an event after its call and what it says: a repeat, and only a repeat, has the same name."""
    return hashlib.sha256(orjson.dumps([ctx.session, ctx.call_id, *said])).hexdigest()[:40]
