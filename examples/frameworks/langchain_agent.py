"""LangChain's agent, with Pratique as the executor of its tools."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from person import says_yes
from script import AGENT, ANSWER, REQUEST, STEPS, USER, support_desk

import pratique
from pratique.adapters.langchain import PratiqueMiddleware


class ScriptedModel(GenericFakeChatModel):
    """LangChain's fake model, which takes tools and calls them as the script says."""

    def bind_tools(self, *_: Any, **__: Any) -> "ScriptedModel":
        """Return the model: the script has the calls already."""
        return self


def model() -> ScriptedModel:
    """Return the model. Put yours here."""
    calls = [
        AIMessage("", tool_calls=[{"id": f"call-{at}", "name": name, "args": args}])
        for at, (name, args) in enumerate(STEPS)
    ]
    return ScriptedModel(messages=iter([*calls, AIMessage(ANSWER)]))


async def run(runtime: pratique.Runtime) -> str:
    """Run the agent; return its answer."""
    # quick start
    async with runtime.session(agent=AGENT, user=USER, request=REQUEST) as session:
        middleware = await PratiqueMiddleware.of(session)
        agent: Any = create_agent(model(), middleware=[middleware], checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": session.id}}
        state = await agent.ainvoke({"messages": [("user", REQUEST)]}, config)
        while waits := state.get("__interrupt__"):
            for wait in waits:
                await says_yes(runtime, wait.value["ticket"])  # a person, at the queue
            state = await agent.ainvoke(Command(resume={wait.id: "go on" for wait in waits}), config)
        # end of quick start
        return str(state["messages"][-1].content)


async def main() -> None:
    """Run it in a copy of the support example."""
    with support_desk() as settings:
        async with pratique.open_runtime(settings) as runtime:
            print(await run(runtime))


if __name__ == "__main__":
    asyncio.run(main())
