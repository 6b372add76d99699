"""What a worker consists of on the host's side: sockets, pipes, its process, its group, its folders.

Rules:
- Everything in it is closed exactly once, whoever fails first.
- A descriptor that is handed over is no longer this file's to close.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from typing import Protocol

from pratique.sandbox import cgroup


class Running(Protocol):
    """A started worker's process, wherever it runs."""

    def alive(self) -> bool:
        """Whether it still waits for its work."""
        ...

    def kill(self) -> None:
        """Send the end to everything in it; `gone` waits for it."""
        ...

    async def gone(self) -> None:
        """Wait until nothing of it lives."""
        ...

    async def oom(self) -> bool:
        """Whether the kernel ended something of it for memory, as far as this knows."""
        ...

    async def lost(self) -> str:
        """Why whoever ran it is out of reach, or nothing."""
        ...


class Parts:
    """What a worker consists of on our side. Everything in it is closed exactly once."""

    def __init__(self) -> None:
        self.process: Running
        self.control: socket.socket
        self.channel: socket.socket
        self.dial: socket.socket | None = None
        self.group: cgroup.Group | None = None
        self.fds: dict[str, int] = {}
        self.scratch: str | None = None
        self.namespaces: list[int] = []
        self.leaving: asyncio.Future[None] | None = None
        self._closing = contextlib.ExitStack()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A connected pair: ours, not blocking, and the worker's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)  # noqa: FBT003  # the signature is the library's
        self._closing.callback(ours.close)
        return ours, theirs

    def keep(self, sock: socket.socket) -> None:
        """Take a socket over, to close it in the end."""
        self._closing.callback(sock.close)

    def on_close(self, then: Callable[[], None]) -> None:
        """Have something done when everything is let go."""
        self._closing.callback(then)

    def take(self, name: str) -> int:
        """Hand a descriptor over to who will close it."""
        return self.fds.pop(name)

    def close(self) -> None:
        """Let go of everything that was not handed over."""
        while self.fds:
            os.close(self.fds.popitem()[1])
        self._closing.close()
        namespaces, self.namespaces = self.namespaces, []
        if namespaces:
            # Nobody waits for it: it is only the kernel taking the namespaces apart.
            self.leaving = asyncio.get_running_loop().run_in_executor(None, _close_all, namespaces)
        if self.group is not None:
            self.group.remove()
            self.group = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
