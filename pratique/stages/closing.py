"""Stage 7's detours: what ran has a record, also when the first try at it is refused.

Rules:
- A policy that changed while a read ran decides over its result: it leaves only if the new one allows it too,
  and not by an exception that is counted: nothing was counted before it ran.
- An outcome that cannot be recorded (too large, its vault key erased) leaves a bare record: that it ran.
- A result that nobody gets is a recorded denial.
"""

from collections.abc import Callable
from typing import Protocol

from pratique.errors import LedgerUnavailableError
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs
from pratique.ledger.sequencer import Refused
from pratique.model import Allow, Call, Decision, Outcome, Permit, Request, Result, Unresolved
from pratique.stages.enforcement import Enforcement
from pratique.stages.entries import Entries
from pratique.stages.provenance import Provenance
from pratique.stages.release import untold

MOST_POLICY_CHANGES = 25
"""How often one call looks at a policy that changes under it before it is given up."""


class Stages(Protocol):
    """The stages of a runtime, as far as they are gone through again."""

    enforcement: Enforcement

    def resolve(self, request: Request) -> Call | Unresolved:
        """Stage 1."""

    def decide(self, call: Call | Unresolved) -> Decision:
        """Stage 2."""

    async def commit(self, call: Call | Unresolved, decision: Decision) -> Permit | Outcome:
        """Stage 4."""

    def release(self, permit: Permit, result: Result) -> Outcome:
        """Stage 6."""

    async def close(self, permit: Permit, outcome: Outcome, result: Result) -> Outcome:
        """Stage 7."""


class Closing:
    """Closes calls whose outcome was refused.

    Args:
        stages: decide, release and close again.
        ledger: where the outcome goes.
        entries: makes what is committed.
        provenance: gives a session's.
    """

    def __init__(
        self, stages: Stages, ledger: Ledger, entries: Entries, provenance: Callable[[str], Provenance]
    ) -> None:
        self._stages, self._ledger, self._entries = stages, ledger, entries
        self._provenance = provenance

    async def anew(self, permit: Permit, outcome: Outcome, result: Result) -> Outcome:
        """The policy changed while a read ran: decide by the new one, and close by it.

        Args:
            permit: what ran.
            outcome: as it was released under the old policy.
            result: what the tool returned.
        """
        await self._stages.enforcement.refresh()
        call = self._stages.resolve(permit.call.request.as_asked)
        decision = self._stages.decide(call)
        if isinstance(call, Call) and isinstance(decision, Allow):
            if decision.is_used_up:
                because = "a counted exception allows it now, and a use is counted before a call runs"
            elif decision.at_least.rank <= result.level.rank:
                again = permit.model_copy(update={"call": call, "decision": decision})
                return await self._stages.close(again, self._released(again, outcome, result), result)
            else:
                because = f"it demands a {decision.at_least}"
        else:
            because = decision.because
        return await self.withhold(
            permit, f"the policy changed while it ran, and the result is withheld: {because}"
        )

    async def bare(self, permit: Permit, outcome: Outcome, problem: Exception) -> Outcome:
        """Record only that the call ran: its outcome cannot be recorded.

        Raises:
            LedgerUnavailableError: not even that can be recorded.
        """
        why = f"it ran, and its outcome ({outcome.status}) could not be recorded: {type(problem).__name__}"
        for _ in range(MOST_POLICY_CHANGES):
            final = self._stages.enforcement.no(why)
            done = await self._ledger.commit(self._entries.bare(permit, final))
            if not isinstance(done, Refused):
                return untold(permit, final, done.seq)
            if not isinstance(done.guard, EpochIs):
                break
            await self._stages.enforcement.refresh()
        raise LedgerUnavailableError(f"{permit.call.request.call_id}: {why}") from problem

    async def withhold(self, permit: Permit, why: str) -> Outcome:
        """Record that a read ran and that nobody gets its result."""
        final = await self._stages.commit(permit.call, self._stages.enforcement.no(why))
        if isinstance(final, Permit):
            raise TypeError("a denial became a permit")
        return final

    def _released(self, permit: Permit, before: Outcome, result: Result) -> Outcome:
        """Stage 6 once more: the new policy may say otherwise what comes from outside or is withheld."""
        outcome = self._stages.release(permit, result)
        if (outcome.label, outcome.value) != (before.label, before.value):
            # What the session remembers of this result under the old policy may vouch for what it must not.
            self._provenance(permit.call.request.subject.session).tracker.lose()
        return outcome
