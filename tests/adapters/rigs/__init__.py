"""Each framework with a scripted model, and MCP's client, behind one face: start, see what waits, resume.

A script is a list of steps; a step is the tool calls that the model makes at once. After the last step
it answers `done`. The model knows how far it is from the conversation alone, so a restart changes nothing.

A framework is imported when its rig is asked for: an environment needs no more than the one that it tests.
"""

from importlib import import_module

from tests.adapters.rigs.rig import Rig, Step, ToolCall, Turn

RIGS = {
    "langchain": "langchain:LangChainRig",
    "pydantic-ai": "pydantic_ai:PydanticAIRig",
    "openai-agents": "openai_agents:OpenAIAgentsRig",
    "mcp-2026-07-28": "mcp:ModernRig",
    "mcp-2025-11-25": "mcp:LegacyRig",
}
"""Name → where it is."""


def rig_of(name: str) -> type[Rig]:
    """Return the rig of that name."""
    module, _, found = RIGS[name].partition(":")
    rig = getattr(import_module(f"tests.adapters.rigs.{module}"), found)
    if not (isinstance(rig, type) and issubclass(rig, Rig)):
        raise TypeError(f"{found} is no rig")
    return rig


__all__ = ["RIGS", "Rig", "Step", "ToolCall", "Turn", "rig_of"]
