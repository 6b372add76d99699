"""Pydantic AI's agent, with Pratique as the executor of its tools."""

import asyncio

from person import says_yes
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from script import AGENT, ANSWER, REQUEST, STEPS, USER, support_desk

import pratique
from pratique.adapters.pydantic_ai import PratiqueToolset


def say(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Say what the script says next."""
    at = sum(isinstance(message, ModelResponse) for message in messages)
    if at == len(STEPS):
        return ModelResponse(parts=[TextPart(ANSWER)])
    name, args = STEPS[at]
    return ModelResponse(parts=[ToolCallPart(name, args, tool_call_id=f"call-{at}")])


def model() -> FunctionModel:
    """Return the model. Put yours here."""
    return FunctionModel(say)


async def run(runtime: pratique.Runtime) -> str:
    """Run the agent; return its answer."""
    # quick start
    async with runtime.session(agent=AGENT, user=USER, request=REQUEST) as session:
        agent = Agent(model(), toolsets=[PratiqueToolset(session)], output_type=[str, DeferredToolRequests])
        result = await agent.run(REQUEST)
        while isinstance(result.output, DeferredToolRequests):
            waiting = result.output
            for call in waiting.approvals:
                ticket = waiting.metadata[call.tool_call_id]["ticket"]
                await says_yes(runtime, ticket)  # a person, at the queue
            go_on = DeferredToolResults(approvals={call.tool_call_id: True for call in waiting.approvals})
            result = await agent.run(message_history=result.all_messages(), deferred_tool_results=go_on)
        # end of quick start
        return result.output


async def main() -> None:
    """Run it in a copy of the support example."""
    with support_desk() as settings:
        async with pratique.open_runtime(settings) as runtime:
            print(await run(runtime))


if __name__ == "__main__":
    asyncio.run(main())
