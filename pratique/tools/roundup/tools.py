"""The ticket tools on a Roundup tracker: list, read, comment, update, and the text of an attachment.

Rules:
- The tracker is reached by HTTPS, or on this machine.
- Of attachments, text is given; anything else is named only. Nothing is extracted from other formats here.
"""

from typing import Any

import httpx2

from pratique.errors import ToolDeclarationError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.email_parts import decode
from pratique.tools.roundup.items import Id
from pratique.tools.roundup.rest import Rest
from pratique.tools.roundup.store import RoundupTickets
from pratique.tools.tickets_store import TicketId
from pratique.tools.tickets_tools import ticket_tools

TIMEOUT = 60.0
MOST_TEXT = 256 * 1024

_HERE = frozenset({"localhost", "127.0.0.1"})


def roundup_tools(url: str, secret: str, *, user: str, private: bool = False) -> tuple[Tool, ...]:
    """Return `tickets.list`, `read`, `comment`, `update` and `attachment` on a tracker.

    Args:
        url: where the tracker is, as its own `[tracker] web` says it.
        secret: the name of the secret that is the account's password.
        user: the account's login name.
        private: whether the tracker's address may be one of the own network.

    Raises:
        ToolDeclarationError: the URL is none, or would send the password in plain text.
    """
    place = httpx2.URL(url if url.endswith("/") else f"{url}/")
    if place.scheme != "https" and not (place.scheme == "http" and place.host in _HERE):
        raise ToolDeclarationError(f"{url!r}: a tracker is reached by https, or by http on localhost")
    host = place.netloc.decode()
    needs: dict[str, Any] = {
        "hosts": (host,),
        "private": (host,) if private or place.host in _HERE else (),
        "secrets": (secret,),
        "timeout": TIMEOUT,
    }

    def store(ctx: ToolContext) -> RoundupTickets:
        return RoundupTickets(Rest(ctx.http, str(place), (user, ctx.secret(secret))))

    @tool(
        "tickets.attachment",
        tier="read",
        confidentiality="confidential",
        sources={"*": "untrusted", "id": "meta", "ticket": "meta:ticket", "bytes": "meta", "problem": "meta"},
        sinks={"ticket": "selector:ticket", "id": "selector"},
        result_limit=2 * 1024 * 1024,
        **needs,
    )
    def read_attachment(ctx: ToolContext, ticket: TicketId, id: Id) -> dict[str, Any]:  # noqa: A002  # public name
        """Read an attachment of a ticket, if it is text. `id` is one of the ticket's `attachments`."""
        known, content = store(ctx).attachment(ticket, id)
        text, problem = _text(known.type, content)
        return {
            "ticket": ticket,
            "id": known.id,
            "name": known.name,
            "type": known.type,
            "bytes": len(content),
            "text": text,
            "problem": problem,
        }

    return (*ticket_tools(store, reading=needs, writing=needs), read_attachment)


def _text(kind: str, content: bytes) -> tuple[str, str]:
    if not kind.lower().startswith("text/") or kind.lower().startswith("text/html"):
        return "", "not plain text: nothing of it is given"
    text, problem = decode(content, "")
    return text[:MOST_TEXT], problem if len(text) <= MOST_TEXT else f"cut at {MOST_TEXT:,} characters"
