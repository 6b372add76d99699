"""Random bytes for salts and nonces, drawn from the system in blocks: one system call for many values.

Rules:
- Every byte is handed out once. A child process after a fork starts with a block of its own, or two processes
  would encrypt under one nonce.
"""

import os
import threading

_BLOCK = 64 * 1024


class Entropy:
    """Hands out the system's random bytes; safe in threads and across forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block, self._at = b"", 0
        os.register_at_fork(after_in_child=self._forget)

    def take(self, size: int) -> bytes:
        """Return `size` fresh random bytes."""
        with self._lock:
            start = self._at
            if start + size > len(self._block):
                self._block, start = os.urandom(max(_BLOCK, size)), 0
            self._at = start + size
            return self._block[start : self._at]

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._block, self._at = b"", 0


ENTROPY = Entropy()
"""One for the process: the fork hook is registered once."""
