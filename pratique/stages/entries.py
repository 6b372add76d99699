"""What stages 4 and 7 commit: the record, the values it commits to, and what must still be true.

Rules:
- An intent is committed only while the policy that decided is in force, the session is open and this process
  serves it, the call is new and nobody edited it, the approval is unused and bound to it, and a standing
  approval or a counted exception has uses left.
- A denial and a read's outcome are committed only under the policy that decided; an outcome, once per intent.
"""

from collections.abc import Mapping

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
from pratique.ledger.sequencer import Entry
from pratique.model import Allow, Call, Decision, Label, Outcome, Permit, Result, Unresolved


class Entries:
    """Makes the entries of calls.

    Args:
        ledger: its vault encrypts the values, its writer signs the intents.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

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
        yes = decision.approval
        if yes is not None:
            guards.append(ApprovalUsable(yes.ticket, call.digest, yes.card_digest, decision.epoch, rerun))
        if decision.standing is not None:
            guards.append(StandingUsable(decision.standing.id))
        values = asked_values(call)
        return self._entry(call, drafts.intent(call, decision, writer), values, tuple(guards))

    def denial(self, call: Call | Unresolved, decision: Decision) -> Entry:
        """Return the entry that records a denial."""
        values = asked_values(call)
        return self._entry(call, drafts.denied(call, decision), values, (EpochIs(decision.epoch),))

    def outcome(self, permit: Permit, outcome: Outcome, result: Result, context: Label | None) -> Entry:
        """Return the entry that closes a call. `context` is the session's label, if this result raised it."""
        draft = drafts.closed(permit, outcome, result, context)
        values = {**asked_values(permit.call), "result": result.value_json}
        if outcome.withheld:
            values["withheld"] = orjson.dumps(outcome.withheld)
        guards: tuple[Guard, ...] = (CallIsOpen(permit.intent or 0),)
        if permit.intent is None:
            held = SessionIsHeld(permit.call.request.subject.session, self._ledger.writer.id)
            guards = (EpochIs(permit.decision.epoch), held)
        return self._entry(permit.call, draft, values, guards)

    def _entry(
        self, call: Call | Unresolved, draft: Draft, values: Mapping[str, bytes], guards: tuple[Guard, ...]
    ) -> Entry:
        owner = self._ledger.vault.subject_id(call.request.subject.user)
        kept = self._ledger.seal(owner, queries.about(draft), values)
        return Entry(drafts=({**draft, **kept.commitments},), values=(kept,), guards=guards)
