"""At the start: can this machine give every level that a tool declares, or the policy demands?

Rules:
- Only what is declared or demanded is tried, each level once, by a real launch that is taken away again.
- A level that cannot be had stops the start, with who needs it and the reason.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pratique.capabilities.isolation import demanded
from pratique.capabilities.policy import Policy
from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox.ladder import Ladder
from pratique.tools.declaration import Tool


def demand_levels(tools: Iterable[Tool], ladder: Callable[[], Ladder], policy: Policy | None = None) -> None:
    """Try every level that the tools declare, or, given a policy, that its floors lift them to beyond that.

    Args:
        tools: the registered tools.
        ladder: makes the ladder that is tried, and closed.
        policy: whose floors to try; None for the tools' own levels.

    Raises:
        SandboxUnavailableError: a level cannot be had; names the first that needs it.
    """
    missing = lacking(_declared(tools) if policy is None else _lifted(policy, tools), ladder)
    for line in missing:
        raise SandboxUnavailableError(line)


def lacking_floors(policy: Policy, tools: Iterable[Tool], ladder: Callable[[], Ladder]) -> list[str]:
    """Return a line for each level that the policy's floors demand and this machine does not give."""
    return lacking(_lifted(policy, tools), ladder)


def lacking(wanted: Mapping[Level, str], ladder: Callable[[], Ladder]) -> list[str]:
    """Try levels, beside whatever event loop the caller may be in; return a line for each that is missing.

    Args:
        wanted: level → who needs it, in words.
        ladder: makes the ladder that is tried, and closed.
    """
    if not wanted:
        return []
    # The caller may hold a running loop, and a ladder belongs to one: so a thread, and a loop of its own.
    with ThreadPoolExecutor(1, thread_name_prefix="pratique-levels") as thread:
        return thread.submit(lambda: asyncio.run(_try(wanted, ladder()))).result()


def _declared(tools: Iterable[Tool]) -> dict[Level, str]:
    wanted: dict[Level, str] = {}
    for tool in tools:
        level = tool.capability.runs_in
        if level is not Level.INLINE:
            wanted.setdefault(level, f"{tool.capability.name} runs in a {level}")
    return wanted


def _lifted(policy: Policy, tools: Iterable[Tool]) -> dict[Level, str]:
    """Return the levels that floors demand and no tool declares: those were tried already."""
    capabilities = [tool.capability for tool in tools]
    own = {capability.runs_in for capability in capabilities}
    return {
        level: f"the policy's {need.rule.id} demands a {level} for {need.tool}"
        for level, need in demanded(policy, capabilities).items()
        if level not in own
    }


async def _try(wanted: Mapping[Level, str], ladder: Ladder) -> list[str]:
    lines = []
    try:
        for level, who in wanted.items():
            try:
                await ladder.open([level])
            except SandboxUnavailableError as refused:
                lines.append(
                    f"{who}, which this machine does not give: {refused}. "
                    "`pratique doctor` says more; a weaker level is never taken instead"
                )
    finally:
        await ladder.aclose()
    return lines
