"""At the start: can this machine give every level that a registered tool declares?

Rules:
- Only what is declared is tried, each level once, by a real launch that is taken away again.
- A level that cannot be had stops the start, with the tool that needs it and the reason.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox.ladder import Ladder
from pratique.tools.registry import Tool


def demand_levels(tools: Iterable[Tool], ladder: Callable[[], Ladder]) -> None:
    """Try every level that the tools declare, beside whatever event loop the caller may be in.

    Args:
        tools: the registered tools.
        ladder: makes the ladder that is tried, and closed.

    Raises:
        SandboxUnavailableError: a level cannot be had; names the first tool that declares it.
    """
    wanted: dict[Level, str] = {}
    for tool in tools:
        if tool.capability.runs_in is not Level.INLINE:
            wanted.setdefault(tool.capability.runs_in, tool.capability.name)
    if wanted:
        # The caller may hold a running loop, and a ladder belongs to one: so a thread, and a loop of its own.
        with ThreadPoolExecutor(1, thread_name_prefix="pratique-levels") as thread:
            thread.submit(lambda: asyncio.run(_try(wanted, ladder()))).result()


async def _try(wanted: dict[Level, str], ladder: Ladder) -> None:
    try:
        for level, name in wanted.items():
            try:
                await ladder.open([level])
            except SandboxUnavailableError as refused:
                raise SandboxUnavailableError(
                    f"{name} runs in a {level}, which this machine does not give: {refused}. "
                    "`pratique doctor` says more; a weaker level is never taken instead"
                ) from None
    finally:
        await ladder.aclose()
