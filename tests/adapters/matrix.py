"""What is tested of each adapter: every case, in every framework, through every door it has."""

from collections.abc import Callable
from typing import Any, NamedTuple

FRAMEWORKS = ("langchain", "pydantic-ai", "openai-agents")
PROTOCOLS = ("mcp-2026-07-28", "mcp-2025-11-25")


class Combination(NamedTuple):
    """A framework, and the door that its session comes through."""

    framework: str
    door: str


COMBINATIONS = [
    *(Combination(name, door) for name in (*FRAMEWORKS, *PROTOCOLS) for door in ("in process", "over HTTP")),
    *(Combination(name, "Streamable HTTP") for name in PROTOCOLS),
]

CASES = (
    "allow",
    "ask → approve",
    "ask → reject",
    "ask → expire",
    "ask → edit and approve",
    "ask → edit, restart, approve",
    "ask → edit, then reject",
    "deny",
    "arguments that do not fit",
    "a tool that is not offered",
    "replayed hook",
    "forged resume",
    "arguments altered before approval",
    "arguments altered after approval",
    "restart between ask and answer",
    "parallel calls",
    "streaming run",
    "streaming run, parallel calls",
    "cancelled run",
    "error of the tool",
    "exception in the tool",
    "oversize result",
    "text from outside",
)
"""The cases, as the documentation lists them."""

HELD: dict[str, list[str]] = {}
"""Case → the tests that hold it."""


def holds(*cases: str) -> Callable[[Any], Any]:
    """Say of a test which cases it holds."""

    def mark(test: Any) -> Any:
        for case in cases:
            HELD.setdefault(case, []).append(test.__name__)
        return test

    return mark
