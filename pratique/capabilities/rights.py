"""What people may do in the house, by their roles: a policy of our own, in the same engine as the agents'.

Rules:
- No role, no right. Rights are only ever added up; a person has those of all their roles.
- Whoever is in an approver group of the policy in force is an `approver`. Which questions they may answer is
  decided for each question (`pratique.approvals`), and is more than this right.
- An administrator gives people and agents their way in, and answers no questions; an auditor only reads.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache

from pratique.capabilities.policy import Access, Policy
from pratique.model import Confidentiality, Taint, Tier

HOUSE = "house"


class Role(StrEnum):
    """What a person is here. `approver` follows from the policy's groups; a record gives the others."""

    OWNER = "owner"
    ADMIN = "admin"
    AUDITOR = "auditor"
    APPROVER = "approver"


GIVEN = (Role.OWNER, Role.ADMIN, Role.AUDITOR)
"""The roles that can be given to an account."""


class Right(StrEnum):
    """One thing that a person may do."""

    QUEUE_READ = "queue.read"
    QUEUE_ANSWER = "queue.answer"
    STANDING_READ = "standing.read"
    STANDING_WRITE = "standing.write"
    TRACE_READ = "trace.read"
    AUDIT_READ = "audit.read"
    TOOLS_READ = "tools.read"
    AGENTS_READ = "agents.read"
    METRICS_READ = "metrics.read"
    POLICY_READ = "policy.read"
    POLICY_APPLY = "policy.apply"
    SERVERS_READ = "servers.read"
    SERVERS_RULE = "servers.rule"
    PEOPLE_READ = "people.read"
    PEOPLE_WRITE = "people.write"
    KEYS_READ = "keys.read"
    KEYS_REVOKE = "keys.revoke"
    KEYS_ISSUE = "keys.issue"


RIGHTS = """
[agents]
approver = { owner = "pratique", tenant = "house", roles = ["answering", "looking"] }
auditor = { owner = "pratique", tenant = "house", roles = ["looking", "reading"] }
owner = { owner = "pratique", tenant = "house", roles = ["looking", "reading", "ruling"] }
admin = { owner = "pratique", tenant = "house", roles = ["looking", "opening", "ruling"] }

[[allow]]
id = "looking"
tenant = "house"
to = "looking"
tools = ["tools.read", "agents.read", "policy.read", "metrics.read", "standing.read", "servers.read"]

[[allow]]
id = "answering"
tenant = "house"
to = "answering"
tools = ["queue.read", "queue.answer", "standing.write", "trace.read"]

[[allow]]
id = "reading"
tenant = "house"
to = "reading"
tools = ["queue.read", "trace.read", "audit.read", "people.read", "keys.read"]

[[allow]]
id = "ruling"
tenant = "house"
to = "ruling"
tools = ["policy.apply", "servers.rule", "standing.write", "keys.revoke"]

[[allow]]
id = "opening"
tenant = "house"
to = "opening"
tools = ["people.read", "people.write", "keys.read", "keys.revoke", "keys.issue"]
"""


def may(roles: Iterable[str], right: Right) -> bool:
    """Return whether somebody with these roles has the right."""
    return any(_may(role, right) for role in roles)


@cache
def _rules() -> Policy:
    return Policy(RIGHTS, "the rights of people")


@cache
def _may(role: str, right: str) -> bool:
    question = Access(
        sub=role,
        dom=HOUSE,
        tool=right,
        tier=Tier.READ.value,
        label=Confidentiality.PUBLIC.value,
        taint=Taint.NONE.value,
    )
    return _rules().enforce(question, {}, 0) == "allow"
