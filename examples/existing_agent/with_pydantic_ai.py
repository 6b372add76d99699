"""A Pydantic AI agent that had tools of its own, and now calls them through Pratique."""

import asyncio

from desk import lookup, refund
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from scripted import ANSWER, REQUEST, STEPS

import pratique
from pratique.adapters.pydantic_ai import PratiqueToolset


def say(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Say what the script says next."""
    at = sum(isinstance(message, ModelResponse) for message in messages)
    if at == len(STEPS):
        return ModelResponse(parts=[TextPart(ANSWER)])
    return ModelResponse(parts=[ToolCallPart(*STEPS[at], tool_call_id=f"c{at}")])


model = FunctionModel(say)  # put yours in its place


async def main() -> None:
    """Run the agent once."""
    async with pratique.open_runtime(tools=[lookup, refund]) as runtime:
        async with runtime.session(agent="support", user="kim@acme.example", request=REQUEST) as session:
            toolset = PratiqueToolset(session)
            agent = Agent(model, toolsets=[toolset], output_type=[str, DeferredToolRequests])

            result = await agent.run(REQUEST)
            while isinstance(waiting := result.output, DeferredToolRequests):
                for call in waiting.approvals:
                    ticket = waiting.metadata[call.tool_call_id]["ticket"]
                    print("waits for a person:", ticket, flush=True)
                    await session.redeem(ticket, wait=3600)
                again = DeferredToolResults(approvals={call.tool_call_id: True for call in waiting.approvals})
                result = await agent.run(message_history=result.all_messages(), deferred_tool_results=again)
            print(result.output)


asyncio.run(main())
