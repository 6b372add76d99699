"""Threads for the bodies of tools: apart from those that the ledger and people use, and shared out by agent.

Rules:
- Whoever votes, logs in, revokes or asks waits for no tool: they have threads of their own (anyio's default).
- However many calls one agent makes at once, half of the tools' threads are left to the others.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST = 40
"""Bodies of tools that are in threads at a time."""

SHARE = MOST // 2
"""Those of them that may be one agent's."""

agent: ContextVar[str] = ContextVar("pratique_agent", default="")
"""For whom a tool's body runs."""


class _Threads:
    """The places of one event loop."""

    def __init__(self) -> None:
        self.all = anyio.CapacityLimiter(MOST)
        self._shares: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    def share(self, whose: str) -> anyio.CapacityLimiter:
        found = self._shares.get(whose)
        if found is None:
            found = self._shares[whose] = anyio.CapacityLimiter(SHARE)
        return found


_threads: RunVar[_Threads] = RunVar("pratique_tool_threads")


async def in_thread(work: Callable[[*Ts], T], *args: *Ts, abandon_on_cancel: bool = False) -> T:
    """Return what a tool's `work` returns, from a thread; waits for a place of its agent's, then for any.

    Args:
        work: what to run.
        args: what to call it with.
        abandon_on_cancel: whether a cancellation leaves it behind; if not, it is waited for.
    """
    try:
        threads = _threads.get()
    except LookupError:
        threads = _Threads()
        _threads.set(threads)
    async with threads.share(agent.get()):
        return await anyio.to_thread.run_sync(
            work, *args, abandon_on_cancel=abandon_on_cancel, limiter=threads.all
        )
