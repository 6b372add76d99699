"""What an MCP client is promised of a tool's structured result, and what it gets instead of one.

A client that was shown an output schema demands structured content of every result that is no error. A call
can also wait for a person, and a result can turn out to hold text from outside. So what is promised is the
tool's own result, or an object that says what there is in its place:

    {"pratique": {"status": "pending", "ticket": "t_…", "text": "…"}}

Rules:
- Promised is only what the tool's own declaration says, and only where nothing of it comes from outside.
- What is given as a tool's result fits its schema. What does not, goes as text.
"""

from typing import Any

import jsonschema_rs

from pratique import Outcome, Status, ToolSpec

INSTEAD = "pratique"

_INSTEAD: dict[str, Any] = {
    "type": "object",
    "description": "There is no structured result: what there is instead, as text.",
    "properties": {
        INSTEAD: {
            "type": "object",
            "properties": {
                "status": {"enum": [Status.DONE.value, Status.PENDING.value]},
                "ticket": {"type": "string", "description": "What to ask for, if a person has to agree."},
                "text": {"type": "string"},
            },
            "required": ["status", "text"],
            "additionalProperties": False,
        }
    },
    "required": [INSTEAD],
    "additionalProperties": False,
}


class Promise:
    """What is promised of the results of one tool.

    Args:
        returns: the JSON Schema (2020-12) of its result, an object.
    """

    def __init__(self, returns: dict[str, Any]) -> None:
        own = {name: value for name, value in returns.items() if name != "$defs"}
        self.schema: dict[str, Any] = {"type": "object", "anyOf": [own, _INSTEAD]}
        if "$defs" in returns:
            self.schema["$defs"] = returns["$defs"]  # references count from the root
        self._own = jsonschema_rs.Draft202012Validator(returns)

    def kept_by(self, value: Any) -> bool:
        """Return whether a value fits the tool's own schema, and is not like what stands in its place."""
        return INSTEAD not in value and self._own.is_valid(value)


def promise_of(spec: ToolSpec) -> Promise | None:
    """Return what can be promised of a tool's results; None if that is nothing."""
    returns = spec.returns or {}
    if spec.from_outside or returns.get("type") != "object":
        return None
    return Promise(returns)


def structured(outcome: Outcome, promise: Promise | None, text: str) -> Any:
    """Return the structured content of a result that is no error; None for none.

    Args:
        outcome: what came of the call.
        promise: what the client was promised of the tool.
        text: what the client is told in words.
    """
    clean = outcome.status is Status.DONE and outcome.label.integrity.value == "trusted"
    own = clean and isinstance(outcome.value, dict) and outcome.edited is None
    if promise is None:
        return outcome.value if own else None
    if own and promise.kept_by(outcome.value):
        return outcome.value
    instead = {"status": outcome.status.value, "text": text}
    return {INSTEAD: instead | ({"ticket": outcome.ticket} if outcome.status is Status.PENDING else {})}


__all__ = ["INSTEAD", "Promise", "promise_of", "structured"]
