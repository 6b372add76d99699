"""An agent of the OpenAI Agents SDK that had tools of its own, and now calls them through Pratique."""

import asyncio
import json
from typing import Any

from agents import Agent, RunConfig, Runner
from agents.testing import ScriptedModel, assistant_message, function_call
from desk import lookup, refund
from scripted import ANSWER, REQUEST, STEPS

import pratique
from pratique.adapters.openai_agents import function_tools, outcomes_of

calls: list[Any] = [
    [function_call(name, json.dumps(args), call_id=f"c{at}", item_id=f"i{at}")]
    for at, (name, args) in enumerate(STEPS)
]
model = ScriptedModel([*calls, [assistant_message(ANSWER)]])  # put yours in its place
quiet = RunConfig(tracing_disabled=True)


async def main() -> None:
    """Run the agent once."""
    async with pratique.open_runtime(tools=[lookup, refund]) as runtime:
        async with runtime.session(agent="support", user="kim@acme.example", request=REQUEST) as session:
            tools = await function_tools(session)
            agent = Agent(name="support", model=model, tools=[*tools])

            result = await Runner.run(agent, REQUEST, run_config=quiet)
            while result.interruptions:
                state = result.to_state()
                for wait, outcome in await outcomes_of(session, result.interruptions):
                    if outcome.status is pratique.Status.PENDING:
                        print("waits for a person:", outcome.ticket, flush=True)
                        await session.redeem(outcome.ticket, wait=3600)
                    state.approve(wait)  # says only that the run may go on
                result = await Runner.run(agent, state, run_config=quiet)
            print(result.final_output)


asyncio.run(main())
