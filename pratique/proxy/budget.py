"""What a server may say: counted when it comes in, before any of it is read.

Rules:
- Each request of ours permits one answer of any length within the bounds. What is not an answer draws on
  budgets, of messages and of bytes, that fill up again with time. Who empties one is cut off.
- More than a small message is taken only while an answer is awaited, and no more often than there are
  requests.
- Text becomes values only if it cannot become more of them than the bounds say: a message of commas and
  brackets is small on the wire, and takes seconds of everybody's time to build.
"""

from collections.abc import Callable

from pratique.proxy.bounds import Bounds

Clock = Callable[[], float]

SMALL = 64 * 1024
"""Bytes of a message that may come without a request of ours."""

LEAST = 256
"""Bytes that each message counts for at least: an empty one costs us something, too."""

_MARKS = b',[{"'
_OTHERS = bytes(set(range(256)) - set(_MARKS))


class Budget:
    """How much one connection may still say.

    Args:
        bounds: what it gets.
        clock: seconds, monotonic.
    """

    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        self._bounds, self._clock = bounds, clock
        self._messages, self._bytes = float(bounds.burst), float(bounds.burst_bytes)
        self._since = clock()
        self._awaited = self._large = 0

    def asked(self) -> None:
        """Note that a request was sent: its answer is paid for."""
        self._awaited += 1
        self._large = min(self._large + 1, self._awaited)
        self._bytes += SMALL + LEAST

    def answered(self) -> bool:
        """Note an answer; return whether it is one of those that are awaited, by their number."""
        if not self._awaited:
            return False
        self._awaited -= 1
        self._large = min(self._large, self._awaited)
        self._refill()
        return True

    def takes(self, size: int) -> bool:
        """Take a message of so many bytes from the budget, unread; false if it is too much."""
        if size > SMALL:
            self._large -= 1
            return self._large >= 0
        self._refill()
        self._bytes -= max(size, LEAST)
        return self._bytes >= 0

    def takes_unasked(self) -> bool:
        """Take one message that is no answer from the budget; false if there is none left."""
        self._refill()
        if self._messages < 1:
            return False
        self._messages -= 1
        return True

    def _refill(self) -> None:
        now = self._clock()
        gone, self._since = now - self._since, now
        most = self._bounds.burst_bytes + self._awaited * (SMALL + LEAST)
        self._bytes = min(float(most), self._bytes + gone * self._bounds.rate_bytes)
        self._messages = min(float(self._bounds.burst), self._messages + gone * self._bounds.rate)


def holds_at_most(text: bytes, most: int) -> bool:
    """Return whether JSON text holds at most so many values, without building one of them.

    There are no more values than commas and opening brackets outside of strings, and one. What is no JSON is
    counted as a parser sees it, up to the place where that gives up.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) < most:
        return True
    marks = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS)
    # Each value has at most one key: more strings than twice the values cannot be.
    if marks.count(b'"') > 4 * most:
        return False
    return sum(map(len, marks.split(b'"')[::2])) < most
