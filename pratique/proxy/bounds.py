"""How much a server may say, and how long it may take. Whoever passes a bound is cut off."""

from pydantic import Field

from pratique.model import Value


class Bounds(Value):
    """What one server gets.

    Attributes:
        message_bytes: of one message: a line, a body of JSON, an event,
        values: and the JSON values in it, which are built in the event loop.
        tools: how many a server may list,
        definitions_bytes: and the bytes of JSON that all of them have together.
        pages: how many answers a list may come in.
        start: seconds until a server has been started and has agreed on a version,
        listing: until it has listed its tools,
        reading: for which it may leave what we write unread, when the pipe is full,
        ending: and that it gets to end by itself when its input has ended, before it is killed.
        burst: messages that nobody asked for (notifications, requests, answers to nothing) at a time,
        rate: and in each second after that,
        burst_bytes: and their bytes at a time,
        rate_bytes: and in each second after that.
        junk: lines on standard output that are not messages.
        log_lines: lines of its standard error that are logged, for each start.
    """

    message_bytes: int = Field(default=(2 << 20) + (64 << 10), ge=1024)
    values: int = Field(default=100_000, ge=1)
    tools: int = Field(default=512, ge=1)
    definitions_bytes: int = Field(default=1 << 20, ge=1024)
    pages: int = Field(default=64, ge=1)
    start: float = Field(default=30.0, gt=0, le=600)
    listing: float = Field(default=30.0, gt=0, le=600)
    reading: float = Field(default=60.0, gt=0, le=3600)
    ending: float = Field(default=2.0, ge=0, le=60)
    burst: int = Field(default=1000, ge=1)
    rate: float = Field(default=100.0, gt=0)
    burst_bytes: int = Field(default=1 << 20, ge=1)
    rate_bytes: int = Field(default=128 << 10, ge=1)
    junk: int = Field(default=64, ge=0)
    log_lines: int = Field(default=500, ge=0)
