"""Who waits for the log to move: told by the thread that writes, at once, without a look into the database.

Rules:
- It only wakes. What happened is read from the ledger by whoever woke up; a wake-up may be about nothing.
- It knows what this process commits. What another process commits is found by looking now and then, so no
  wait may be without an end.
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

HEAD = ""
"""What to wait for to hear of every record; otherwise it is a question's ticket."""


class Bell:
    """Rings in the event loop that made it.

    Look at the ledger after the bell is there and before it is waited for: then nothing is missed.
    """

    def __init__(self) -> None:
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter; from any thread."""
        with suppress(RuntimeError):  # the loop is gone, and its waiters with it
            self._loop.call_soon_threadsafe(self._event.set)

    async def rung(self, seconds: float) -> None:
        """Return when it rings, or after `seconds`, whichever is first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class Watch:
    """Knows who waits for what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Bell]] = {}

    @contextmanager
    def on(self, what: str) -> Iterator[Bell]:
        """Give a bell that rings when a record about `what` is committed here: a ticket, or `HEAD`."""
        bell = Bell()
        with self._lock:
            self._waiting.setdefault(what, set()).add(bell)
        try:
            yield bell
        finally:
            with self._lock:
                self._waiting[what].discard(bell)
                if not self._waiting[what]:
                    del self._waiting[what]

    def tell(self, drafts: Iterable[Mapping[str, Any]]) -> None:
        """Wake who waits for these records. Called by the thread that wrote them."""
        if not self._waiting:
            return
        about = {HEAD} | {draft.get("ticket", HEAD) for draft in drafts}
        with self._lock:
            bells = [bell for what in about for bell in self._waiting.get(what, ())]
        for bell in bells:
            bell.ring()
