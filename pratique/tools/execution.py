"""Stage 5's hands: run one tool's body with its handles, and turn whatever happens into a result.

Rules:
- Whatever the body returns must be JSON within the declared size; whatever it raises fails the call, a
  `KeyboardInterrupt` or a `CancelledError` of its own making as well.
- Only `ToolError` carries text to the agent. Any other exception is named by its class: its text may hold
  anything, secrets included.
- After a time-out, a cancellation or an `OutcomeUnknownError` nobody knows whether a write took effect: its
  status is `unknown`.
- An inline tool does not run where the policy demands a level, nor another program's above its server's.
  Code that a tool was handed runs at the higher of the tool's level and the policy's, or the call fails.
- Declared secrets that come back in a result are taken out of it. An error, which the log holds in clear, is
  redacted (`pratique.redaction`).
"""

import asyncio
import contextlib
import inspect
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic_core import SchemaSerializer, core_schema, to_jsonable_python
from structlog.contextvars import bind_contextvars, reset_contextvars

from pratique.audit.canonical import canonical
from pratique.errors import (
    CanonicalError,
    OutcomeUnknownError,
    SandboxStoppedError,
    SandboxUnavailableError,
    ToolError,
)
from pratique.model import CLEAN, Call, Capability, Level, Result, Status, clip, printable
from pratique.redaction import Redaction
from pratique.sandbox.inline import InlineNoIsolation
from pratique.sandbox.ladder import Ladder
from pratique.tools.context import ToolContext, World
from pratique.tools.registry import Tool
from pratique.tools.sandboxed import CodeCalls, Sandboxed

LONGEST_ERROR = 1000
LARGEST_ERROR = 64 * 1024
SHORTEST_SECRET = 4
SANDBOX_GRACE = 5.0
"""Seconds beyond its `timeout` that a tool gets in which a sandbox ends and tells."""


class Interrupted(Exception):  # noqa: N818  # not an error: it carries the result of a run that was cancelled
    """The run was cancelled. Record the result, which says what is known, then raise `cancellation` again."""

    def __init__(self, result: Result, cancellation: asyncio.CancelledError) -> None:
        super().__init__(result.error)
        self.result = result
        self.cancellation = cancellation


