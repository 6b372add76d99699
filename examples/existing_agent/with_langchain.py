"""A LangChain agent that had tools of its own, and now calls them through Pratique."""

import asyncio
from typing import Any

from desk import lookup, refund
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from scripted import ANSWER, REQUEST, STEPS

import pratique
from pratique.adapters.langchain import PratiqueMiddleware


class Scripted(GenericFakeChatModel):
    """LangChain's fake model. Put yours in its place."""

    def bind_tools(self, *_: Any, **__: Any) -> "Scripted":
        """Return the model: its script has the calls already."""
        return self


calls = [
    AIMessage("", tool_calls=[{"id": f"c{at}", "name": n, "args": a}]) for at, (n, a) in enumerate(STEPS)
]
model = Scripted(messages=iter([*calls, AIMessage(ANSWER)]))


async def main() -> None:
    """Run the agent once."""
    async with pratique.open_runtime(tools=[lookup, refund]) as runtime:
        async with runtime.session(agent="support", user="kim@acme.example", request=REQUEST) as session:
            middleware = await PratiqueMiddleware.of(session)
            agent: Any = create_agent(model, middleware=[middleware], checkpointer=InMemorySaver())

            thread = {"configurable": {"thread_id": session.id}}
            state = await agent.ainvoke({"messages": [("user", REQUEST)]}, thread)
            while waits := state.get("__interrupt__"):
                for wait in waits:
                    print("waits for a person:", wait.value["ticket"], flush=True)
                    await session.redeem(wait.value["ticket"], wait=3600)
                state = await agent.ainvoke(Command(resume={wait.id: "look again" for wait in waits}), thread)
            print(state["messages"][-1].content)


asyncio.run(main())
