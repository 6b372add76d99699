"""The weakest level that a call may run in: the strictest of the policy's `[[isolation]]` floors. Pure.

Rules:
- A floor counts for whom and for which tools it names, from its tier and its taint up.
- The highest of all that count is demanded. None is `inline`: what the tool declares is then enough.
- A word that is none (a tier, a taint) reaches every floor.
"""

from pratique.capabilities.policy import Access, Policy, covers, tool_match
from pratique.model import Level


def at_least(policy: Policy, access: Access) -> Level:
    """Return the weakest level that the policy allows for a call.

    Args:
        policy: the loaded policy.
        access: who asks for which tool, its tier, and how near text from outside came.
    """
    names = {"*", *policy.subjects.get(access.sub, ())}
    floors = [
        floor.level
        for floor in policy.file.isolation
        if floor.tenant == access.dom
        and floor.to in names
        and any(tool_match(access.tool, pattern) for pattern in floor.tools)
        and covers(access.tier, floor.tier.value, "deny")
        and covers(access.taint, floor.taint.value, "deny")
    ]
    return Level.highest(Level.INLINE, *floors)
