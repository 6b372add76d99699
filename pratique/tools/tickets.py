"""The ticket tools: list, read, comment and update, on a store beneath the file root `tickets`.

Rules:
- A reporter or author is an identity; titles and texts are untrusted; states, ids and times are the system's.
- A ticket that cannot be read has a line in the list, which says why.
- A repeated call adds nothing.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field

from pratique.errors import ToolError
from pratique.tools.context import ToolContext
from pratique.tools.email_headers import iso
from pratique.tools.registry import tool
from pratique.tools.tickets_local import LocalTickets
from pratique.tools.tickets_store import (
    Assignee,
    Change,
    Comment,
    Priority,
    State,
    Ticket,
    TicketId,
    TicketStore,
)

MOST_COMMENTS = 200
MOST_TEXT = 256 * 1024

_SYSTEM = dict.fromkeys(("state", "priority", "created", "updated", "problem", "comment_count"), "meta")
_TICKET = {
    **_SYSTEM,
    "id": "meta:ticket",
    "reporter": "identity",
    "assignee": "internal",
    "title": "untrusted",
}
_SAID = {"messages[].author": "identity", "messages[].time": "meta", "messages[].body": "untrusted"}


@tool(
    "tickets.list",
    tier="read",
    confidentiality="confidential",
    sources={f"tickets[].{field}": label for field, label in _TICKET.items()}
    | {"total": "meta", "next": "meta"},
    ids={"tickets[]": "ticket:{id}"},
    paths={"tickets": "read"},
)
def list_tickets(
    ctx: ToolContext,
    state: State | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    after: TicketId | None = None,
) -> dict[str, Any]:
    """List tickets by id, of one state or all. Give `next` as `after` to list those that follow."""
    store: TicketStore = LocalTickets(ctx.files("tickets"))
    ids = store.ids()
    lines = (_line(store, identity) for identity in ids if after is None or identity > after)
    wanted = (line for line in lines if state is None or line["state"] in {state, None})
    shown = [line for line, _ in zip(wanted, range(limit), strict=False)]
    more = len(shown) == limit and shown[-1]["id"] != ids[-1]
    return {"total": len(ids), "tickets": shown, "next": shown[-1]["id"] if more else None}


@tool(
    "tickets.read",
    tier="read",
    confidentiality="confidential",
    sources={
        **_TICKET,
        **_SAID,
        "omitted": "meta",
    },
    ids={"": "ticket:{id}"},
    sinks={"id": "selector:ticket"},
    paths={"tickets": "read"},
    result_limit=2 * 1024 * 1024,
)
def read_ticket(ctx: ToolContext, id: TicketId) -> dict[str, Any]:  # noqa: A002  # the argument's public name
    """Read one ticket: its state, and all messages in it, oldest first."""
    ticket = LocalTickets(ctx.files("tickets")).ticket(id)
    first = Comment(author=ticket.reporter, time=ticket.created, body=ticket.body)
    messages = _within_bounds([first, *ticket.comments])
    return {
        **_facts(ticket),
        "messages": [{"author": one.author, "time": iso(one.time), "body": one.body} for one in messages],
        "omitted": len(ticket.comments) + 1 - len(messages),
    }


@tool(
    "tickets.comment",
    tier="write",
    confidentiality="internal",
    sources={"*": "meta", "id": "meta:ticket"},
    sinks={"id": "selector:ticket", "body": "content"},
    paths={"tickets": "write"},
    takes_idempotency_key=True,
)
def comment_on_ticket(
    ctx: ToolContext,
    id: TicketId,  # noqa: A002  # the argument's public name
    body: Annotated[str, Field(min_length=1, max_length=100_000)],
) -> dict[str, Any]:
    """Add a comment to a ticket, in the name of the user."""
    comment = Comment(author=ctx.user, time=datetime.now(UTC), body=body)
    ticket = LocalTickets(ctx.files("tickets")).comment(id, _key(ctx, "comment", id, body), comment)
    return {"id": ticket.id, "comment_count": len(ticket.comments), "updated": iso(ticket.updated)}


@tool(
    "tickets.update",
    tier="write",
    confidentiality="internal",
    sources={"*": "meta", "id": "meta:ticket", "assignee": "internal"},
    sinks={"id": "selector:ticket", "assignee": "dest"},
    paths={"tickets": "write"},
    takes_idempotency_key=True,
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
    ticket = LocalTickets(ctx.files("tickets")).change(id, key, change)
    return {name: _facts(ticket)[name] for name in ("id", "state", "priority", "assignee", "updated")}


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
        "comment_count": len(ticket.comments),
    }


def _line(store: TicketStore, identity: str) -> dict[str, Any]:
    """Return a ticket's line in the list; `problem` says why it has no more than an id."""
    try:
        return {**_facts(store.ticket(identity)), "problem": ""}
    except ToolError as problem:
        return {"id": identity, "state": None, "problem": str(problem)}


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
