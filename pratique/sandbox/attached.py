"""One container, seen through its attached stream, as the same worker that a jail is.

Rules:
- The five streams of a worker are unpacked here onto local socket pairs, so that whoever speaks to a worker
  need not know where it runs (`guest.mux` is the other end).
- The supervisor kills all that the guest started before it reports, and ends. When its streams have ended,
  only process 1 of the container is left, which is ours. Its removal takes the engine long; nobody waits.
- To end one that does not end by itself, it is removed: killing a client of it would leave it running.
"""

import asyncio
import contextlib
import socket
import struct

from pratique.errors import SandboxUnavailableError
from pratique.sandbox import engine
from pratique.sandbox.guest import mux

_ENGINE_HEAD = struct.Struct(">BxxxI")  # the engine's own framing: which standard stream, how many bytes
_STDOUT, _STDERR = 1, 2
_CHUNK = 65536
_WORDS = 4096
_MOMENT = 0.02
_PIECE_MOST = 1 << 20


class Attached:
    """A started container. It is a `parts.Running`.

    Args:
        stream: the attached socket, which belongs to this object.
        container: the engine's id of it.
    """

    def __init__(self, stream: socket.socket, container: str, host: engine.Engine) -> None:
        self._stream = stream
        self.container = container
        self._engine = host
        self._far: list[socket.socket] = []
        self._ended = asyncio.Event()
        self._killed = False
        self._streams = {mux.CONTROL, mux.CHANNEL, mux.STDOUT, mux.STDERR}  # what has not ended yet
        self._sending = asyncio.Lock()
        self._removal: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.words = bytearray()
        stream.setblocking(False)  # noqa: FBT003  # the signature is the library's

    def open(self) -> list[socket.socket]:
        """Return the local ends, in the order of `guest.mux`, and start to carry."""
        near = []
        for _ in range(5):
            ours, far = socket.socketpair()
            ours.setblocking(False)  # noqa: FBT003  # as above
            far.setblocking(False)  # noqa: FBT003  # as above
            near.append(ours)
            self._far.append(far)
        self._tasks = [asyncio.create_task(self._from_container())]
        for number in (mux.CONTROL, mux.CHANNEL, mux.STDIN):
            self._tasks.append(asyncio.create_task(self._to_container(number)))
        return near

    def alive(self) -> bool:
        """Whether the container runs, as far as its stream tells."""
        return not self._ended.is_set() and not self._killed

    def kill(self) -> None:
        """Have it removed, with everything in it, unless it ends by itself in this moment."""
        if not self._killed:
            self._killed = True
            asyncio.get_running_loop().call_later(_MOMENT, self._start_removal)

    async def gone(self) -> None:
        """Wait until nothing of the run lives: its streams have ended, or the engine has removed it."""
        await self._ended.wait()

    def _start_removal(self) -> None:
        if self._removal is None and not self._ended.is_set():
            self._removal = asyncio.create_task(self._remove())

    async def removed(self) -> None:
        """Wait until the engine has removed it, and let go of everything."""
        if self._removal is None:
            self._removal = asyncio.create_task(self._remove())
        await asyncio.wait([self._removal])
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._stream.close()
        for far in self._far:
            far.close()

    async def oom(self) -> bool:
        """Whether the kernel ended something of it for memory."""
        with contextlib.suppress(SandboxUnavailableError):
            about = await self._engine.call(lambda client: client.api.inspect_container(self.container))
            return bool(about["State"].get("OOMKilled"))
        return False

    async def lost(self) -> str:
        """Why the engine is out of reach, or nothing."""
        try:
            await self._engine.call(lambda client: client.ping())
        except SandboxUnavailableError as error:
            return f"the run was lost: {error}"
        return ""

    async def _remove(self) -> None:
        # An engine that is gone cannot be asked; its containers are reaped by label at the next start.
        with contextlib.suppress(SandboxUnavailableError):
            await self._engine.call(lambda client: engine.remove(client, self.container))
        self._ended.set()

    async def _from_container(self) -> None:
        """Unpack what comes out: the engine's framing first, then ours."""
        pending = bytearray()
        try:
            while True:
                kind, size = _ENGINE_HEAD.unpack(await self._exactly(_ENGINE_HEAD.size))
                data = await self._exactly(size)
                if kind == _STDOUT:
                    pending += data
                    await self._hand_out(pending)
                elif kind == _STDERR:
                    self.words += data[: _WORDS - len(self.words)]
        except (OSError, EOFError):
            pass
        finally:
            self._ended.set()
            for far in self._far:
                with contextlib.suppress(OSError):
                    far.shutdown(socket.SHUT_RDWR)

    async def _hand_out(self, pending: bytearray) -> None:
        loop = asyncio.get_running_loop()
        while len(pending) >= mux.HEAD.size:
            size, number = mux.HEAD.unpack_from(pending)
            if size > _PIECE_MOST or number >= len(self._far):
                raise EOFError  # not our mux any more: whatever it is, it is not listened to
            if len(pending) < mux.HEAD.size + size:
                return
            piece = bytes(pending[mux.HEAD.size : mux.HEAD.size + size])
            del pending[: mux.HEAD.size + size]
            with contextlib.suppress(OSError):  # nobody listens to this stream any more
                if piece:
                    await loop.sock_sendall(self._far[number], piece)
                else:
                    self._far[number].shutdown(socket.SHUT_WR)
            if not piece:
                self._streams.discard(number)
                if not self._streams:
                    self._ended.set()

    async def _to_container(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._far[number], _CHUNK):
                await self._send(number, data)
            await self._send(number, b"")

    async def _send(self, number: int, data: bytes) -> None:
        async with self._sending:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(self._stream, mux.HEAD.pack(len(data), number) + data)

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            part = await loop.sock_recv(self._stream, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)
