"""What a call will change, said by the tool's own code before people are asked.

Rules:
- A preview never has the effect: its handles only look (`ToolContext`, `looking`).
- It is bounded: `SECONDS` to make, `LONGEST` characters. What fails, takes longer or says more is a problem
  that the card names, and the card then refuses a yes.
- Only `ToolError` says its text; any other exception is named by its class, as when a tool runs.
"""

from pratique.errors import ToolError
from pratique.model import Call, Preview
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry

SECONDS = 5.0
LONGEST = 128 * 1024
LONGEST_PROBLEM = 400


class Previews:
    """Says what calls will change.

    Args:
        registry: the tools.
        executor: what has their handles.
    """

    def __init__(self, registry: Registry, executor: Executor) -> None:
        self._registry, self._executor = registry, executor

    async def of(self, call: Call) -> Preview:
        """Return what a call will change, as its tool says; nothing, if the tool says nothing."""
        tool = self._registry.get(call.capability.name)
        if tool is None or tool.preview is None:
            return Preview()
        try:
            text = await self._executor.look(tool, call, SECONDS)
        except (Exception, SystemExit) as problem:  # noqa: BLE001  # whatever it raises, the card refuses
            return _problem(f"what it will change cannot be said: {_words(problem)}")
        if not isinstance(text, str) or not text.strip():
            return _problem(f"{call.capability.name} said nothing about what it will change")
        if len(text) > LONGEST:
            return _problem(f"what it will change is longer than {LONGEST} characters")
        return Preview(text=text)


def _words(problem: BaseException) -> str:
    if isinstance(problem, TimeoutError):
        return f"it took longer than {SECONDS:g} s"
    return str(problem) if isinstance(problem, ToolError) else type(problem).__name__


def _problem(text: str) -> Preview:
    return Preview(problem=" ".join(text.split())[:LONGEST_PROBLEM])
