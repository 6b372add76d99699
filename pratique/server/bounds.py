"""What one caller may use at a time: requests in a minute, calls that wait for a person, event streams.

Rules:
- Counted for each credential, after it was checked; what comes without one is counted by address.
- A bound that is reached is answered at once with 429 and when to come back. Nothing is queued.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from pratique.server.problems import Problem

MOST_CALLERS = 10_000
"""Callers whose requests are counted; the ones that were quiet the longest are forgotten first."""


class Rate:
    """A token bucket for each caller: a minute's worth at once, refilled evenly.

    Args:
        per_minute: requests of one caller; 0 for no bound.
    """

    def __init__(self, per_minute: int) -> None:
        self._most, self._per_second = float(per_minute), per_minute / 60
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def demand(self, caller: str) -> None:
        """Take one request of the caller's.

        Raises:
            Problem: 429, there is none left.
        """
        if not self._most:
            return
        now = time.monotonic()
        left, when = self._left.pop(caller, (self._most, now))
        left = min(self._most, left + (now - when) * self._per_second)
        self._left[caller] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        if left < 1:
            wait = ceil((1 - left) / self._per_second)
            raise Problem(429, "too many requests", f"at most {self._most:.0f} in a minute", retry_after=wait)


class Slots:
    """Places that a caller's long requests take.

    Args:
        what: their name, in the plural.
        most: places of one caller.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what, self._most = what, most
        self.taken: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Hold one place.

        Raises:
            Problem: 429, all are taken.
        """
        self.demand(caller)
        with self.held(caller):
            yield

    def demand(self, caller: str) -> None:
        """Raise unless a place is free.

        Raises:
            Problem: 429, all are taken.
        """
        if self.taken[caller] >= self._most:
            detail = f"at most {self._most} of one caller; end one, or come back"
            raise Problem(429, f"too many {self._what}", detail, retry_after=1)

    @contextmanager
    def held(self, caller: str) -> Iterator[None]:
        """Hold a place that was free a moment ago."""
        self.taken[caller] += 1
        try:
            yield
        finally:
            self.taken[caller] -= 1
            if not self.taken[caller]:
                del self.taken[caller]
