"""How often somebody may try to log in: attempts that failed are counted, for a while.

Rules:
- Counted for the pair of name and address, for the address, and for the name, each with its own bound, so
  that a stranger cannot easily lock a person out, and cannot try many names or one name from many places.
- What names nobody (a login link: nothing that could be guessed) is counted for the address alone: whoever
  tries links locks out nobody elsewhere.
- A bound that is reached is answered before any password is looked at.
- It is in memory: a restart forgets it. What failed for somebody who exists is in the log.
"""

from collections import OrderedDict
from collections.abc import Callable

from pratique.errors import LoginThrottledError

WINDOW_S = 900
MOST = {"pair": 5, "address": 30, "name": 50}
MOST_COUNTED = 10_000
"""Pairs, addresses and names that are remembered; the oldest are forgotten first."""


class Throttle:
    """Counts failed attempts.

    Args:
        clock: gives the time, microseconds since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, ...], list[int]] = OrderedDict()

    def demand(self, name: str, address: str) -> None:
        """Raise when too many attempts failed lately.

        Raises:
            LoginThrottledError: with the seconds to wait.
        """
        waits = [self._wait(kind, key) for kind, key in _keys(name, address)]
        if max(waits) > 0:
            raise LoginThrottledError(max(waits))

    def failed(self, name: str, address: str) -> None:
        """Count an attempt. Call it before the attempt, and `passed` after it: many at once count too."""
        now = self._clock()
        for _, key in _keys(name, address):
            self._failed.setdefault(key, []).append(now)
            self._failed.move_to_end(key)
        while len(self._failed) > MOST_COUNTED:
            self._failed.popitem(last=False)

    def passed(self, name: str, address: str) -> None:
        """Forget what failed for this pair, and take back the attempt that was counted for the others."""
        for kind, key in _keys(name, address):
            if kind == "pair":
                self._failed.pop(key, None)
            elif self._failed.get(key):
                self._failed[key].pop()

    def _wait(self, kind: str, key: tuple[str, ...]) -> int:
        since = self._clock() - WINDOW_S * 1_000_000
        recent = [when for when in self._failed.get(key, ()) if when > since]
        if key in self._failed:
            self._failed[key] = recent
        if len(recent) < MOST[kind]:
            return 0
        return (recent[-MOST[kind]] - since) // 1_000_000 + 1


def _keys(name: str, address: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    of_address = ("address", ("address", address))
    if not name:
        return (of_address,)
    return ("pair", ("pair", name, address)), of_address, ("name", ("name", name))
