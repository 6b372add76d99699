"""The OpenAI Agents SDK's agent, with Pratique as the executor of its tools."""

import asyncio
from typing import Any

from agents import Agent, RunConfig, Runner
from agents.testing import ScriptedModel, assistant_message, function_call
from person import says_yes
from script import AGENT, ANSWER, REQUEST, STEPS, USER, as_json, support_desk

import pratique
from pratique.adapters.openai_agents import function_tools, outcomes_of


def model() -> ScriptedModel:
    """Return the model. Put yours here."""
    calls: list[Any] = [
        [function_call(name, as_json(at), call_id=f"call-{at}", item_id=f"item-{at}")]
        for at, (name, _) in enumerate(STEPS)
    ]
    return ScriptedModel([*calls, [assistant_message(ANSWER)]])


async def run(runtime: pratique.Runtime) -> str:
    """Run the agent; return its answer."""
    quiet = RunConfig(tracing_disabled=True)
    # quick start
    async with runtime.session(agent=AGENT, user=USER, request=REQUEST) as session:
        agent = Agent(name=AGENT, model=model(), tools=[*await function_tools(session)])
        result = await Runner.run(agent, REQUEST, run_config=quiet)
        while result.interruptions:
            state = result.to_state()
            for wait, outcome in await outcomes_of(session, result.interruptions):
                await says_yes(runtime, outcome.ticket)  # a person, at the queue
                state.approve(wait)  # says only that the run may go on
            result = await Runner.run(agent, state, run_config=quiet)
        # end of quick start
        return str(result.final_output)


async def main() -> None:
    """Run it in a copy of the support example."""
    with support_desk() as settings:
        async with pratique.open_runtime(settings) as runtime:
            print(await run(runtime))


if __name__ == "__main__":
    asyncio.run(main())
