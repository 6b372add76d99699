"""The level that isolates nothing: our own trusted code, in our own process.

Rules:
- The name says it. A policy or tool that demands more never gets this.
- A time limit ends the waiting, not the work of a thread: a synchronous body that hangs keeps its thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pratique.model import Level
from pratique.sandbox.threads import in_thread


class InlineNoIsolation:
    """Runs a function in this process, with all of this process's rights."""

    level = Level.INLINE

    async def run(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], *, is_async: bool, seconds: float
    ) -> Any:
        """Return what the function returns.

        Args:
            function: the body of a tool.
            arguments: what to call it with.
            is_async: whether to await it; if not, it runs in a thread.
            seconds: how long it may take.

        Raises:
            TimeoutError: it took longer.
        """
        async with asyncio.timeout(seconds):
            if is_async:
                awaitable: Awaitable[Any] = function(*arguments)
                return await awaitable
            return await in_thread(_in_thread, function, arguments, abandon_on_cancel=True)


def _in_thread(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except GeneratorExit as problem:  # a future that hands it on would close the coroutine that waits for it
        raise RuntimeError("GeneratorExit") from problem
