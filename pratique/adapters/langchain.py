"""LangChain and LangGraph: every tool call of an agent goes through a session.

    middleware = await PratiqueMiddleware.of(session)
    agent = create_agent(model, middleware=[middleware], checkpointer=checkpointer)

A call that waits for a person is an interrupt (`{"type": "tool_approval", "ticket": …}`). Resume the thread
when the person has answered, with any value: the answer is looked up, not taken from the resume value.
Resumed too early, it interrupts again.

Rules:
- All tool calls of the agent are governed: a tool that was given to the agent beside the session's is not
  run, it is denied by its name.
- A node is run again when a thread is resumed, and asks for the same calls again: they are the same calls by
  their ids, and run once.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.types import Command, interrupt

from pratique import Outcome, Status
from pratique.adapters.executor import Caller, Offer, question, told

Answer = ToolMessage | Command[Any]


class PratiqueMiddleware(AgentMiddleware[Any, Any, Any]):
    """Offers a session's tools to a LangChain agent, and runs all of its tool calls through the session.

    Args:
        session: in process or over HTTP. Who asks and what the user said was stated when it was opened.
        offer: its tools; `await PratiqueMiddleware.of(session)` fetches them.
    """

    def __init__(self, session: Caller, offer: Offer) -> None:
        super().__init__()
        self._session, self._offer = session, offer
        self.tools: list[BaseTool] = [
            StructuredTool(
                name=name,
                description=tool.description,
                args_schema=tool.parameters,
                coroutine=_never,
                metadata={"pratique": tool.name, "tier": tool.tier.value},
            )
            for name, tool in offer.tools.items()
        ]

    @classmethod
    async def of(cls, session: Caller) -> "PratiqueMiddleware":
        """Return the middleware for a session, with the tools that its agent is offered now."""
        return cls(session, Offer(await session.tools()))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[Answer]],
    ) -> Answer:
        """Run one tool call through the session; `handler`, which would run a body here, is never called."""
        del handler
        call = request.tool_call
        outcome = await self._session.call(
            self._offer.real(call["name"]), call["args"], call_id=_id_of(call["id"])
        )
        while outcome.status is Status.PENDING:
            interrupt(question(outcome))  # the resume value is no answer: the ledger has it, or nobody has
            outcome = await self._session.redeem(outcome.ticket)
        return _message(outcome, call["name"], call["id"])

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]
    ) -> Answer:
        """Refuse: a session is asynchronous.

        Raises:
            RuntimeError: always; it says what to use instead.
        """
        del handler
        raise RuntimeError(
            f"{request.tool_call['name']} did not run: use `ainvoke` or `astream`, a session is asynchronous"
        )


async def _never(**_: Any) -> NoReturn:
    """Stand in for a body.

    Raises:
        RuntimeError: always. Whoever gets here has gone around the middleware.
    """
    raise RuntimeError("a tool of a Pratique session runs only through PratiqueMiddleware")


def _id_of(given: str | None) -> str:
    """Return the call's id.

    Raises:
        ValueError: the model gave none. Without it a replayed call would be another call, and run again.
    """
    if not given:
        raise ValueError("the model gave a tool call no id: nothing tells its replay from a second call")
    return given


def _message(outcome: Outcome, name: str, call_id: str | None) -> ToolMessage:
    return ToolMessage(
        told(outcome),
        tool_call_id=call_id or "",
        name=name,
        status="success" if outcome.status is Status.DONE else "error",
    )
