"""OpenAI Agents SDK: function tools that run through a session.

    agent = Agent(name="support", model=model, tools=await function_tools(session))

A call that waits for a person interrupts the run (`result.interruptions`). `outcomes_of` says what has become
of each; approve those that are no longer pending in the run's state, and run it again:

    state = result.to_state()
    for wait, outcome in await outcomes_of(session, result.interruptions):
        if outcome.status is not Status.PENDING:
            state.approve(wait)
    result = await Runner.run(agent, state)

Approving says only that the run may go on: what the person said is looked up. What is not approved interrupts
the run again. What is approved before anybody answered does not run; the model is told that it still waits.

Rules:
- The SDK asks whether a call needs approval before it invokes it, and may do both more than once: it is the
  same call by its id, and runs once.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import orjson
from agents import FunctionTool, RunContextWrapper, ToolApprovalItem
from agents.tool_context import ToolContext

from pratique import Outcome, Status, ToolSpec
from pratique.adapters.executor import Caller, Offer, told

MOST_AHEAD = 256
"""Outcomes that one tool keeps between the SDK's two questions."""


async def function_tools(session: Caller) -> list[FunctionTool]:
    """Return the tools that a session's agent is offered now.

    Args:
        session: in process or over HTTP. Who asks and what the user said was stated when it was opened.
    """
    return [
        _Governed(session, tool.name).as_function_tool(name, tool)
        for name, tool in Offer(await session.tools()).tools.items()
    ]


async def outcomes_of(
    session: Caller, interruptions: Iterable[ToolApprovalItem]
) -> list[tuple[ToolApprovalItem, Outcome]]:
    """Return what has become of the calls that interrupted a run, each with its interruption.

    A call that a person agreed to runs now, if it has not; the run is given its result when it goes on.

    Args:
        session: the one that the run's tools were made of, or the same one after a restart.
        interruptions: of a result, or of a `RunState`. Those of tools that the session does not offer are
            left out: they are not its business.
    """
    offer = Offer(await session.tools())
    return [
        (item, await session.call(offer.real(item.name), _arguments(item.arguments), call_id=item.call_id))
        for item in interruptions
        if item.name in offer.tools and item.call_id
    ]


class _Governed:
    """One tool of a session. What the SDK's first question found out is kept for its second."""

    def __init__(self, session: Caller, tool: str) -> None:
        self._session, self._tool = session, tool
        self._ahead: OrderedDict[str, tuple[Any, Outcome]] = OrderedDict()

    def as_function_tool(self, name: str, tool: ToolSpec) -> FunctionTool:
        """Return it as the SDK wants it."""
        return FunctionTool(
            name=name,
            description=tool.description,
            params_json_schema=tool.parameters,
            on_invoke_tool=self._invoke,
            strict_json_schema=False,  # optional arguments are optional here
            needs_approval=self._needs_approval,
        )

    async def _needs_approval(self, _: RunContextWrapper[Any], args: dict[str, Any], call_id: str) -> bool:
        outcome = await self._session.call(self._tool, args, call_id=call_id)
        if outcome.status is Status.PENDING:
            return True
        self._ahead[call_id] = (args, outcome)
        if len(self._ahead) > MOST_AHEAD:
            self._ahead.popitem(last=False)
        return False

    async def _invoke(self, context: ToolContext[Any], raw: str) -> str:
        args, call_id = _arguments(raw), context.tool_call_id
        asked, outcome = self._ahead.pop(call_id, (None, None))
        if outcome is None or asked != args:
            outcome = await self._session.call(self._tool, args, call_id=call_id)
        return told(outcome)


def _arguments(raw: str | None) -> Any:
    """Return a model's arguments; what is no JSON is passed on as it is, and denied on record."""
    try:
        return orjson.loads(raw or "{}")
    except orjson.JSONDecodeError:
        return raw
