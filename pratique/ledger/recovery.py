"""After a crash: what was begun and not ended is said aloud, and never silently run again.

Rules:
- An intent without an outcome, whose writer is dead, becomes `unknown` by a record of its own.
- It is looked at again inside the transaction: two processes that start at once settle it once.
"""

from pratique.audit import drafts
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.guards import CallIsOpen
from pratique.ledger.sequencer import Entry, Receipt

DIED = "its process died before the outcome was recorded: it may or may not have taken effect"


def settle(ledger: Ledger) -> list[queries.Record]:
    """Give every orphaned intent its outcome `unknown`; return those intents.

    Raises:
        LedgerUnavailableError: it cannot be recorded.
    """
    settled = []
    for row in ledger.read(queries.open_intents):
        if ledger.writer.is_alive(row.writer):
            continue
        intent = ledger.read(lambda connection, seq=row.intent_seq: queries.record(connection, seq))  # type: ignore[misc]  # bound in the loop on purpose
        if intent is None:
            continue
        entry = Entry(drafts=(drafts.unknown(intent, DIED),), guards=(CallIsOpen(intent["seq"]),))
        if isinstance(ledger.commit_now(entry), Receipt):
            settled.append(intent)
    ledger.writer.sweep()
    return settled
