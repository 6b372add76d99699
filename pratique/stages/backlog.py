"""What a session was shown and nobody has asked about yet: taken into its memory when somebody does.

Rules:
- Only what can neither expose a session nor be withheld waits. The first result from outside, and the first
  call that is traced, find everything before it taken in, in the order in which it was shown.
- It is bounded by number and by size: what is over the bound is taken in at once, the oldest first. So the
  first traced call after many reads pays for no more than `MOST_WAITING` of them.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_WAITING = 1024
"""Results that wait, at most."""

LARGEST_WAITING = 1024 * 1024
"""Bytes of results that wait, at most."""


class Backlog(Generic[T]):
    """Things that wait to be taken in, oldest first.

    Args:
        take_in: takes one of them in.
    """

    def __init__(self, take_in: Callable[[T], None]) -> None:
        self._take_in = take_in
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0

    def add(self, thing: T, size: int) -> None:
        """Let a thing of so many bytes wait; take in the oldest ones if that is too much."""
        self._waiting.append((thing, size))
        self._bytes += size
        while len(self._waiting) > MOST_WAITING or self._bytes > LARGEST_WAITING:
            self._next()

    def settle(self) -> None:
        """Take everything in."""
        while self._waiting:
            self._next()

    def _next(self) -> None:
        thing, size = self._waiting.popleft()
        self._bytes -= size
        self._take_in(thing)
