"""What a transport gives to the SDK's client: where messages come from, and where they go.

The SDK's own names for these are private; its memory streams are such.
"""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self

from mcp.shared.message import SessionMessage

Incoming = SessionMessage | Exception
"""What comes in: a message, or what is wrong with something that is none."""


class Reading(Protocol):
    """Where a transport's messages come from."""

    async def receive(self) -> Incoming:
        """Wait for the next one."""
        ...

    async def aclose(self) -> None:
        """Take no more."""
        ...

    def __aiter__(self) -> "Reading": ...

    async def __anext__(self) -> Incoming: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class Writing(Protocol):
    """Where messages to a transport go."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send one, or wait until it can be."""
        ...

    async def aclose(self) -> None:
        """Send no more."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


Streams = tuple[Reading, Writing]
"""What the SDK's client takes for a transport; its own names for them are private."""

Transport = AbstractAsyncContextManager[Streams]
