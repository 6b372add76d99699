"""Whatever was done: the chain holds, every step was allowed, and the tables are what the log says."""

from sqlalchemy import Connection

from pratique.audit.chain import Verdict
from pratique.audit.legality import Illegal, illegal
from pratique.ledger import queries
from pratique.ledger.beside import BesideLedger
from pratique.ledger.door import Ledger
from tests.house import rebuilt_state, records, state_of, verify


def lawful(ledger: Ledger) -> None:
    """Fail unless the ledger is."""
    everything = records(ledger)

    def judge(connection: Connection) -> list[Illegal]:
        return list(illegal(everything, BesideLedger(connection, ledger.vault)))

    assert ledger.read(judge) == []
    assert verify(ledger).verdict is Verdict.UNANCHORED
    assert rebuilt_state(ledger) == ledger.read(state_of)
    assert ledger.read(queries.misfiled) is None
