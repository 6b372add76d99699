"""The rows of the table: policies that allow everything, and differ in what asks."""

import re
from dataclasses import dataclass

from benchmarks.agentdojo.declarations import ROUTES, TEMPLATES

APPROVER = "approver@bench.example"

OPEN = f"""
[agents.dojo]
owner = "{APPROVER}"

[groups]
approvers = ["{APPROVER}"]

[[allow]]
id = "everything"
to = "dojo"
tools = ["*"]
tier = "irreversible"
confidentiality = "restricted"
taint = "sink"
"""


@dataclass(frozen=True)
class Preset:
    """One row of the table."""

    label: str
    name: str = ""
    plan: bool = False
    identities: bool = False

    @property
    def policy(self) -> str:
        """The policy file of the row."""
        if not self.name:
            return OPEN
        section = (
            f'name = "{self.name}"\napprovers = "approvers"\nidentities = {str(self.identities).lower()}'
        )
        return f"{OPEN}\n[preset]\n{section}\n"

    def plan_for(self, request: str) -> list[str] | None:
        """Return the union of the templates that the request's words call for, if the row has plans."""
        if not self.plan:
            return None
        found = (TEMPLATES[name] for pattern, name in ROUTES if re.search(pattern, request, re.IGNORECASE))
        return sorted(f"dojo.{tool}" for tool in frozenset[str]().union(*found))


PROVENANCE = Preset("provenance", "provenance")

PRESETS = (
    Preset("no gate"),
    Preset("strict", "strict"),
    PROVENANCE,
    Preset("provenance + identities of named records", "provenance", identities=True),
    Preset("provenance + plan", "provenance", plan=True),
    Preset("provenance + plan + identities", "provenance", plan=True, identities=True),
)
