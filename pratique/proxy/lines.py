"""MCP on a child's standard streams: one JSON message a line, of bounded length.

Rules:
- A line that is longer than the bound, that nobody asked for, or that holds too many values ends the
  connection: it is neither read, nor kept, nor skipped.
- What a child does not read waits in a short queue, and not for long: who does not read is cut off.
- Standard error goes to the log, so many lines and so much of each; the rest is read and dropped, so that the
  child does not block on it.

Source: MCP specification, basic/transports (stdio). The messages' types are the SDK's.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import BinaryIO, Protocol

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from pratique.appearance import visible
from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import Budget, holds_at_most
from pratique.proxy.intake import FLOOD, Fate
from pratique.proxy.streams import Incoming, Streams

log = structlog.get_logger("pratique")

_QUEUE = 256
_LONGEST_LOG_LINE = 500
_CHUNK = 65536
_WORDLESS = (
    " before it said anything: the program gave up, or could not be started (a jail reads the system's "
    "folders and what `paths` names: the program and its interpreter must be there)"
)


class Child(Protocol):
    """A started process, and our ends of its standard streams; they belong to whoever talks to it."""

    stdin: int
    stdout: int
    stderr: int

    async def end(self, patience: float) -> str:
        """End it with everything that it started: its input has ended, and it gets so many seconds for that.

        Nothing of it lives when this returns. Says how it ended, in words.
        """
        ...


@asynccontextmanager
async def talking(
    child: Child, name: str, bounds: Bounds, fate: Fate, budget: Budget
) -> AsyncIterator[Streams]:
    """Talk to a child until the block ends; then end it, whatever happens meanwhile."""
    async with AsyncExitStack() as at_end:
        at_end.push_async_callback(_end, child, name, bounds)
        files = (
            os.fdopen(child.stdin, "wb", 0),
            os.fdopen(child.stdout, "rb", 0),
            os.fdopen(child.stderr, "rb", 0),
        )
        for file in files:
            at_end.callback(file.close)
        errors = await at_end.enter_async_context(_reader(files[2], _CHUNK))
        logging = asyncio.create_task(_log(errors, name, bounds), name=f"mcp {name} err")
        at_end.push_async_callback(_ended, logging)
        output = await at_end.enter_async_context(_reader(files[1], bounds.message_bytes))
        writer = await at_end.enter_async_context(_writer(files[0]))
        came, incoming = anyio.create_memory_object_stream[Incoming](0)
        outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](_QUEUE)
        reading = asyncio.create_task(_read(output, came, bounds, fate, budget), name=f"mcp {name} out")
        at_end.push_async_callback(_ended, reading)
        writing = asyncio.create_task(_write(writer, leaving, bounds, fate), name=f"mcp {name} in")
        at_end.push_async_callback(_ended, writing)
        with came, incoming, outgoing, leaving:
            yield incoming, outgoing


async def _end(child: Child, name: str, bounds: Bounds) -> None:
    with anyio.CancelScope(shield=True):
        how = await child.end(bounds.ending)
    log.info("an MCP server has ended", server=name, how=how)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _read(
    output: asyncio.StreamReader,
    came: MemoryObjectSendStream[Incoming],
    bounds: Bounds,
    fate: Fate,
    budget: Budget,
) -> None:
    """Read lines and hand them on as messages; what is none, as the exception that says so."""
    with came, contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            try:
                line = await output.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                _ended_by(fate, "its standard output ended")
                return
            except asyncio.LimitOverrunError:
                fate.end(f"it wrote a message of more than {bounds.message_bytes:,} bytes")
                return
            fate.heard = True
            if not budget.takes(len(line)):
                fate.end(FLOOD)
                return
            if not holds_at_most(line, bounds.values):
                fate.end(f"it wrote a message of more than {bounds.values:,} values")
                return
            if line.strip():
                await came.send(_message(line))


def _message(line: bytes) -> Incoming:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as problem:
        return problem


async def _write(
    writer: asyncio.StreamWriter,
    leaving: MemoryObjectReceiveStream[SessionMessage],
    bounds: Bounds,
    fate: Fate,
) -> None:
    """Write messages as lines."""
    try:
        with leaving:
            async for item in leaving:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                writer.write(text.encode("utf-8", "replace") + b"\n")
                async with asyncio.timeout(bounds.reading):
                    await writer.drain()
    except TimeoutError:
        fate.end(f"it did not read its standard input for {bounds.reading:g} s")
    except OSError:
        _ended_by(fate, "it closed its standard input")


def _ended_by(fate: Fate, what: str) -> None:
    """Say that it left, whichever of its streams shows that first, and that it never came."""
    fate.end(what if fate.heard else what + _WORDLESS)


async def _log(errors: asyncio.StreamReader, name: str, bounds: Bounds) -> None:
    """Log what it writes to standard error, within bounds, and read the rest."""
    left, tail = bounds.log_lines, b""
    while chunk := await errors.read(_CHUNK):
        *lines, tail = (tail + chunk).split(b"\n")
        tail = tail[:_LONGEST_LOG_LINE]
        for line in lines[: max(0, left)]:
            log.info("an MCP server says", server=name, line=_shown(line))
        if 0 <= left < len(lines):
            log.warning("an MCP server says more than is logged", server=name, lines=bounds.log_lines)
        left = left - len(lines) if left >= len(lines) else -1
    if tail and left > 0:
        log.info("an MCP server says", server=name, line=_shown(tail))


def _shown(line: bytes) -> str:
    return visible(line[:_LONGEST_LOG_LINE].decode("utf-8", "replace"))


@asynccontextmanager
async def _reader(file: BinaryIO, limit: int) -> AsyncIterator[asyncio.StreamReader]:
    """Read a pipe within the event loop."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader, loop=loop), file)
    try:
        yield reader
    finally:
        transport.close()


@asynccontextmanager
async def _writer(file: BinaryIO) -> AsyncIterator[asyncio.StreamWriter]:
    """Write into a pipe within the event loop."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, file)
    try:
        yield asyncio.StreamWriter(transport, protocol, None, loop)
    finally:
        if not transport.is_closing():  # it is, when the child closed its end
            transport.abort()  # what it did not read by now, it will not
