"""The OpenAI Agents SDK; what it saves is its run state, as JSON."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import agents
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from pratique import Status
from pratique.adapters.executor import Caller
from pratique.adapters.openai_agents import function_tools, outcomes_of
from tests.adapters.rigs.rig import Rig, Step, Turn


class _Model(agents.Model):
    """A model that knows how far it is by the calls that it finds in its input."""

    def __init__(self, script: Sequence[Step], heard: dict[str, str]) -> None:
        self._script, self._heard = script, heard

    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,  # noqa: A002  # the SDK's word
        *_: Any,
        **__: Any,
    ) -> agents.ModelResponse:
        del system_instructions
        return agents.ModelResponse(output=self._say(input), usage=agents.Usage(), response_id=None)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: Any,  # noqa: A002  # the SDK's word
        *_: Any,
        **__: Any,
    ) -> AsyncIterator[Any]:
        del system_instructions
        response = Response(
            id="response",
            created_at=0,
            model="scripted",
            object="response",
            output=self._say(input),
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")

    def _say(self, given: Any) -> list[Any]:
        items = [] if isinstance(given, str) else [dict(item) for item in given]
        for item in items:
            if item.get("type") == "function_call_output":
                self._heard[item["call_id"]] = str(item["output"])
        called = {item.get("call_id") for item in items}
        for step in self._script:
            if step[0].id not in called:
                return [
                    ResponseFunctionToolCall(
                        id=f"item-{call.id}",
                        call_id=call.id,
                        name=call.tool,
                        arguments=json.dumps(call.args),
                        type="function_call",
                    )
                    for call in step
                ]
        text = ResponseOutputText(annotations=[], text="done", type="output_text")
        return [
            ResponseOutputMessage(
                id="message", content=[text], role="assistant", status="completed", type="message"
            )
        ]


class OpenAIAgentsRig(Rig):
    """An agent whose application approves what has an answer, as the adapter advises."""

    notices_altered_state = True
    answers_for_unknown_tools = True
    approves_blindly = False

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(script)
        self._saved = ""

    async def start(self, session: Caller) -> Turn:
        return await self._go(session, await self._agent(session), "go")

    async def resume(self, session: Caller) -> Turn:
        agent = await self._agent(session)
        state = await agents.RunState.from_string(agent, self._saved)
        for item, outcome in await outcomes_of(session, state.get_interruptions()):
            if self.approves_blindly or outcome.status is not Status.PENDING:
                state.approve(item)
        return await self._go(session, agent, state)

    async def altered(self, session: Caller, args: dict[str, Any]) -> Turn:
        self._saved = json.dumps(_with_arguments(json.loads(self._saved), json.dumps(args)))
        agent = await self._agent(session)
        state = await agents.RunState.from_string(agent, self._saved)
        for item in state.get_interruptions():
            state.approve(item)
        return await self._go(session, agent, state)

    async def _agent(self, session: Caller) -> Any:
        model = _Model(self.script, self.heard)
        return agents.Agent(name="support", model=model, tools=[*await function_tools(session)])

    async def _go(self, session: Caller, agent: Any, given: Any) -> Turn:
        config: Any = {"run_config": agents.RunConfig(tracing_disabled=True), "max_turns": 20}
        result: Any
        if self.streamed:
            result = agents.Runner.run_streamed(agent, given, **config)
            async for _ in result.stream_events():
                pass
        else:
            result = await agents.Runner.run(agent, given, **config)
        if not result.interruptions:
            return Turn((), str(result.final_output))
        self._saved = result.to_state().to_string()
        waiting = [outcome.ticket for _, outcome in await outcomes_of(session, result.interruptions)]
        return Turn(tuple(waiting), "")


def _with_arguments(value: Any, arguments: str) -> Any:
    if isinstance(value, dict):
        return {
            key: arguments if key == "arguments" else _with_arguments(item, arguments)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_arguments(item, arguments) for item in value]
    return value
