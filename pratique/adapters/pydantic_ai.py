"""Pydantic AI: a toolset whose tools run through a session.

    agent = Agent(model, toolsets=[PratiqueToolset(session)], output_type=[str, DeferredToolRequests])

A call that waits for a person ends the run with `DeferredToolRequests`; its metadata has the ticket. When the
person has answered, run the agent again with the messages and
`DeferredToolResults(approvals={call_id: True})`: that says only that the run may go on. What the person said
is looked up; if nobody has answered yet, the run ends with the same request again.

Rules:
- Arguments are validated by the runtime, not by the framework: what it denies is on record.
- A refusal reaches the model as a failed call with its reason, which does not ask it to try again.
"""

from typing import Any, Generic

from pydantic_ai import RunContext, ToolDefinition
from pydantic_ai.exceptions import ApprovalRequired, ToolFailed
from pydantic_ai.tools import AgentDepsT
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from pratique import Status
from pratique.adapters.executor import Caller, Offer, question, told

_AS_THEY_ARE = SchemaValidator(core_schema.dict_schema(keys_schema=core_schema.str_schema()))


class PratiqueToolset(AbstractToolset[AgentDepsT], Generic[AgentDepsT]):
    """A session's tools, for a Pydantic AI agent.

    Args:
        session: in process or over HTTP. Who asks and what the user said was stated when it was opened.
        id: names the toolset, for durable execution.
    """

    def __init__(self, session: Caller, *, id: str | None = "pratique") -> None:  # noqa: A002  # the framework's word
        self._session, self._id = session, id
        self._offer = Offer(())

    @property
    def id(self) -> str | None:
        """The toolset's id."""
        return self._id

    async def get_tools(self, ctx: RunContext[AgentDepsT]) -> dict[str, ToolsetTool[AgentDepsT]]:
        """Return the tools that the session's agent is offered now."""
        del ctx
        self._offer = Offer(await self._session.tools())
        return {
            name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(
                    name=name,
                    description=tool.description,
                    parameters_json_schema=tool.parameters,
                    metadata={"pratique": tool.name, "tier": tool.tier.value},
                ),
                max_retries=0,
                args_validator=_AS_THEY_ARE,
            )
            for name, tool in self._offer.tools.items()
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[AgentDepsT], tool: ToolsetTool[AgentDepsT]
    ) -> Any:
        """Run one tool call through the session.

        Raises:
            ApprovalRequired: it waits for a person.
            ToolFailed: it did not run, or failed; the model is told why.
            ValueError: the model gave it no id.
        """
        del tool
        if not ctx.tool_call_id:
            raise ValueError("the model gave a tool call no id: nothing tells its replay from a second call")
        outcome = await self._session.call(self._offer.real(name), tool_args, call_id=ctx.tool_call_id)
        if outcome.status is Status.PENDING:
            raise ApprovalRequired(metadata=question(outcome))
        if outcome.status is not Status.DONE:
            raise ToolFailed(told(outcome))
        return told(outcome)
