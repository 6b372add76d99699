"""Which policy is in force: applied by a record, loaded from the ledger.

Rules:
- A policy is put in force by one record that names its digest and its epoch; the text lies beside the log.
- Applying is compare-and-swap on the epoch: of two who apply at once, one is told to look again.
- What is loaded must have the digest that the record names, or nothing is decided.
"""

import hashlib
from collections.abc import Sequence

from pratique.audit import drafts
from pratique.capabilities.electing import elected, elects
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import LedgerCorruptError, PolicyError
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.guards import EpochIs
from pratique.ledger.sequencer import Entry, Refused

NOTHING = ""
"""The policy before the first one: it declares nobody, so it permits nothing."""


def in_force(ledger: Ledger) -> Snapshot:
    """Return the policy in force, ready to decide; one that permits nothing when none was applied.

    Raises:
        LedgerCorruptError: the stored text is not the one that was applied.
    """
    row = ledger.read(queries.policy_in_force)
    if row is None:
        return Snapshot(Policy(NOTHING, "the empty policy"), 0)
    if hashlib.sha256(row.text.encode()).hexdigest() != row.digest:
        raise LedgerCorruptError(f"the policy of epoch {row.epoch} is not the text that was applied")
    return Snapshot(Policy(row.text, f"the policy of epoch {row.epoch}"), row.epoch)


def apply(
    ledger: Ledger, policy: Policy, applied_by: str, expected_epoch: int, failed: Sequence[str] = ()
) -> Snapshot:
    """Put a policy in force and return it, ready to decide.

    Args:
        ledger: where.
        policy: loaded and linted; through its own tests, but for those in `failed`.
        applied_by: who does it.
        expected_epoch: the epoch that it replaces.
        failed: the tests of its own that it fails, one line each: somebody put it in force all the same.

    Raises:
        PolicyError: another policy was applied in the meantime.
    """
    epoch = expected_epoch + 1
    mine = elects(elected(_before(ledger), policy), applied_by)
    entry = Entry(
        drafts=(drafts.policy_load(epoch, policy.digest, applied_by, failed, mine),),
        guards=(EpochIs(expected_epoch),),
        blobs=((policy.digest, policy.text.encode()),),
    )
    done = ledger.commit_now(entry)
    if isinstance(done, Refused):
        raise PolicyError("policy", [f"{done.why} meanwhile; look at it and apply again"])
    return Snapshot(policy, epoch)


def _before(ledger: Ledger) -> Policy:
    """Return the policy in force; one that is damaged has let nobody do anything."""
    try:
        return in_force(ledger).policy
    except LedgerCorruptError:
        return Policy(NOTHING)


def put_in_force_failing(ledger: Ledger, epoch: int) -> bool:
    """Return whether the policy of an epoch was put in force although it failed tests of its own."""
    record = ledger.read(lambda connection: queries.policy_record(connection, epoch))
    return record is not None and bool(record.get("failed_tests"))
