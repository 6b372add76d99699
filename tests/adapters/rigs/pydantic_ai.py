"""Pydantic AI's agent; what it saves is its messages, as JSON."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic_ai import Agent, AgentRunResultEvent, DeferredToolRequests, DeferredToolResults
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from pratique.adapters.executor import Caller
from pratique.adapters.pydantic_ai import PratiqueToolset
from tests.adapters.rigs.rig import Rig, Step, Turn


class PydanticAIRig(Rig):
    """An agent whose requests for approval end its run."""

    answers_for_unknown_tools = True

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(script)
        self._messages = b"[]"
        self._waiting: tuple[str, ...] = ()

    async def start(self, session: Caller) -> Turn:
        return await self._go(session, "go", None)

    async def resume(self, session: Caller) -> Turn:
        results = DeferredToolResults(approvals=dict.fromkeys(self._waiting, True))
        return await self._go(session, None, results)

    async def altered(self, session: Caller, args: dict[str, Any]) -> Turn:
        messages = json.loads(self._messages)
        for part in messages[-1]["parts"]:
            if part["part_kind"] == "tool-call":
                part["args"] = args
        self._messages = json.dumps(messages).encode()
        return await self.resume(session)

    async def _go(self, session: Caller, prompt: str | None, results: DeferredToolResults | None) -> Turn:
        agent: Any = Agent(
            FunctionModel(self._say, stream_function=self._say_bit_by_bit),
            toolsets=[PratiqueToolset(session)],
            output_type=[str, DeferredToolRequests],
        )
        history = ModelMessagesTypeAdapter.validate_json(self._messages)
        given = {"message_history": history, "deferred_tool_results": results}
        if self.streamed:
            async with agent.run_stream_events(prompt, **given) as events:
                [result] = [event.result async for event in events if isinstance(event, AgentRunResultEvent)]
        else:
            result = await agent.run(prompt, **given)
        self._messages = result.all_messages_json()
        output = result.output
        if isinstance(output, DeferredToolRequests):
            self._waiting = tuple(call.tool_call_id for call in output.approvals)
            return Turn(tuple(output.metadata[call]["ticket"] for call in self._waiting), "")
        return Turn((), output)

    def _say(self, messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        calls = [ToolCallPart(call.tool, call.args, tool_call_id=call.id) for call in self._step(messages)]
        return ModelResponse(parts=[*calls] if calls else [TextPart("done")])

    async def _say_bit_by_bit(
        self, messages: list[ModelMessage], _: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        step = self._step(messages)
        for at, call in enumerate(step):
            yield {at: DeltaToolCall(name=call.tool, tool_call_id=call.id)}
            yield {at: DeltaToolCall(json_args=json.dumps(call.args))}
        if not step:
            yield "done"

    def _step(self, messages: list[ModelMessage]) -> Step:
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolReturnPart):
                    self.heard[part.tool_call_id] = part.model_response_str()
        said = sum(isinstance(message, ModelResponse) for message in messages)
        return self.script[said] if said < len(self.script) else ()
