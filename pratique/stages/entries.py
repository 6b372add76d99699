"""What stages 4 and 7 commit: the record, the values it commits to, and what must still be true.

Rules:
- An intent is committed only while the policy that decided is in force, the session is open and this process
  serves it, the call is new and nobody edited it, the approval is unused and bound to it, and a standing
  approval or a counted exception has uses left. Another program's tool is still the one that was approved,
  and one of ours is not called like another program's (its server may have been added meanwhile).
- A denial and a read's outcome are committed only under the policy that decided; an outcome, once per intent.
- What ran has an outcome on record even if that outcome cannot be recorded: then a bare one, without values.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from pratique.approvals.queue import asked_values
from pratique.audit import drafts
from pratique.audit.record import Draft
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.guards import (
    CallIsNew,
    CallIsOpen,
    EpochIs,
    Guard,
    SessionIsHeld,
    SessionIsOpen,
    UsesLeft,
)
from pratique.ledger.guards_approvals import ApprovalUsable, NotEdited, StandingUsable
from pratique.ledger.guards_pinning import IsOurs, PinIs, PinsAre
from pratique.ledger.sequencer import Entry
from pratique.model import Allow, Call, Decision, Deny, Label, Outcome, Permit, Result, Unresolved


class Entries:
    """Makes the entries of calls.

    Args:
        ledger: its vault encrypts the values, its writer signs the intents.
        carried: says what a call that writes carries, for the record.
    """

    def __init__(self, ledger: Ledger, carried: Callable[[Call], list[dict[str, Any]]]) -> None:
        self._ledger, self._carried = ledger, carried

    def intent(self, call: Call, decision: Allow) -> Entry:
        """Return the entry that permits one run of a call that changes the world."""
        writer = self._ledger.writer.id
        rerun = call.capability.takes_idempotency_key
        session, call_id = call.request.subject.session, call.request.call_id
        guards: list[Guard] = [
            EpochIs(decision.epoch),
            CallIsNew(session, call_id, call.digest, rerun),
            NotEdited(session, call_id, call.digest),
            SessionIsOpen(session, writer),
            *(UsesLeft(rule, most) for rule, most in decision.grants),
        ]
        if call.capability.pin:
            guards.append(PinIs(call.capability.name, call.capability.pin, call.capability.tier.value))
        else:
            guards.append(IsOurs(call.capability.name))
        yes = decision.approval
        if yes is not None:
            guards.append(ApprovalUsable(yes.ticket, call.digest, yes.card_digest, decision.epoch, rerun))
        if decision.standing is not None:
            guards.append(StandingUsable(decision.standing.id))
        values = asked_values(call)
        return self._entry(
            call, drafts.intent(call, decision, writer, self._carried(call)), values, tuple(guards)
        )

    def denial(self, call: Call | Unresolved, decision: Decision) -> Entry:
        """Return the entry that records a denial."""
        values = asked_values(call)
        guards: tuple[Guard, ...] = (EpochIs(decision.epoch),)
        if isinstance(call, Unresolved) and call.pins is not None:
            guards = (*guards, PinsAre(*call.pins))
        return self._entry(call, drafts.denied(call, decision), values, guards)

    def outcome(self, permit: Permit, outcome: Outcome, result: Result, context: Label | None) -> Entry:
        """Return the entry that closes a call. `context` is the session's label, if this result raised it."""
        draft = drafts.closed(permit, outcome, result, context)
        values = {**asked_values(permit.call), "result": result.value_json}
        if outcome.withheld:
            values["withheld"] = orjson.dumps(outcome.withheld)
        if outcome.carried:
            values["carried"] = orjson.dumps([part.model_dump() for part in outcome.carried])
        guards: tuple[Guard, ...] = (CallIsOpen(permit.intent or 0),)
        if permit.intent is None:
            held = SessionIsHeld(permit.call.request.subject.session, self._ledger.writer.id)
            guards = (EpochIs(permit.decision.epoch), held, IsOurs(permit.call.capability.name))
        return self._entry(permit.call, draft, values, guards)

    def bare(self, permit: Permit, final: Deny) -> Entry:
        """Return the entry that closes a call whose outcome cannot be recorded, without any value.

        Args:
            permit: what ran. Its intent ends as unknown; a read is denied, for nobody gets its result.
            final: says why.
        """
        if permit.intent is None:
            return Entry(drafts=(drafts.denied(permit.call, final),), guards=(EpochIs(final.epoch),))
        return Entry(drafts=(drafts.bare(permit, final.because),), guards=(CallIsOpen(permit.intent),))

    def _entry(
        self, call: Call | Unresolved, draft: Draft, values: Mapping[str, bytes], guards: tuple[Guard, ...]
    ) -> Entry:
        owner = self._ledger.vault.subject_id(call.request.subject.user)
        kept = self._ledger.seal(owner, queries.about(draft), values)
        return Entry(drafts=({**draft, **kept.commitments},), values=(kept,), guards=guards)