class Executor:
    """Runs tools; gives each that declared a level its way into the ladder.

    Args:
        world: what handles are made of.
        ladder: what gives sandboxes; nothing of it is started before a tool asks.
        redaction: what is taken out of errors.
    """

    def __init__(
        self, world: World, ladder: Ladder | None = None, *, redaction: Redaction | None = None
    ) -> None:
        self._world = world
        self._ladder = ladder or Ladder()
        self._redaction = redaction or Redaction()
        self._host = InlineNoIsolation()

    async def run(
        self, tool: Tool, call: Call, at_least: Level = Level.INLINE, code_calls: CodeCalls | None = None
    ) -> Result:
        """Return what the tool's body made of the call.

        Args:
            tool: what to run.
            call: with which arguments, for whom.
            at_least: the weakest level that the policy allows for the call.
            code_calls: makes the governed calls that the tool's code asks for.

        Raises:
            Interrupted: the task was cancelled meanwhile; the result in it is to be recorded.
            GeneratorExit: the call was thrown away with its event loop: nobody can await its record any more.
        """
        task = asyncio.current_task()
        try:
            return await self._run(tool, call, at_least, code_calls)
        except Interrupted:
            raise
        except BaseException as problem:  # whatever it is: the call has begun, so it gets a result
            if isinstance(problem, GeneratorExit) and _current_task() is not task:
                raise
            return Result(status=_after_interruption(call), error=_raised(call, problem))

    async def _run(self, tool: Tool, call: Call, at_least: Level, code_calls: CodeCalls | None) -> Result:
        started = time.perf_counter_ns()
        sandbox = self._sandbox(tool.capability, at_least, code_calls)

        def result(status: Status, value: bytes = b"null", error: str = "") -> Result:
            return Result(
                status=status,
                value_json=value,
                error=error,
                duration_us=(time.perf_counter_ns() - started) // 1000,
                level=tool.capability.runs_in if sandbox is None else sandbox.level,
                sandbox={} if sandbox is None else sandbox.record,
                given=CLEAN if sandbox is None else sandbox.given,
            )

        try:
            if call.capability.changes_the_world:
                await asyncio.sleep(0)  # a cancellation that came while the intent was committed comes first
        except asyncio.CancelledError as cancellation:
            raise Interrupted(result(Status.FAILED, error="cancelled before it ran"), cancellation) from None
        if sandbox is None and at_least.rank > tool.capability.runs_in.rank:
            return result(Status.FAILED, error=_too_weak(tool.capability, at_least))
        try:
            value = await self._body(tool, call, sandbox)
            return result(Status.DONE, self._encode(value, tool.capability))
        except asyncio.CancelledError as cancellation:
            if not _is_cancelled():
                raise  # the body made it up
            status = _after_interruption(call)
            raise Interrupted(result(status, error="cancelled while it ran"), cancellation) from None
        except Exception as problem:  # noqa: BLE001  # whatever a body raises fails its call, no more
            return result(*self._failure(call, problem))

    async def look(self, tool: Tool, call: Call, seconds: float) -> Any:
        """Return what the tool's preview says of a call: nothing runs, and its handles only look.

        Raises:
            TimeoutError: it took longer than `seconds`.
            ToolError: what the preview said instead, without the tool's secrets.
            Exception: whatever else the preview raised.
        """
        if tool.preview is None:
            return ""
        known = self._secrets_of(tool.capability)
        try:
            async with ToolContext(call, self._world, looking=True) as context:
                values = tuple(getattr(call.args, name) for name in tool.names)
                is_async = inspect.iscoroutinefunction(tool.preview)
                said = await self._host.run(
                    tool.preview, (context, *values), is_async=is_async, seconds=seconds
                )
        except ToolError as problem:
            raise ToolError(str(_without(known, str(problem)))) from None
        return _without(known, said)

    async def aclose(self) -> None:
        """End everything that was started for tools. A second call does nothing."""
        await self._ladder.aclose()

    def _sandbox(
        self, capability: Capability, at_least: Level, code_calls: CodeCalls | None
    ) -> Sandboxed | None:
        """Return the call's way into the ladder, at the higher of the two levels.

        None for an inline tool, and for another program's: its server was started in its level.
        """
        if capability.runs_in is Level.INLINE or capability.pin:
            return None
        level = Level.highest(capability.runs_in, at_least)
        return Sandboxed(self._ladder, capability, level, code_calls)

    async def _body(self, tool: Tool, call: Call, sandbox: Sandboxed | None) -> Any:
        about = {"trace_id": call.request.subject.trace_id, "call_id": call.request.call_id}
        bound = bind_contextvars(**about)
        try:
            async with ToolContext(call, self._world, sandbox) as context:
                values = tuple(getattr(call.args, name) for name in tool.names)
                return await self._host.run(
                    tool.function,
                    (context, *values),
                    is_async=tool.is_async,
                    # A sandbox, or a connection, keeps the time itself and says which limit it was; this is
                    # for when it cannot.
                    seconds=tool.capability.timeout
                    + (SANDBOX_GRACE if sandbox or tool.capability.pin else 0),
                )
        finally:
            with contextlib.suppress(ValueError):  # thrown away elsewhere: that context is not this one
                reset_contextvars(**bound)

    def _failure(self, call: Call, problem: Exception) -> tuple[Status, bytes, str]:
        """Return status, value and error of a call whose body raised."""
        capability = call.capability
        if isinstance(problem, TimeoutError):
            return _after_interruption(call), b"null", f"took longer than {capability.timeout:g} s"
        if isinstance(problem, SandboxUnavailableError):
            return Status.FAILED, b"null", str(problem)[:LONGEST_ERROR]
        if not isinstance(problem, ToolError | CanonicalError):
            # Only a `ToolError` says that nothing happened: of a write that broke, nobody knows.
            return _after_interruption(call), b"null", _raised(call, problem)
        # Code that could reach hosts may have told them something before it was stopped.
        unknown = isinstance(problem, OutcomeUnknownError | CanonicalError) or (
            isinstance(problem, SandboxStoppedError) and bool(capability.hosts)
        )
        status = _after_interruption(call) if unknown else Status.FAILED
        return status, b"null", clip(self._told(problem, capability))

    def _encode(self, value: Any, capability: Capability) -> bytes:
        try:
            body = canonical(value, most_bytes=capability.result_limit)
        except CanonicalError:
            # Not plain JSON yet (a model, half a character): make it so, then hold it to the same limits.
            body = canonical(_jsonable(value), most_bytes=capability.result_limit)
        secrets = self._secrets_of(capability)
        if not any(_json_form(secret) in body.decode() for secret in secrets.values()):
            return body
        return canonical(_without(secrets, orjson.loads(body)), most_bytes=sys.maxsize)

    def _told(self, problem: Exception, capability: Capability) -> str:
        """Return an error's text as it may be recorded; cut first, so that a long one costs no more."""
        text = str(_without(self._secrets_of(capability), str(problem)))[:LARGEST_ERROR]
        return self._redaction.text(text)[:LONGEST_ERROR]

    def _secrets_of(self, capability: Capability) -> dict[str, str]:
        known = {name: self._world.secrets[name].get_secret_value() for name in capability.secrets}
        return {name: secret for name, secret in known.items() if len(secret) >= SHORTEST_SECRET}


def _without(secrets: Mapping[str, str], value: Any) -> Any:
    """Return a JSON value without the secrets: in its texts, its keys, and its numbers."""
    if isinstance(value, dict):
        return {_without(secrets, key): _without(secrets, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(secrets, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    text = shown = value if isinstance(value, str) else orjson.dumps(value).decode()
    for name, secret in secrets.items():
        text = text.replace(secret, f"[secret {name}]")
    return value if text == shown else text


def _jsonable(value: Any) -> Any:
    try:
        plain = _ANYTHING.to_python(value, mode="python")
        return to_jsonable_python(_whole_characters(plain), inf_nan_mode="constants")
    except (ValueError, RecursionError) as problem:
        raise CanonicalError(f"the result is not JSON: {str(problem)[:200]}") from None


_ANYTHING = SchemaSerializer(core_schema.any_schema())


def _whole_characters(value: Any) -> Any:
    """Return a value in which no text has half of a surrogate pair: a broken charset may leave some."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_whole_characters(item) for item in value]
    return value


def _json_form(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def _raised(call: Call, problem: BaseException) -> str:
    return clip(f"{call.capability.name} raised {type(problem).__name__}")


def _after_interruption(call: Call) -> Status:
    return Status.UNKNOWN if call.capability.changes_the_world else Status.FAILED


def _too_weak(capability: Capability, at_least: Level) -> str:
    if capability.pin:
        where = f"{capability.name} is another program's, which runs in: {capability.runs_in}"
        return f"the policy demands a {at_least} for this call, and {where}. It did not run"
    return (
        f"the policy demands a {at_least} for this call, and {capability.name} runs inline, "
        "in Pratique's own process: it did not run"
    )
