"""What every adapter needs of a session: its tools under names that models accept, and words for outcomes.

Rules:
- Model APIs take names of letters, digits, `_` and `-` only (64 at most): `mail.read` is `mail_read` there.
- Two tools that would get the same name are an error, not a guess.
- A name that was not offered is passed on as it is: the runtime denies the call, and that is on record.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol

from pratique import Outcome, Status, ToolDeclarationError, ToolSpec

LONGEST_NAME = 64

_NOT_TAKEN = re.compile(r"[^A-Za-z0-9_-]")
_FINAL = {
    Status.DENIED: (
        "This is final: the same call will not be let through. "
        "Go on without it, or say what you could not do."
    ),
    Status.UNKNOWN: "It may have happened. Do not call it again; tell the user that a person has to look.",
}
_WAITING = "A person has not answered yet. Do not call it again; go on with what does not depend on it."


class Caller(Protocol):
    """A session, in process or over HTTP."""

    @property
    def id(self) -> str:
        """The session's id."""

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools that its agent is offered."""

    async def call(
        self, tool: str, args: Any = None, *, call_id: str | None = None, wait: float | None = None
    ) -> Outcome:
        """Call a tool."""

    async def redeem(self, ticket: str, *, wait: float | None = None) -> Outcome:
        """Go on with a pending call."""


class Offer:
    """The tools of a session under the names that a model knows them by.

    Args:
        tools: what the agent is offered.

    Raises:
        ToolDeclarationError: two of them would get the same name.
    """

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self.tools: dict[str, ToolSpec] = {}
        for tool in tools:
            name = _NOT_TAKEN.sub("_", tool.name)[:LONGEST_NAME]
            if name in self.tools:
                raise ToolDeclarationError(
                    f"{self.tools[name].name} and {tool.name} would both be offered to the model as {name}: "
                    "rename one of them"
                )
            self.tools[name] = tool

    def real(self, name: str) -> str:
        """Return the tool's own name for a name that the model gave."""
        return self.tools[name].name if name in self.tools else name


def told(outcome: Outcome) -> str:
    """Return an outcome as a model should hear it: a refusal with its reason, and that it is final."""
    if outcome.status is Status.PENDING:
        return f"{outcome.text}\n{_WAITING}"
    advice = _FINAL.get(outcome.status)
    return outcome.text if advice is None else f"{outcome.text}\n{advice}"


def question(outcome: Outcome) -> dict[str, Any]:
    """Return what a framework shows of a call that waits for a person: the ticket, and why. No arguments."""
    return {
        "type": "tool_approval",
        "ticket": outcome.ticket,
        "tool": outcome.tool,
        "because": outcome.error,
    }
