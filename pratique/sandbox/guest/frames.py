"""Messages between host and sandbox: a length, one letter that says what it is, and the bytes.

Rules:
- Four bytes big-endian length of the payload, one byte kind, the payload. JSON where it has structure.
- A reader states the most that it will take, before it takes anything.
"""

import json
import socket
import struct
from typing import Any

HEAD = struct.Struct(">Ic")
JOB, FILE, READY, EXIT = b"J", b"F", b"Y", b"X"  # host and supervisor, on the control socket
VALUE, PROBLEM, CALL, REPLY = b"V", b"P", b"C", b"R"  # host and guest, on the channel


class FrameError(Exception):
    """The other side broke the rules of this file, or is gone."""


def pack(kind: bytes, payload: bytes) -> bytes:
    """Return one message as bytes."""
    return HEAD.pack(len(payload), kind) + payload


def begins(data: bytes, kind: bytes) -> bool:
    """Whether bytes begin with a message of that kind, for all that can be seen of it."""
    return data[HEAD.size - 1 : HEAD.size] == kind


def send(sock: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one message and wait until the socket has taken it."""
    sock.sendall(pack(kind, payload))


def send_json(sock: socket.socket, kind: bytes, value: Any) -> None:
    """Send a JSON value as one message."""
    send(sock, kind, json.dumps(value).encode())


def receive(sock: socket.socket, limit: int) -> tuple[bytes, bytes]:
    """Wait for one message and return its kind and payload.

    Raises:
        FrameError: the other side is gone, or says more than `limit` bytes.
    """
    size, kind = HEAD.unpack(_exactly(sock, HEAD.size))
    if size > limit:
        raise FrameError(f"a message of {size} bytes, {limit} allowed")
    return kind, _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = sock.recv(min(size - len(data), 1 << 20))
        if not part:
            raise FrameError("the other side is gone")
        data += part
    return bytes(data)
