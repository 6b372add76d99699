"""Runs Python source in the process that it is called in, and says what came of it.

Rules:
- The value is `result` if the code assigns it, else its last expression, else None. It leaves as JSON only:
  no pickle, no NaN, no objects with behaviour.
- Whatever the code raises, exits with or breaks is an answer, never silence.
- `call(name, **arguments)` asks the host for a tool; what comes back is a copy.
"""

import ast
import gc
import io
import json
import socket
import sys
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any

from . import frames

NAME = "<code>"
_REPLY_LIMIT = 64 << 20
_TRACE_MOST = 20_000


class ToolCallError(Exception):
    """A tool that the code called was denied or failed; the text says why."""


class Channel:
    """The guest's side of the socket to the host."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool of the host and return a copy of its result.

        Raises:
            ToolCallError: it was denied, or it failed.
        """
        frames.send_json(self._sock, frames.CALL, {"name": str(name), "args": arguments})
        _, payload = frames.receive(self._sock, _REPLY_LIMIT)
        reply = json.loads(payload)
        if "error" in reply:
            raise ToolCallError(reply["error"])
        return reply["value"]

    def value(self, value: Any) -> None:
        """Hand the result out."""
        frames.send(self._sock, frames.VALUE, to_json(value))

    def problem(self, kind: str, text: str, line: int) -> None:
        """Say what went wrong, in one line."""
        frames.send_json(self._sock, frames.PROBLEM, {"kind": kind, "text": text[:2000], "line": line})


def to_json(value: Any) -> bytes:
    """Return a value as JSON bytes.

    Raises:
        ValueError: it holds NaN or Infinity, or itself.
        TypeError: it holds something that is not JSON.
        RecursionError: it nests too deep.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, check_circular=True).encode()


def run(code: str, inputs: bytes, channel: Channel) -> int:
    """Run the code, report through the channel, and return the exit code."""
    names: dict[str, Any] = {"__name__": "__main__", "inputs": json.loads(inputs), "call": channel.call}
    return report(lambda: execute(compile(with_result(code), NAME, "exec"), names), channel)


def rehearse() -> None:
    """Do once what every run does, while nobody waits: the second time takes a fraction of the first."""
    names: dict[str, Any] = {"__name__": "__main__", "inputs": json.loads(b'{"a": [1, 2.5, null, "b"]}')}
    to_json(
        execute(
            compile(with_result("import json\nfor a in inputs['a']:\n    str(a)\ninputs"), NAME, "exec"),
            names,
        )
    )
    flush()
    gc.freeze()


def execute(code: CodeType, names: "dict[str, Any]") -> Any:
    """Run compiled code and return what it left in `result`."""
    exec(code, names)  # noqa: S102  # this is what a jail is for
    return names.get("result")


def with_result(code: str) -> ast.Module:
    """Parse; where the code assigns no `result`, let its last expression be it.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: whatever the parser says.
    """
    tree = ast.parse(code, NAME)
    assigns = any(
        isinstance(node, ast.Name) and node.id == "result" and isinstance(node.ctx, ast.Store)
        for node in ast.walk(tree)
    )
    if not assigns and tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        target = ast.Name(id="result", ctx=ast.Store())
        tree.body[-1] = ast.copy_location(ast.Assign(targets=[target], value=last.value), last)
        ast.fix_missing_locations(tree)
    return tree


def report(work: "Callable[[], Any]", channel: Channel) -> int:
    """Do the work and turn whatever happens into a value or a problem, and an exit code."""
    try:
        channel.value(work())
    except SystemExit as end:
        return _exit_code(end, channel)
    except BaseException as error:  # noqa: BLE001  # hostile code may raise anything
        explain(error, channel)
        return 1
    else:
        return 0
    finally:
        flush()


def explain(error: BaseException, channel: Channel) -> None:
    """Print the trace as Python would, without our own frames, and send the one line of why."""
    kind = type(error).__name__
    try:
        text = str(error)
        lines = [
            frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == NAME
        ]
        if isinstance(error, SyntaxError) and error.filename == NAME:
            lines.append(error.lineno or 0)
        sys.stderr.write(_trace(error))
    except BaseException:  # noqa: BLE001  # an exception's own methods may be hostile, or memory is gone
        text, lines = "", []
    channel.problem(kind, text, lines[-1] if lines else 0)


def flush() -> None:
    """Write out what was printed; a stream that the code broke is given up."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001, S112  # see above
            continue


def unicode_streams() -> None:
    """Let text that cannot be encoded be printed as escapes, whatever the machine's locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _exit_code(end: SystemExit, channel: Channel) -> int:
    code = end.code
    if code is None or code == 0:
        channel.value(None)
        return 0
    channel.problem("SystemExit", f"the code ended with {str(code)[:200]}", 0)
    return code & 0xFF if isinstance(code, int) else 1


def _trace(error: BaseException) -> str:
    """Format a trace of the guest's own frames."""
    frames_ = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == NAME]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames_)] if frames_ else []
    return "".join([*lines, *traceback.format_exception_only(type(error), error)])[-_TRACE_MOST:]
