"""An approved definition as a tool of ours: its capability, its arguments, its body. Pure but for the body.

Rules:
- Every argument counts as one that decides where things go, and every field of the result as written by
  anybody, unless the policy file says otherwise.
- The capability's digest covers the approved definition, its tier, and what we do with it: a yes to a call
  binds to all of that.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pratique.audit.canonical import canonical
from pratique.errors import SchemaRefusedError
from pratique.model import ArgumentClass, Capability, Confidentiality, Tier
from pratique.proxy.configured import Configured
from pratique.proxy.definition import Definition
from pratique.proxy.pins import Pin
from pratique.proxy.schemas import Check, arguments_of
from pratique.tools.context import ToolContext
from pratique.tools.registry import Tool
from pratique.words import ANY

Body = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes the arguments; calls the server."""

_LARGEST: Final = 512 * 1024


def foreign_tool(server: Configured, pin: Pin, definition: Definition, body: Body) -> Tool:
    """Return an approved definition as a tool.

    Args:
        server: whose it is.
        pin: what a person said of it.
        definition: what they approved.
        body: calls the server.

    Raises:
        SchemaRefusedError: its arguments cannot be checked.
    """

    async def call(_: ToolContext, arguments: dict[str, Any]) -> Any:
        return await body(arguments)

    return Tool(capability_of(server, pin, definition), arguments_of(pin.tool, definition.input_schema), call)


def capability_of(server: Configured, pin: Pin, definition: Definition) -> Capability:
    """Return what an approved definition is declared to need and reach."""
    properties = definition.input_schema.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    facts = Capability(
        name=pin.tool,
        description=definition.description or definition.title or "",
        tier=Tier(pin.tier),
        confidentiality=server.confidentiality,
        clearance=Confidentiality.INTERNAL,
        sinks=dict.fromkeys((*names, ANY), ArgumentClass.DEST.value),
        sources={},
        ids={},
        hosts=server.hosts,
        paths={},
        secrets=tuple(sorted(set(server.stated.secrets.values()))),
        runs_in=server.level,
        takes_idempotency_key=False,
        timeout=server.timeout,
        result_limit=server.result_limit,
        parameters=definition.input_schema,
        pin=definition.digest,
        digest="",
    )
    body = canonical(facts.model_dump(mode="json"), most_bytes=_LARGEST)
    return facts.model_copy(update={"digest": hashlib.sha256(body).hexdigest()})


def output_check(definition: Definition) -> Check | None:
    """Return what holds results against the definition; None if it says nothing that can be checked."""
    if definition.output_schema is None:
        return None
    try:
        return Check(definition.output_schema)
    except SchemaRefusedError:
        return None
