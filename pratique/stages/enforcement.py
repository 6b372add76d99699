"""Stage 2's memory: the policy in force, and the check that the fast path and plain Casbin agree.

Rules:
- A new policy is taken with one assignment. A call that was decided by the old one finds out when it commits.
- One decision in `shadow_every` is made by plain Casbin as well. If they differ, the call is denied.
"""

import time
from collections.abc import Callable

import anyio.to_thread
import structlog
from sqlalchemy import Connection

from pratique.capabilities.decide import decide, shadow
from pratique.capabilities.snapshot import Snapshot
from pratique.ledger import policies, queries
from pratique.ledger.door import Ledger
from pratique.model import Answer, Call, Decision, Deny, Reason, Unresolved
from pratique.tools.registry import Registry

log = structlog.get_logger("pratique")


class Enforcement:
    """Decides by the policy that the ledger says is in force.

    Args:
        ledger: where policies are applied.
        shadow_every: one decision in so many is made twice; 0 for none.
        registry: the tools; other programs' are taken anew together with the policy.
    """

    def __init__(self, ledger: Ledger, shadow_every: int, registry: Registry | None = None) -> None:
        self._ledger, self._shadow_every, self._registry = ledger, shadow_every, registry
        self._decisions = 0
        self.timed: Callable[[float], None] | None = None  # is told how many seconds each decision took
        self.snapshot: Snapshot = policies.in_force(ledger)

    def decide(self, call: Call | Unresolved, answer: Answer | None = None) -> Decision:
        """Return the decision on the call, now. No I/O."""
        if self.timed is None:
            return self._decide(call, answer)
        begun = time.perf_counter()
        decision = self._decide(call, answer)
        self.timed(time.perf_counter() - begun)
        return decision

    def _decide(self, call: Call | Unresolved, answer: Answer | None) -> Decision:
        now_us = self._ledger.clock()
        self._decisions += 1
        if self._shadow_every and self._decisions % self._shadow_every == 0 and isinstance(call, Call):
            differs = shadow(self.snapshot, call, now_us)
            if differs is not None:
                about = {"trace_id": call.request.subject.trace_id, "call_id": call.request.call_id}
                log.error("engine mismatch", because=differs.because, **about)
                return differs
        return decide(self.snapshot, call, now_us, answer)

    def no(self, why: str) -> Deny:
        """Return a denial that rests on something else than a rule."""
        reason = Reason(rule="", effect="deny", text=why)
        return Deny(epoch=self.snapshot.epoch, policy=self.snapshot.policy.digest, reasons=(reason,))

    async def refresh(self) -> None:
        """Take the policy that the ledger has in force, and other programs' tools that people approved."""
        if self._registry is not None:
            await anyio.to_thread.run_sync(self._registry.refresh)
        self.snapshot = await anyio.to_thread.run_sync(policies.in_force, self._ledger)

    def is_stale(self, connection: Connection) -> bool:
        """Return whether the ledger has another policy, or knows more about other programs' tools."""
        other = queries.epoch(connection) != self.snapshot.epoch
        return other or (self._registry is not None and self._registry.is_stale(connection))
