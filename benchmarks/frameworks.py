"""What a framework's tool call costs with Pratique and without it.

One agent of each framework, with a scripted model that costs nothing, makes the same calls one after the
other: with a function of the framework's own, and with the tool behind a session. Both return the same.
With Pratique each call is decided, and on disk in the chain before the model hears of it. The two take turns.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import agents
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import pratique
from benchmarks.calls import POLICY, lookup
from benchmarks.table import Row
from pratique.adapters.langchain import PratiqueMiddleware
from pratique.adapters.openai_agents import function_tools
from pratique.adapters.pydantic_ai import PratiqueToolset

CALLS, RUNS, QUICK = 10, 20, 3
ARGUMENTS = {"customer": "8821"}
AS_JSON = json.dumps(ARGUMENTS)
TOOL = "crm_lookup"

Session = pratique.Session | None
Run = Callable[[Session], Awaitable[Callable[[], Awaitable[object]]]]


def own(customer: str) -> dict[str, str]:
    """Look a customer up."""
    return {"customer": customer, "name": "Kim", "agent": "support"}


def rows(*, quick: bool = False) -> list[Row]:
    """Return one row for each framework."""
    return asyncio.run(_rows(QUICK if quick else RUNS))


async def _rows(runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policy.toml").write_text(POLICY)
        settings = pratique.Settings(
            folder=Path(folder) / "ledger", policy=Path(folder) / "policy.toml", log_level="error"
        )
        async with pratique.open_runtime(settings, tools=[lookup]) as runtime:
            found = []
            for name, run in (("LangChain", _langchain), ("Pydantic AI", _pydantic), ("OpenAI", _openai)):
                found.append(await _row(runtime, name, run, runs))
            return found


async def _row(runtime: pratique.Runtime, name: str, run: Run, runs: int) -> Row:
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(runs + 1):
        for governed in (False, True):
            async with runtime.session(agent="support", user="kim@acme.example") as session:
                go = await run(session if governed else None)
                begun = time.perf_counter()
                await go()
                if number:  # the first warms up
                    taken[governed].append((time.perf_counter() - begun) / CALLS)
    without, with_us = (statistics.median(taken[side]) * 1000 for side in (False, True))
    return Row(
        f"a tool call of {name}'s agent, one after the other",
        f"own {without:.2f} ms, governed {with_us:.2f} ms",
        f"{with_us - without:+.2f} ms, {with_us / without:.2f} times",
        "none set",
    )


class _Chat(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, *_: Any, **__: Any) -> "_Chat":
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = sum(isinstance(message, AIMessage) for message in messages)
        calls = [{"id": f"c{said}", "name": TOOL, "args": ARGUMENTS}] if said < CALLS else []
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="", tool_calls=calls))])


async def _langchain(session: Session) -> Callable[[], Awaitable[object]]:
    made: dict[str, Any] = {"tools": [langchain_tool(TOOL)(own)]}
    if session is not None:
        made = {"middleware": [await PratiqueMiddleware.of(session)]}
    agent: Any = create_agent(_Chat(), checkpointer=InMemorySaver(), **made)
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 4 * CALLS + 10}
    return lambda: agent.ainvoke({"messages": [("user", "go")]}, config)


async def _pydantic(session: Session) -> Callable[[], Awaitable[object]]:
    def say(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        said = sum(isinstance(message, ModelResponse) for message in messages)
        if said == CALLS:
            return ModelResponse(parts=[TextPart("done")])
        return ModelResponse(parts=[ToolCallPart(TOOL, ARGUMENTS, tool_call_id=f"c{said}")])

    agent: Any = Agent(FunctionModel(say), toolsets=[PratiqueToolset(session)] if session else [])
    if session is None:
        agent.tool_plain(name=TOOL)(own)
    return lambda: agent.run("go")


class _Model(agents.Model):
    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,  # noqa: A002  # the SDK's word
        *_: Any,
        **__: Any,
    ) -> agents.ModelResponse:
        del system_instructions
        said = 0 if isinstance(input, str) else sum(one.get("type") == "function_call" for one in input)
        call = ResponseFunctionToolCall(
            id=f"i{said}",
            call_id=f"c{said}",
            name=TOOL,
            arguments=AS_JSON,
            type="function_call",
        )
        text = ResponseOutputText(annotations=[], text="done", type="output_text")
        end = ResponseOutputMessage(
            id="m", content=[text], role="assistant", status="completed", type="message"
        )
        return agents.ModelResponse(
            output=[call if said < CALLS else end], usage=agents.Usage(), response_id=None
        )

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("no run of this benchmark streams")


async def _openai(session: Session) -> Callable[[], Awaitable[object]]:
    tools = await function_tools(session) if session else [agents.function_tool(own, name_override=TOOL)]
    agent = agents.Agent(name="support", model=_Model(), tools=[*tools])
    quiet = agents.RunConfig(tracing_disabled=True)
    return lambda: agents.Runner.run(agent, "go", run_config=quiet, max_turns=CALLS + 5)
