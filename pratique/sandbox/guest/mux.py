"""Carries the five streams of a worker over the one that a container engine gives.

Rules:
- Process 1 of the container: when the supervisor is gone and its pipes are empty, this ends, and with it the
  container.
- A piece is four bytes of length, one byte that names the stream, and the bytes; an empty piece is its end.
- Nothing is judged: it is copied. Whether the end is near is looked at, so that all of it goes out at once.
"""

import json
import os
import selectors
import socket
import struct
import sys

from . import frames, supervisor

HEAD = struct.Struct(">IB")
CONTROL, CHANNEL, STDIN, STDOUT, STDERR = range(5)
_CHUNK = 65536
_IN, _OUT = 0, 1
_MOMENT = 0.002


def main(text: str, program: str) -> None:
    """Start the supervisor and carry its streams. `program` is the seccomp filter in hexadecimal digits."""
    pairs = [socket.socketpair() for _ in range(5)]
    if os.fork() == 0:
        for ours, _ in pairs:
            ours.close()
        _supervise(text, program, [theirs for _, theirs in pairs])
    for _, theirs in pairs:
        theirs.close()
    _Mux([ours for ours, _ in pairs]).run()
    os._exit(0)


def _supervise(text: str, program: str, streams: "list[socket.socket]") -> None:
    """Become the supervisor, its standard streams and its sockets in place."""
    fds = [stream.detach() for stream in streams]
    for target, stream in enumerate((STDIN, STDOUT, STDERR)):
        os.dup2(fds[stream], target)
        os.close(fds[stream])
    filter_file = os.memfd_create("seccomp")
    os.write(filter_file, bytes.fromhex(program))
    os.lseek(filter_file, 0, os.SEEK_SET)
    setting = {**json.loads(text), "control": fds[CONTROL], "channel": fds[CHANNEL], "seccomp": filter_file}
    try:
        supervisor.main(json.dumps(setting))
    finally:
        os._exit(1)


class _Mux:
    """The copying loop."""

    def __init__(self, streams: "list[socket.socket]") -> None:
        self._streams = streams
        self._pending = [bytearray() for _ in streams]
        self._ended = [False] * len(streams)  # the host will send no more for this stream
        self._open = {CONTROL, CHANNEL, STDOUT, STDERR}  # the worker may still send on these
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._ending = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(_IN, selectors.EVENT_READ, -1)
        for number in self._open:
            streams[number].setblocking(False)  # noqa: FBT003  # the signature is the library's
            self._selector.register(streams[number], selectors.EVENT_READ, number)
        streams[STDIN].setblocking(False)  # noqa: FBT003  # as above

    def run(self) -> None:
        """Copy until the supervisor has ended and everything that it wrote is out."""
        patience = None
        while self._open:
            ready = self._selector.select(patience)
            for key, events in ready:
                if key.data < 0:
                    self._from_host()
                else:
                    if events & selectors.EVENT_WRITE:
                        self._to_worker(key.data)
                    if events & selectors.EVENT_READ and key.data in self._open:
                        self._to_host(key.data)
            patience = _MOMENT if ready and self._ending else None
            if patience is None:
                self._flush()
        self._flush()

    def _flush(self) -> None:
        """Write out what was collected: each write takes the engine a while to pass on."""
        view = memoryview(bytes(self._outgoing))
        self._outgoing.clear()
        while view:
            view = view[os.write(_OUT, view) :]

    def _from_host(self) -> None:
        data = os.read(_IN, _CHUNK)
        if not data:
            os._exit(0)  # the host is gone: so is the run
        self._incoming += data
        while len(self._incoming) >= HEAD.size:
            size, number = HEAD.unpack_from(self._incoming)
            if len(self._incoming) < HEAD.size + size:
                return
            self._ending = False
            self._pending[number] += self._incoming[HEAD.size : HEAD.size + size]
            self._ended[number] = self._ended[number] or size == 0
            del self._incoming[: HEAD.size + size]
            self._to_worker(number)

    def _to_worker(self, number: int) -> None:
        stream, pending = self._streams[number], self._pending[number]
        try:
            while pending:
                del pending[: stream.send(pending)]
        except BlockingIOError:
            pass
        except OSError:
            pending.clear()  # nobody reads it any more
        if not pending and self._ended[number]:
            self._close_writing(stream)
        self._watch(number)

    def _to_host(self, number: int) -> None:
        try:
            data = self._streams[number].recv(_CHUNK)
        except OSError:
            data = b""
        self._outgoing += HEAD.pack(len(data), number) + data
        # The supervisor speaks twice: it is ready, and it has ended; a value is the guest's last word.
        # What follows then comes at once.
        self._ending = self._ending or number == CONTROL or frames.begins(data, frames.VALUE)
        if not data:
            self._open.discard(number)
            self._watch(number)

    def _watch(self, number: int) -> None:
        """Ask the selector for what this stream can still do."""
        stream = self._streams[number]
        events = (selectors.EVENT_READ if number in self._open else 0) | (
            selectors.EVENT_WRITE if self._pending[number] else 0
        )
        known = stream in self._selector.get_map()
        if events and known:
            self._selector.modify(stream, events, number)
        elif events:
            self._selector.register(stream, events, number)
        elif known:
            self._selector.unregister(stream)

    def _close_writing(self, stream: socket.socket) -> None:
        try:
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
