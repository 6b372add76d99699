"""Asks other programs' servers now and then what they list, so that no agent is the first to find a change.

Rules:
- It is `pratique mcp check`, by the server itself: what changed is in quarantine, and on record.
- The first look is at the start. A server that cannot be had is told in the log; the others are asked anyway.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog

from pratique.errors import PratiqueError
from pratique.tools.registry import Elsewhere

log = structlog.get_logger("pratique")

HOUR = 3600.0


def checking(elsewhere: Elsewhere, seconds: float) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Return what looks at every server again and again, for as long as its block takes.

    Args:
        elsewhere: the servers.
        seconds: from the end of one round to the next.
    """

    async def again() -> None:
        while True:
            for name in sorted(elsewhere.names):
                try:
                    await elsewhere.check(name)
                except PratiqueError as problem:
                    log.warning("a server could not be checked", server=name, problem=str(problem))
                except Exception as problem:  # noqa: BLE001  # one bad server must not end the rounds
                    log.error("a check broke", server=name, problem=type(problem).__name__)  # noqa: TRY400
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        task = asyncio.create_task(again(), name="pratique-checking")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return running
