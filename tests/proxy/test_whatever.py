"""Whatever bytes come from a server, its list is a list or an error of ours, soon, and nothing else."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.errors import ProxiedServerError
from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import Budget
from pratique.proxy.connection import ServerConnection
from pratique.proxy.intake import Fate
from pratique.proxy.lines import talking
from pratique.proxy.streams import Streams

BOUNDS = Bounds(start=3, listing=3, ending=0, message_bytes=20_000, burst=50, rate=1, junk=20)
SECONDS = 5.0

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
IDS = st.integers(-1, 5) | st.sampled_from(["1", "2", None, 1.5, True])
METHODS = st.sampled_from(
    [
        *("ping", "sampling/createMessage", "elicitation/create", "roots/list", "notifications/message"),
        *("notifications/cancelled", "notifications/progress", "notifications/tools/list_changed", "x"),
        *("notifications/subscriptions/acknowledged", "initialize", "tools/list"),
    ]
)
ABOUT = {"capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
ANSWERS = st.sampled_from(
    [
        {**ABOUT, "protocolVersion": "2025-11-25"},
        {**ABOUT, "protocolVersion": "1999-01-01"},
        {**ABOUT, "supportedVersions": ["2026-07-28"], "ttlMs": -1, "cacheScope": "x"},
        {"tools": [{"name": "a", "inputSchema": {"type": "object"}}]},
        {"tools": [], "nextCursor": "more"},
        {"resultType": "input_required"},
    ]
)


def _message(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    made = st.fixed_dictionaries({"jsonrpc": st.just("2.0") | st.just("1.0"), **fields})
    return made.map(lambda message: json.dumps(message).encode())


LINES = st.one_of(
    _message(id=IDS, result=ANSWERS | JSON),
    _message(id=IDS, error=st.fixed_dictionaries({"code": st.integers(), "message": st.text()}) | JSON),
    _message(id=IDS, method=METHODS, params=JSON),
    _message(method=METHODS, params=JSON),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
    st.sampled_from([b"", b"[" * 10_000, b'"' + b"x" * 30_000, b"\xff\xfe", b'{"jsonrpc":"2.0"', b"\x00"]),
)


class Piped:
    """A child that is only its streams: it writes these lines, and ends.

    Args:
        answers: each written when one more line was heard.
        lines: written after that, when two more were heard (that the beginning is over, and a question).
    """

    def __init__(self, answers: list[bytes], lines: list[bytes]) -> None:
        theirs_in, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stdout, theirs_out = os.pipe2(os.O_CLOEXEC)
        self.stderr, theirs_err = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(
            target=self._serve, args=(answers, lines, theirs_in, theirs_out, theirs_err)
        )
        self._thread.start()

    def _serve(self, answers: list[bytes], lines: list[bytes], heard: int, out: int, err: int) -> None:
        with contextlib.suppress(OSError), os.fdopen(os.dup(heard), "rb", 0) as questions:
            for line in answers:
                questions.readline()
                os.write(out, line + b"\n")
            for _ in range(2 if answers else 0):
                questions.readline()
            for line in lines:
                os.write(out, line + b"\n")
        for fd in (out, err):
            os.close(fd)
        while os.read(heard, 65536):
            pass
        os.close(heard)

    async def end(self, _patience: float) -> str:
        await asyncio.to_thread(self._thread.join)
        return "by itself"


async def _list(answers: list[bytes], lines: list[bytes]) -> list[dict[str, Any]] | None:
    """Return what the server lists; None for an error of ours."""

    @asynccontextmanager
    async def opened(fate: Fate, budget: Budget) -> AsyncIterator[Streams]:
        async with talking(Piped(answers, lines), "any", BOUNDS, fate, budget) as streams:
            yield streams

    server = ServerConnection("any", opened, BOUNDS)
    try:
        async with asyncio.timeout(SECONDS):
            try:
                found = await server.definitions()
            except ProxiedServerError:
                return None
            return found
    finally:
        await server.aclose()


def is_sound(found: list[dict[str, Any]] | None) -> bool:
    """Return whether this is a list of tools that have names, or none because of an error of ours."""
    return found is None or all(isinstance(tool["name"], str) for tool in found)


BEGINNING = [
    json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}).encode(),
    json.dumps({"jsonrpc": "2.0", "id": 2, "result": {**ABOUT, "protocolVersion": "2025-11-25"}}).encode(),
]


def test_a_good_list_after_a_good_beginning_is_a_list() -> None:
    listed = {"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}
    found = asyncio.run(
        _list(BEGINNING, [json.dumps({"jsonrpc": "2.0", "id": 3, "result": listed}).encode()])
    )
    assert found == listed["tools"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, max_size=30))
def test_whatever_it_writes(lines: list[bytes]) -> None:
    assert is_sound(asyncio.run(_list([], lines)))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, max_size=20))
def test_whatever_it_writes_after_a_good_beginning(lines: list[bytes]) -> None:
    assert is_sound(asyncio.run(_list(BEGINNING, lines)))
