"""What a session was shown before this process served it: read back from the vault, record by record.

Rules:
- A result that was erased, or is not the one that was recorded, cannot be matched: everything is tainted.
- A tool that is no longer declared vouches for nothing.
"""

from collections.abc import Callable, Mapping

import orjson
from sqlalchemy import Connection

from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.vault import Opened
from pratique.model import Tier
from pratique.stages.provenance import Declared, Provenance

Values = Mapping[str, Opened]


def remember(
    connection: Connection, ledger: Ledger, session: str, declared: Callable[[str], Declared | None]
) -> Provenance:
    """Return the provenance that a session had, rebuilt from what the ledger holds of it.

    Args:
        connection: one view of the ledger.
        ledger: its vault opens the values.
        session: the session's id.
        declared: gives what counts for a tool now; None for a tool that is gone.
    """
    opening, *records = queries.records_of(connection, session)
    said = _values(connection, ledger, opening)
    request = said.get("request")
    if request is None or not request.genuine:
        return Provenance.lost()
    provenance = Provenance(request.value.decode(), opening["plan"])
    for record in records:
        if record["type"] == "call.outcome" and record["outcome"] != "denied":
            _shown(provenance, record, _values(connection, ledger, record), declared(record["tool"]))
    return provenance


def _shown(provenance: Provenance, record: queries.Record, values: Values, of: Declared | None) -> None:
    result, arguments, withheld = (_json(values.get(name)) for name in ("result", "args", "withheld"))
    failed = record["outcome"] != "done"
    provenance.restore(
        record["tool"],
        record["call_id"],
        None if failed else of,
        record["error"] if failed else result,
        erased=not failed and not _is_there(values.get("result")),
        wrote=record["tier"] != Tier.READ,
        arguments=arguments if isinstance(arguments, dict) else {},
        kept=withheld or {},
    )


def _values(connection: Connection, ledger: Ledger, record: queries.Record) -> Values:
    owner = queries.subject_of(connection, record["seq"])
    known = owner is not None and ledger.learn(connection, owner)
    return queries.values(connection, ledger.vault, record) if known else {}


def _is_there(value: Opened | None) -> bool:
    return value is not None and value.genuine


def _json(value: Opened | None) -> object:
    return orjson.loads(value.value) if value is not None and value.genuine else None
