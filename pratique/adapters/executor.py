"""What every adapter needs of a session: its tools under names that models accept, and words for outcomes.

Rules:
- Model APIs take names of letters, digits, `_` and `-` only (64 at most): `mail.read` is `mail_read` there.
- Two tools that would get the same name both get another, and so does one whose name is cut: eight digits of
  the SHA-256 of its own name follow. What would still be the same is left out, and the log says so: no tool
  stands for another, and no name takes the other tools away.
- A name that was not offered is passed on as it is: the runtime denies the call, and that is on record.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import structlog

from pratique import Outcome, Status, ToolSpec

log = structlog.get_logger("pratique")

LONGEST_NAME = 64
_DIGITS = 8

_NOT_TAKEN = re.compile(r"[^A-Za-z0-9_-]")
_NOT_A_CALL = (
    "It did not run, and the same call never will: call a tool that you were given, with the arguments that "
    "it takes, or go on without it."
)
_NO_BY_POLICY = (
    "This is final: it did not run, and the same call will not be let through. "
    "Go on without it, or say what you could not do."
)
_NO_BY_PEOPLE = (
    "This is final: it did not run. Do not ask for it again, or for a way around it, unless that reason says "
    "what to change. Say what you could not do."
)
_OTHERWISE = {
    Status.PENDING: (
        "A person has not answered yet. Do not call it again; go on with what does not depend on it."
    ),
    Status.UNKNOWN: "It may have happened. Do not call it again; tell the user that a person has to look.",
    Status.FAILED: "The call failed: this is its error, not a result.",
}
_EDITED = "That is what ran, once. Do not make up for the difference by another call; say what was done."


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
    """

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        specs = list(tools)
        plain = [_NOT_TAKEN.sub("_", tool.name) for tool in specs]
        times = Counter(plain)
        names = [
            name if times[name] == 1 and len(name) <= LONGEST_NAME else _with_digits(name, tool.name)
            for name, tool in zip(plain, specs, strict=True)
        ]
        twice = {name for name, count in Counter(names).items() if count > 1}
        self.tools = {name: tool for name, tool in zip(names, specs, strict=True) if name not in twice}
        for name, tool in zip(names, specs, strict=True):
            if name in twice:
                log.warning("a tool is not offered: another has its name", tool=tool.name, name=name)

    def real(self, name: str) -> str:
        """Return the tool's own name for a name that the model gave."""
        return self.tools[name].name if name in self.tools else name


def _with_digits(plain: str, own: str) -> str:
    digits = hashlib.sha256(own.encode()).hexdigest()[:_DIGITS]
    return f"{plain[: LONGEST_NAME - _DIGITS - 1]}-{digits}"


def told(outcome: Outcome) -> str:
    """Return an outcome as a model should hear it: what happened, why, and what it should do about that.

    A refusal is final and does not invite another try; only a call that could not be one (an unknown tool,
    arguments that do not fit) may be put right.
    """
    advice = _advice(outcome)
    return f"{outcome.text}\n{advice}" if advice else outcome.text


def _advice(outcome: Outcome) -> str:
    if outcome.status is Status.DONE:
        return _EDITED if outcome.edited else ""
    if outcome.status is not Status.DENIED:
        return _OTHERWISE[outcome.status]
    if outcome.ticket:
        return _NO_BY_PEOPLE
    return _NOT_A_CALL if outcome.tier is None else _NO_BY_POLICY


def question(outcome: Outcome) -> dict[str, Any]:
    """Return what a framework shows of a call that waits for a person: the ticket, and why. No arguments."""
    return {
        "type": "tool_approval",
        "ticket": outcome.ticket,
        "tool": outcome.tool,
        "because": outcome.error,
    }
