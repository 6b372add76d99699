"""Server-sent events (WHATWG HTML, 9.2): a listener's stream, from the last event they saw."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated

from fastapi import Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from pratique.server.api.shapes import LARGEST
from pratique.server.bounds import Slots
from pratique.server.door import door
from pratique.server.feed import Wanted
from pratique.server.problems import Problem

LOOK_US = 5_000_000
"""How long a stream may go on before it is looked at again whether its listener may still listen."""

PING_SECONDS = 15

LastEventId = Annotated[
    str | None, Header(description="The last event that was seen; what happened since comes first.")
]


async def stream(
    request: Request,
    caller: str,
    wanted: Wanted,
    still: Callable[[], Awaitable[bool]],
    last_event_id: str | None,
    session: str = "",
) -> EventSourceResponse:
    """Return a stream of the events that are wanted.

    Args:
        request: what asked for it.
        caller: whose stream it is, for the bound on streams.
        wanted: says which events are the listener's.
        still: whether the listener may still listen; asked every few seconds.
        last_event_id: where to begin; left out, now.
        session: the session that they are all of; empty for any.

    Raises:
        Problem: 422 the id is none of ours; 429 the caller has too many streams.
    """
    here = door(request)
    after = await here.feed.last() if last_event_id is None else _number(last_event_id)

    async def events() -> AsyncIterator[ServerSentEvent]:
        looked_us = here.ledger.clock()
        yield ServerSentEvent(comment="here", retry=1000)
        async with aclosing(here.feed.listen(after, wanted, session)) as heard:
            async for event in heard:
                if here.ledger.clock() - looked_us >= LOOK_US:
                    looked_us = here.ledger.clock()
                    if not await still():
                        return
                yield ServerSentEvent(event.model_dump_json(), event=event.type, id=str(event.seq))

    return _Held(here.streams, caller, events())


class _Held(EventSourceResponse):
    """A stream that has one of its caller's places from before its first byte until after its last.

    Args:
        places: where the place is.
        caller: whose.
        events: what is streamed.
    """

    def __init__(self, places: Slots, caller: str, events: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(events, ping=PING_SECONDS, headers={"X-Accel-Buffering": "no"})
        self._places, self._caller = places, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, or refuse: no place is looked for before it is taken, however many come at once."""
        with self._places.one(self._caller):
            await super().__call__(scope, receive, send)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) and int(text) <= LARGEST):
        raise Problem(422, "no such event id", "send back the id of the last event, or none")
    return int(text)
