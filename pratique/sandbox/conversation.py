"""Listens to the guest on its channel: calls of the host's tools, the value, the problem.

Rules:
- The guest is believed nothing: a name that was not granted is refused here, whoever asks.
- One call at a time, each answered before the next is heard; the answer is JSON again.
- A guest that breaks the protocol has ended its run.
"""

import asyncio
import json
import socket
from typing import Any

from pratique.errors import CanonicalError, PratiqueError
from pratique.sandbox import messages
from pratique.sandbox.backend import Grants, HostCall, Limits
from pratique.sandbox.guest import frames
from pratique.sandbox.values import bounded_json

_MARGIN = 4096  # a problem or a call's envelope is allowed beyond the limit of a result


class Conversation:
    """One run's channel.

    Attributes:
        value: the JSON bytes that the guest gave as its result, not yet checked.
        problem: what the guest said went wrong: kind, text, line.
        broken: how it broke the protocol, or empty.
        too_large: whether it said more than the limit of a result.
    """

    def __init__(self, sock: socket.socket, limits: Limits, grants: Grants, call: HostCall | None) -> None:
        self._sock = sock
        self._limits = limits
        self._grants = grants
        self._call = call
        self._calling = False
        self.value: bytes | None = None
        self.problem: dict[str, Any] | None = None
        self.broken = ""
        self.too_large = False

    async def listen(self) -> None:
        """Answer until the guest has ended or broken a rule."""
        try:
            while await self._hear():
                pass
        except frames.FrameError as error:
            self.broken = str(error)

    @property
    def calling(self) -> bool:
        """Whether a call of a tool is under way."""
        return self._calling

    async def _hear(self) -> bool:
        """Take one message; say whether to go on."""
        if not await _more(self._sock):
            return False
        head = frames.HEAD.unpack(await messages.exactly(self._sock, frames.HEAD.size))
        size, kind = head
        if size > self._limits.result + _MARGIN:
            self.too_large = True
            return False
        payload = await messages.exactly(self._sock, size)
        if kind == frames.CALL:
            await messages.send(self._sock, frames.REPLY, json.dumps(await self._answer(payload)).encode())
        elif kind == frames.VALUE:
            self.value = payload
        elif kind == frames.PROBLEM:
            self.problem = messages.small_object(payload)
        else:
            raise frames.FrameError(f"message {kind!r} is not a guest's to send")
        return True

    async def _answer(self, payload: bytes) -> dict[str, Any]:
        asked = messages.small_object(payload)
        name, arguments = asked.get("name"), asked.get("args")
        if not isinstance(name, str) or self._call is None or name not in self._grants.calls:
            granted = ", ".join(sorted(self._grants.calls)) or "none"
            return {"error": f"this code may not call {name!r}; it may call: {granted}"}
        self._calling = True
        try:
            checked = bounded_json(json.dumps(arguments).encode(), size=self._limits.result, depth=64)
            value = await self._call(name, json.loads(checked))
            return {"value": json.loads(self._bounded(value))}
        except CanonicalError as error:
            return {"error": str(error)}
        except PratiqueError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001  # a tool's bug is the tool's failure, and not the guest's to read
            return {"error": f"{name} failed ({type(error).__name__})"}
        finally:
            self._calling = False

    def _bounded(self, value: Any) -> bytes:
        return bounded_json(json.dumps(value).encode(), size=self._limits.result, depth=self._limits.depth)


async def _more(sock: socket.socket) -> bool:
    """Whether there is another message; False when the guest has ended."""
    await messages.ready(sock)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


async def finish(task: "asyncio.Task[None]", conversation: Conversation, patience: float) -> None:
    """Take the last messages of a guest that is dead; a call that nobody waits for is cancelled."""
    if conversation.calling:
        task.cancel()
    await asyncio.wait([task], timeout=patience)
    task.cancel()
    await asyncio.wait([task])
