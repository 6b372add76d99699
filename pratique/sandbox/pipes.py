"""Reads what a worker prints, no more than allowed; writes what it reads, no faster than it does.

Rules:
- Never waits: the event loop calls, one chunk is moved, the rest comes later.
- At the limit the reader keeps what it has, says so once, and reads nothing more.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

_CHUNK = 65536


class Drain:
    """Collects a pipe's bytes up to a limit.

    Args:
        fd: the reading end; it belongs to this object.
        limit: bytes that are kept.
        emit: told of each chunk that is kept.
        full: called once, when there is more than the limit.
    """

    def __init__(
        self, fd: int, limit: int, emit: Callable[[bytes], None] | None, full: Callable[[], None]
    ) -> None:
        self._fd = fd
        self._limit = limit
        self._emit = emit
        self._full = full
        self._data = bytearray()
        self.truncated = False
        self._done = asyncio.Event()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._take)

    @property
    def data(self) -> bytes:
        """What was kept."""
        return bytes(self._data)

    async def done(self) -> None:
        """Wait until the other side has ended, or the limit is reached."""
        await self._done.wait()

    def close(self) -> None:
        """Stop reading. A second close does nothing."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._done.set()

    def _take(self) -> None:
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        kept = chunk[: self._limit - len(self._data)]
        self._data += kept
        if kept and self._emit is not None:
            self._emit(kept)
        if len(kept) < len(chunk):
            self.truncated = True
            self._full()
        if not chunk or self.truncated:
            self.close()


class Feed:
    """Writes bytes into a pipe as fast as the other side reads, then closes it.

    Args:
        fd: the writing end; it belongs to this object.
        data: what to write.
    """

    def __init__(self, fd: int, data: bytes) -> None:
        self._fd = fd
        self._data = memoryview(data)
        os.set_blocking(fd, False)
        if data:
            asyncio.get_running_loop().add_writer(fd, self._give)
        else:
            self.close()

    def close(self) -> None:
        """Stop writing. A second close does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(ValueError):
                asyncio.get_running_loop().remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _give(self) -> None:
        try:
            self._data = self._data[os.write(self._fd, self._data[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self._data = self._data[:0]  # nobody reads: what is left has no reader
        if not self._data:
            self.close()
