"""The policy's own tests: what the file expects of itself, checked before it may be put in force.

Rules:
- A test names agent, tool and arguments; tier and class come from the tool's declaration.
- A call of a tool that is not declared is denied, in tests as in service.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from pratique.capabilities.manifest import PolicyTest, microseconds
from pratique.capabilities.policy import Access, Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Capability, Value

EPOCH_OF_TESTS = 0
NEAR_NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""When a test that says no `at` is asked: a fixed time, so that a test does not fail by itself one day."""


class Declared(Protocol):
    """A tool, as far as a test needs it."""

    capability: Capability


class Tools(Protocol):
    """A table of tools."""

    def get(self, name: str) -> Declared | None:
        """Return the tool of that name, or None."""


class TestResult(Value):
    """One test: what was expected, what came, why, and which rules matched."""

    __test__ = False  # not a test of pytest's

    test: PolicyTest
    got: str
    because: str
    rules: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        """Whether the policy does what it says."""
        return self.got == self.test.expect

    @property
    def line(self) -> str:
        """The result in one line."""
        asked = f"{self.test.agent} calls {self.test.tool}"
        return f"test: {asked}: expected {self.test.expect}, got {self.got} ({self.because})"


def run_tests(policy: Policy, tools: Tools) -> list[TestResult]:
    """Run every test of the policy, by the fast path.

    Args:
        policy: the loaded policy.
        tools: the declarations that give tier and class.
    """
    snapshot = Snapshot(policy, EPOCH_OF_TESTS)
    return [_run(snapshot, tools, test) for test in policy.file.test]


def coverage(results: list[TestResult], policy: Policy) -> Iterator[str]:
    """Yield the ids of rules that match in no test."""
    matched = frozenset().union(*(result.rules for result in results))
    for rule in policy.file.rules:
        if rule.id not in matched:
            yield rule.id


def _run(snapshot: Snapshot, tools: Tools, test: PolicyTest) -> TestResult:
    tool = tools.get(test.tool)
    if tool is None:
        return TestResult(test=test, got="deny", because=f"there is no tool {test.tool!r}")
    access = access_for(snapshot.policy, test.agent, tool.capability, test.taint.value)
    arguments: Mapping[str, object] = test.args
    decision = snapshot.decide(access, lambda: arguments, microseconds(test.at or NEAR_NOW))
    return TestResult(
        test=test,
        got=decision.word,
        because=decision.because,
        rules=frozenset(reason.rule for reason in decision.reasons if reason.rule),
    )


def access_for(policy: Policy, agent: str, capability: Capability, taint: str) -> Access:
    """Return the coarse question that a call of this tool by this agent would be."""
    return Access(
        agent,
        policy.tenant_of(agent) or "",
        capability.name,
        capability.tier.value,
        capability.confidentiality.value,
        taint,
    )
