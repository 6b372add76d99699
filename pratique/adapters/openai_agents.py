"""OpenAI Agents SDK: function tools that run through a session.

    agent = Agent(name="support", model=model, tools=await function_tools(session))

A call that waits for a person interrupts the run (`result.interruptions`). When the person has answered,
approve the interruption in the run's state and run it again: that says only that the run may go on. What the
person said is looked up. If nobody has answered by then, the model is told that the call still waits.

Rules:
- The SDK asks whether a call needs approval before it invokes it, and may do both more than once: it is the
  same call by its id, and runs once.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from agents import FunctionTool, RunContextWrapper
from agents.tool_context import ToolContext

from pratique import Status
from pratique.adapters.executor import Caller, Offer, told


async def function_tools(session: Caller) -> list[FunctionTool]:
    """Return the tools that a session's agent is offered now.

    Args:
        session: in process or over HTTP. Who asks and what the user said was stated when it was opened.
    """
    return [
        FunctionTool(
            name=name,
            description=tool.description,
            params_json_schema=tool.parameters,
            on_invoke_tool=_invoke(session, tool.name),
            strict_json_schema=False,  # optional arguments are optional here
            needs_approval=_needs_approval(session, tool.name),
        )
        for name, tool in Offer(await session.tools()).tools.items()
    ]


def _needs_approval(
    session: Caller, tool: str
) -> Callable[[RunContextWrapper[Any], dict[str, Any], str], Awaitable[bool]]:
    async def needs(_: RunContextWrapper[Any], args: dict[str, Any], call_id: str) -> bool:
        return (await session.call(tool, args, call_id=call_id)).status is Status.PENDING

    return needs


def _invoke(session: Caller, tool: str) -> Callable[[ToolContext[Any], str], Awaitable[Any]]:
    async def invoke(context: ToolContext[Any], raw: str) -> str:
        return told(await session.call(tool, _arguments(raw), call_id=context.tool_call_id))

    return invoke


def _arguments(raw: str) -> Any:
    """Return a model's arguments; what is no JSON is passed on as it is, and denied on record."""
    try:
        return orjson.loads(raw or "{}")
    except orjson.JSONDecodeError:
        return raw
