"""Pratique: the runtime between AI agents and the tools they call.

import pratique

@pratique.tool("crm.lookup", tier="read", sources={"*": "authority"})
async def lookup(ctx: pratique.ToolContext, customer: str) -> dict[str, str]: ...

async with pratique.open_runtime("pratique.toml", tools=[lookup]) as runtime:
async with runtime.session(agent="support", user="kim@acme.example") as session:
outcome = await session.call("crm.lookup", {"customer": "8821"})
"""

from pratique.app import open_runtime
from pratique.errors import PratiqueError, ToolDeclarationError, ToolError
from pratique.model import Confidentiality, Label, Level, Outcome, Reason, Status, Taint, Tier, ToolSpec
from pratique.runtime import Runtime
from pratique.sandbox.backend import File, Limits, Work
from pratique.sessions.session import Session
from pratique.settings import Settings
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from pratique.tools.registry import Registry

__version__ = "0.1.0"

__all__ = [
    "Confidentiality",
    "File",
    "Label",
    "Level",
    "Limits",
    "Outcome",
    "PratiqueError",
    "Reason",
    "Registry",
    "Runtime",
    "Session",
    "Settings",
    "Status",
    "Taint",
    "Tier",
    "Tool",
    "ToolContext",
    "ToolDeclarationError",
    "ToolError",
    "ToolSpec",
    "Work",
    "__version__",
    "open_runtime",
    "tool",
]
