"""A gate before a server: everything passes through it, until the test decides otherwise.

What passes may be encrypted; the gate counts bytes and looks at none of them.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 4096


class Gate:
    """Passes connections on to a port of this machine.

    Args:
        behind: the port.

    Attributes:
        after: bytes of one connection towards the client after which `then` happens.
        after_sent: as `after`, towards the server; the server gets what was sent, but answers nobody.
        then: what happens: `hang` passes nothing more on, `close` ends the connection; anything callable is
            called, and the bytes go on.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.after: int | None = None
        self.after_sent: int | None = None
        self.then: str | Callable[[], None] = "close"
        self.connections = 0
        self._alive = 0
        self._ended = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for end in (self._listener, *self._open):
            end.close()

    def cut(self) -> None:
        """End every connection."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.append(client)
                server = self._reach()
                if server is None:
                    client.close()
                    continue
                self._open.append(server)
                for way in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=self._pump, args=way, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _reach(self) -> socket.socket | None:
        server = socket.socket()
        # What the system holds in between arrives even when the server is gone: let it be little.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        try:
            server.connect(("127.0.0.1", self._behind))
        except OSError:
            server.close()
            return None
        return server

    @property
    def alive(self) -> int:
        """How many connections are open."""
        return self._alive

    def _pump(self, source: socket.socket, target: socket.socket, to_client: bool) -> None:
        passed = 0
        self._alive += to_client
        with suppress(OSError):
            while data := source.recv(CHUNK):
                passed += len(data)
                limit = self.after if to_client else self.after_sent
                if limit is not None and passed > limit and not self._pass_on():
                    break
                target.sendall(data)
        self._alive -= to_client
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self) -> bool:
        """Do what is to happen, and return whether the bytes go on."""
        if callable(self.then):
            then, self.after = self.then, None
            then()
            return True
        if self.then == "hang":
            self._ended.wait()
        return False
