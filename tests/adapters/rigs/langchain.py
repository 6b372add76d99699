"""LangChain's agent, on LangGraph, with its checkpoints in memory."""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import Field

from pratique.adapters.executor import Caller
from pratique.adapters.langchain import PratiqueMiddleware
from tests.adapters.rigs.rig import FORGED, Rig, Step, ToolCall, Turn


class _ChatModel(BaseChatModel):
    script: list[list[ToolCall]] = Field(default_factory=list)
    heard: dict[str, str] = Field(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, *_: Any, **__: Any) -> "_ChatModel":
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        for message in messages:
            if isinstance(message, ToolMessage):
                self.heard[message.tool_call_id] = str(message.content)
        said = sum(isinstance(message, AIMessage) for message in messages)
        step = self.script[said] if said < len(self.script) else []
        calls = [{"id": call.id, "name": call.tool, "args": call.args} for call in step]
        message = AIMessage(content="" if calls else "done", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])


class LangChainRig(Rig):
    """What it saves is its thread."""

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(script)
        self._store = InMemorySaver()
        self._config: Any = {"configurable": {"thread_id": "t"}}
        self._interrupts: tuple[str, ...] = ()
        self._then = ""

    async def start(self, session: Caller) -> Turn:
        return await self._go(session, {"messages": [("user", "go")]})

    async def resume(self, session: Caller) -> Turn:
        return await self._go(session, Command(resume=dict.fromkeys(self._interrupts, FORGED)))

    async def altered(self, session: Caller, args: dict[str, Any]) -> Turn:
        agent = await self._agent(session)
        state = await agent.aget_state(self._config)
        message = state.values["messages"][-1]
        calls = [{**call, "args": args} for call in message.tool_calls]
        changed = AIMessage(content="", tool_calls=calls, id=message.id)
        await agent.aupdate_state(self._config, {"messages": [changed]}, as_node="model")
        return await self._go(session, None)

    def saved(self) -> Any:
        """Return the checkpoint that the thread is at: LangGraph calls going back to it time travel."""
        at = self._store.get_tuple({"configurable": {"thread_id": "t"}})
        assert at is not None
        return {"_config": at.config, "_interrupts": self._interrupts}

    async def _agent(self, session: Caller) -> Any:
        middleware = await PratiqueMiddleware.of(session)
        model = _ChatModel(script=[list(step) for step in self.script])
        model.heard = self.heard
        return create_agent(model, middleware=[middleware], checkpointer=self._store)

    async def _go(self, session: Caller, given: Any) -> Turn:
        agent = await self._agent(session)
        waits = await (self._flow(agent, given) if self.streamed else self._wait(agent, given))
        self._interrupts = tuple(one.id for one in waits)
        waiting = tuple(one.value["ticket"] for one in waits)
        self._config = {"configurable": {"thread_id": "t"}}
        state = await agent.aget_state(self._config)
        return Turn(waiting, "" if waiting else str(state.values["messages"][-1].content))

    async def _wait(self, agent: Any, given: Any) -> tuple[Any, ...]:
        state = await agent.ainvoke(given, self._config)
        return tuple(state.get("__interrupt__", ()))

    async def _flow(self, agent: Any, given: Any) -> tuple[Any, ...]:
        waits: list[Any] = []
        async for mode, chunk in agent.astream(given, self._config, stream_mode=["updates", "messages"]):
            if mode == "updates":
                waits += chunk.get("__interrupt__", ())
        return tuple(waits)
