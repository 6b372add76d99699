"""Stage 5's hands: run one tool's body with its handles, and turn whatever happens into a result.

Rules:
- Whatever the body returns must be JSON within the declared size; whatever it raises fails the call.
- Only `ToolError` carries text to the agent. Any other exception is named by its class: its text may hold
  anything, secrets included.
- After a time-out, a cancellation or an `OutcomeUnknownError` nobody knows whether a write took effect: its
  status is `unknown`.
- Declared secrets that come back in a result are taken out of it. An error, which the log holds in clear, is
  redacted (`pratique.redaction`).
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic_core import to_jsonable_python
from structlog.contextvars import bound_contextvars

from pratique.audit.canonical import canonical
from pratique.errors import CanonicalError, OutcomeUnknownError, SandboxUnavailableError, ToolError
from pratique.model import Call, Capability, Level, Result, Status
from pratique.redaction import Redaction
from pratique.sandbox.inline import InlineNoIsolation
from pratique.tools.context import ToolContext, World
from pratique.tools.registry import Tool

LONGEST_ERROR = 1000
LARGEST_ERROR = 64 * 1024
SHORTEST_SECRET = 4


class Interrupted(Exception):  # noqa: N818  # not an error: it carries the result of a run that was cancelled
    """The run was cancelled. Record the result, which says what is known, then raise `cancellation` again."""

    def __init__(self, result: Result, cancellation: asyncio.CancelledError) -> None:
        super().__init__(result.error)
        self.result = result
        self.cancellation = cancellation


class Executor:
    """Runs tools at the level they declare.

    Args:
        world: what handles are made of.
        sandboxes: level → where tools of that level run.
        redaction: what is taken out of errors.
    """

    def __init__(
        self,
        world: World,
        sandboxes: dict[Level, InlineNoIsolation] | None = None,
        *,
        redaction: Redaction | None = None,
    ) -> None:
        self._world = world
        self._redaction = redaction or Redaction()
        self._sandboxes = sandboxes or {Level.INLINE: InlineNoIsolation()}

    def can_run(self, capability: Capability) -> None:
        """Check, before anything is permitted, that this host can run the tool at all.

        Raises:
            SandboxUnavailableError: the level that the tool demands is not there.
        """
        if capability.runs_in not in self._sandboxes:
            raise SandboxUnavailableError(
                f"{capability.name} runs in {capability.runs_in}, which this runtime does not have; "
                "a weaker level is never taken instead"
            )

    async def run(self, tool: Tool, call: Call) -> Result:
        """Return what the tool's body made of the call.

        Raises:
            Interrupted: the task was cancelled meanwhile; the result in it is to be recorded.
        """
        started = time.perf_counter_ns()
        level = tool.capability.runs_in

        def result(status: Status, value: bytes = b"null", error: str = "") -> Result:
            took = (time.perf_counter_ns() - started) // 1000
            return Result(status=status, value_json=value, error=error, duration_us=took, level=level)

        try:
            if call.capability.changes_the_world:
                await asyncio.sleep(0)  # a cancellation that came while the intent was committed comes first
        except asyncio.CancelledError as cancellation:
            raise Interrupted(result(Status.FAILED, error="cancelled before it ran"), cancellation) from None
        try:
            value = await self._body(tool, call)
            return result(Status.DONE, self._encode(value, tool.capability))
        except asyncio.CancelledError as cancellation:
            status = _after_interruption(call)
            raise Interrupted(result(status, error="cancelled while it ran"), cancellation) from None
        except TimeoutError:
            seconds = tool.capability.timeout
            return result(_after_interruption(call), error=f"took longer than {seconds:g} s")
        except (ToolError, CanonicalError) as problem:
            unknown = isinstance(problem, OutcomeUnknownError)
            status = _after_interruption(call) if unknown else Status.FAILED
            return result(status, error=self._told(problem, tool.capability))
        except (Exception, SystemExit) as problem:  # noqa: BLE001  # whatever a body raises fails its call, no more
            return result(Status.FAILED, error=f"{tool.capability.name} raised {type(problem).__name__}")

    async def _body(self, tool: Tool, call: Call) -> Any:
        about = {"trace_id": call.request.subject.trace_id, "call_id": call.request.call_id}
        with bound_contextvars(**about):
            async with ToolContext(call, self._world) as context:
                values = tuple(getattr(call.args, name) for name in tool.names)
                return await self._sandboxes[tool.capability.runs_in].run(
                    tool.function,
                    (context, *values),
                    is_async=tool.is_async,
                    seconds=tool.capability.timeout,
                )

    def _encode(self, value: Any, capability: Capability) -> bytes:
        try:
            body = canonical(value, most_bytes=capability.result_limit)
        except CanonicalError:
            # Not plain JSON types yet (a model, a date): make them so, then hold them to the same limits.
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
        return to_jsonable_python(value, inf_nan_mode="constants")
    except ValueError as problem:
        raise CanonicalError(f"the result is not JSON: {str(problem)[:200]}") from None


def _json_form(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def _after_interruption(call: Call) -> Status:
    return Status.UNKNOWN if call.capability.changes_the_world else Status.FAILED
