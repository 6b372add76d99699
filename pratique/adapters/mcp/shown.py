"""What an MCP client is shown: tools with their tier as hints, outcomes as results, questions as links.

Rules:
- Hints say what the tool may do to the world. What is not known is stated as the worse.
- Structured content is for programs, and has no marks around text from outside. So it is given only of a
  result in which nothing comes from outside; any other is marked text, as a model should read it.
"""

from typing import Any

import mcp_types as types

from pratique import Outcome, Status, Tier, ToolSpec
from pratique.adapters.executor import told
from pratique.adapters.mcp.structure import Promise, structured

TICKET_TOOL = "pratique_ticket"
"""The tool by which a client asks what became of a call that waits."""

LONGEST_WAIT = 60.0
"""Seconds that one request of `TICKET_TOOL` may wait for a person."""

_TICKET_SPEC = types.Tool(
    name=TICKET_TOOL,
    description=(
        "Ask what became of a call that waits for a person. If the person agreed, the call runs now, exactly "
        "as it was asked, and this returns its result. It never runs twice. Use it instead of calling the "
        "tool again."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "ticket": {"type": "string", "description": "The ticket that the waiting call was given."},
            "wait": {
                "type": "number",
                "minimum": 0,
                "maximum": LONGEST_WAIT,
                "default": 0,
                "description": "Seconds to wait for an answer that is not there yet.",
            },
        },
        "required": ["ticket"],
        "additionalProperties": False,
    },
    annotations=types.ToolAnnotations(
        title="Go on with a waiting call",
        read_only_hint=False,
        destructive_hint=True,
        idempotent_hint=True,
        open_world_hint=True,
    ),
)


def tool_of(name: str, spec: ToolSpec, promise: Promise | None) -> types.Tool:
    """Return a tool as an MCP client is offered it.

    Args:
        name: what the client calls it.
        spec: what it is.
        promise: what is promised of its structured results.
    """
    return types.Tool(
        name=name,
        title=spec.name,
        description=spec.description,
        input_schema={"type": "object", **spec.parameters},
        output_schema=None if promise is None else promise.schema,
        annotations=hints(spec),
        _meta={"pratique/tool": spec.name, "pratique/tier": spec.tier.value, "pratique/digest": spec.digest},
    )


def ticket_tool() -> types.Tool:
    """Return the tool by which a client asks what became of a call that waits."""
    return _TICKET_SPEC.model_copy(deep=True)


def hints(spec: ToolSpec) -> types.ToolAnnotations:
    """Return what a tool can do as the protocol's hints (specification 2026-07-28, ToolAnnotations)."""
    return types.ToolAnnotations(
        read_only_hint=spec.tier is Tier.READ,
        destructive_hint=spec.tier is Tier.IRREVERSIBLE,
        idempotent_hint=spec.tier is Tier.READ,
        open_world_hint=spec.open_world,
    )


def result_of(outcome: Outcome, promise: Promise | None = None) -> types.CallToolResult:
    """Return an outcome as a result. A call that waits is no error: its text says what to do.

    Args:
        outcome: what came of the call.
        promise: what the client was promised of the tool's structured results.
    """
    text = _waiting(outcome) if outcome.status is Status.PENDING else told(outcome)
    error = outcome.status not in {Status.DONE, Status.PENDING}
    meta: dict[str, Any] = {
        "pratique/status": outcome.status.value,
        "pratique/call": outcome.call_id,
        "pratique/record": outcome.record,
        "pratique/ticket": outcome.ticket or None,
    }
    return types.CallToolResult(
        content=[types.TextContent(text=text)],
        structured_content=None if error else structured(outcome, promise, text),
        is_error=error,
        _meta={name: value for name, value in meta.items() if value is not None},
    )


def refusal(text: str) -> types.CallToolResult:
    """Return what is said of a request that came to no call, so that a model can read why."""
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def question_of(outcome: Outcome, url: str, state: str, *, again: bool) -> types.InputRequiredResult:
    """Return a pending call as a link to its question (specification 2026-07-28, URL-mode elicitation).

    Args:
        outcome: the pending call.
        url: its card, for the person who may answer.
        state: what the client has to give back when it asks again.
        again: whether the client has asked before.
    """
    message = f"{outcome.tool} waits for a person's answer ({outcome.ticket})."
    if again:
        message = f"Nobody has answered yet. {message}"
    params = types.ElicitRequestURLParams(message=message, url=url)
    return types.InputRequiredResult(
        input_requests={outcome.ticket: types.ElicitRequest(params=params)}, request_state=state
    )


def _waiting(outcome: Outcome) -> str:
    return (
        f"{outcome.error}\n"
        f"It has not run. A person answers this elsewhere; you cannot. Go on with what does not depend on "
        f'it, then ask {TICKET_TOOL} with {{"ticket": "{outcome.ticket}"}} what became of it.'
    )


__all__ = [
    "LONGEST_WAIT",
    "TICKET_TOOL",
    "hints",
    "question_of",
    "refusal",
    "result_of",
    "ticket_tool",
    "tool_of",
]
