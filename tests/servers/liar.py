"""A server that says what a test wrote down, whatever it is asked."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Answer = bytes | Callable[[bytes], bytes]
FLOOD = 64 * 1024

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


class Liar:
    """Answers by script, on a port of this machine, without encryption.

    Args:
        greeting: what it says first; nothing, if empty. If it is IMAP's, each command begins with a tag.
        answers: word of a command → what to answer; `{tag}` stands for the command's tag. A function gets the
            whole line. None ends the conversation. `*` answers every other command.
        forever: repeated without end after an answer in which `{forever}` stands.
        drip: repeated likewise, slowly.
    """

    def __init__(
        self, greeting: bytes, answers: dict[str, Answer | None], forever: bytes = b"", drip: bytes = b""
    ) -> None:
        self._greeting, self._answers, self._forever = greeting, answers, forever
        self._tagged = greeting.startswith(b"* ")
        self._drip, self._ended = drip, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.heard: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in (self._listener, *self._open):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                thread = threading.Thread(target=self._talk, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError), client.makefile("rb") as lines:
            client.sendall(self._greeting)
            for line in lines:
                self.heard.append(line)
                rest = line
                while literal := _LITERAL.search(rest):
                    client.sendall(b"+ go on\r\n")
                    rest = lines.read(int(literal[1])) + lines.readline()
                    self.heard.append(rest)
                if not self._answer(client, line):
                    break
            client.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, line: bytes) -> bool:
        """Answer a command, and return whether the conversation goes on."""
        tag, _, command = line.strip().partition(b" ")
        words = (command if self._tagged else line).decode("latin-1").upper().split() or [""]
        known = [key for key in (" ".join(words[:2]), words[0], "*") if key in self._answers]
        answer = self._answers[known[0]] if known else b"{tag} BAD what?\r\n"
        if answer is None:
            return False
        said = answer(line) if callable(answer) else answer
        client.sendall(said.replace(b"{tag}", tag).replace(b"{forever}", b""))
        while self._forever and b"{forever}" in said:
            client.sendall(self._forever * (FLOOD // len(self._forever) + 1))
        while self._drip and b"{forever}" in said and not self._ended.wait(0.1):
            client.sendall(self._drip)
        return True
