"""What another program's tool answered, as a JSON value for an agent. Pure.

Rules:
- All of it is from outside, an error as well: it is a value, so that it is labelled like any other.
- What the answer has for clients (`_meta`, annotations, icons) is dropped.
"""

from collections.abc import Mapping
from typing import Any

from pratique.errors import OutcomeUnknownError
from pratique.proxy.schemas import Check

_FOR_CLIENTS = frozenset({"_meta", "annotations", "icons"})


def value_of(tool: str, answer: Mapping[str, Any], check: Check | None) -> Any:
    """Return the value of a call.

    Args:
        tool: what it is called here.
        answer: the JSON of a `CallToolResult`.
        check: holds structured content against what the tool says that it returns.

    Returns:
        `{"error": …}` if the server says that the call failed; else its structured content if there is any;
        else its text, if all of its content is text; else `{"content": [blocks]}`.

    Raises:
        OutcomeUnknownError: the call ran, and its answer is not what the tool says that it returns.
    """
    content = _content(answer.get("content") or [])
    if answer.get("isError"):
        return {"error": content}
    structured = answer.get("structuredContent")
    if structured is None:
        return content
    if check is not None:
        for place, problem in check.problems(structured):
            where = "/".join(map(str, place))[:100]
            raise OutcomeUnknownError(
                f"{tool} ran, and answered what its output schema does not allow ({where}: {problem[:200]})"
            )
    return structured


def _content(blocks: Any) -> Any:
    if all(isinstance(block, dict) and block.get("type") == "text" for block in blocks):
        return "\n".join(str(block.get("text", "")) for block in blocks)
    return {"content": [_without(block) for block in blocks]}


def _without(block: Any) -> Any:
    if isinstance(block, dict):
        return {key: _without(item) for key, item in block.items() if key not in _FOR_CLIENTS}
    return block
