"""The host's side of the messages that `guest.frames` defines, on non-blocking sockets.

Rules:
- Whoever writes may be hostile: every length is checked before a byte is taken.
"""

import array
import asyncio
import json
import os
import socket
from typing import Any

from pratique.sandbox.guest import frames

_SMALL = 1 << 16
_REPORT = 1 << 21  # names of files may be in it
_FDS = 3


async def send(sock: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one message.

    Raises:
        FrameError: the other side is gone.
    """
    try:
        await asyncio.get_running_loop().sock_sendall(sock, frames.pack(kind, payload))
    except OSError as error:
        raise frames.FrameError("the other side is gone") from error


async def receive(sock: socket.socket, limit: int) -> tuple[bytes, bytes]:
    """Wait for one message and return its kind and payload.

    Raises:
        FrameError: the other side is gone, or says more than `limit` bytes.
    """
    size, kind = frames.HEAD.unpack(await exactly(sock, frames.HEAD.size))
    if size > limit:
        raise frames.FrameError(f"a message of {size} bytes, {limit} allowed")
    return kind, await exactly(sock, size)


async def receive_json(sock: socket.socket, kind: bytes) -> dict[str, Any]:
    """Wait for one small message of a kind and return the object that it holds.

    Raises:
        FrameError: something else came, or nothing.
    """
    came, payload = await receive(sock, _REPORT if kind == frames.EXIT else _SMALL)
    return small_object(payload) if came == kind else _refuse(kind, came)


async def receive_ready(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for the supervisor's first message: what it is, and descriptors, its work folder's first.

    Raises:
        FrameError: something else came, or nothing.
    """
    await ready(sock)
    data, ancillary, flags, _ = sock.recvmsg(_SMALL, socket.CMSG_SPACE(4 * _FDS), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not fds or flags & socket.MSG_CTRUNC or data[4:5] != frames.READY:
        for fd in fds:
            os.close(fd)
        raise frames.FrameError("the worker did not say that it is ready")
    return small_object(data[frames.HEAD.size :]), list(fds)


def ended(sock: socket.socket) -> bool:
    """Whether the other side has gone, looked at without waiting. What it has sent is left in place."""
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def small_object(payload: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        FrameError: it is none.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise frames.FrameError(f"a message is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise frames.FrameError("a message is not a JSON object")
    return value


def _refuse(wanted: bytes, came: bytes) -> dict[str, Any]:
    raise frames.FrameError(f"message {came!r} where {wanted!r} was due")


async def exactly(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        FrameError: the other side is gone before.
    """
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < size:
        try:
            part = await loop.sock_recv(sock, min(size - len(data), 1 << 20))
        except OSError as error:
            raise frames.FrameError("the other side is gone") from error
        if not part:
            raise frames.FrameError("the other side is gone")
        data += part
    return bytes(data)


async def ready(sock: socket.socket) -> None:
    """Wait until the socket can be read."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
