"""What a session was shown before this process served it: read back from the vault, record by record.

Rules:
- A result that was erased, or is not the one that was recorded, cannot be matched: everything is tainted.
- Where its arguments came from is read back as well, not found again: it is what was found then, and it costs
  nothing.
- A tool that is no longer declared vouches for nothing.
"""

from collections.abc import Callable, Mapping

import orjson
from sqlalchemy import Connection

from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.vault import Opened
from pratique.model import UNTAINTED, Carried, Confidentiality, Judged, Status, Tier
from pratique.stages.declared import Declared
from pratique.stages.provenance import Provenance, Shown

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
        if record["type"] == "call.outcome" and record["outcome"] != "denied" and record["tier"]:
            shown = _shown(record, _values(connection, ledger, record))
            provenance.restore(shown, declared(record["tool"]))
    return provenance


def _shown(record: queries.Record, values: Values) -> Shown:
    result, arguments, withheld = (_json(values.get(name)) for name in ("result", "args", "withheld"))
    status = Status(record["outcome"])
    done, judged = status is Status.DONE, _judged(values.get("judged"))
    return Shown(
        tool=record["tool"],
        call_id=record["call_id"],
        tier=Tier(record["tier"]),
        status=status,
        value=result if done else record["error"],
        arguments=arguments if isinstance(arguments, dict) else {},
        origins=judged.origins or None,
        kept=withheld if isinstance(withheld, dict) else {},
        confidentiality=Confidentiality(record["confidentiality"]),
        carried=_carried(values.get("carried")),
        erased=done and not _all_there(record, values),
        references=judged.references,
    )


def _judged(value: Opened | None) -> Judged:
    genuine = value is not None and value.genuine
    return Judged.model_validate_json(value.value) if value is not None and genuine else UNTAINTED


def _carried(value: Opened | None) -> tuple[Carried, ...]:
    parts = orjson.loads(value.value) if value is not None and value.genuine else ()
    return tuple(Carried.model_validate(part) for part in parts)


def _values(connection: Connection, ledger: Ledger, record: queries.Record) -> Values:
    owner = queries.subject_of(connection, record["seq"])
    known = owner is not None and ledger.learn(connection, owner)
    return queries.values(connection, ledger.vault, record) if known else {}


def _all_there(record: queries.Record, values: Values) -> bool:
    """Return whether every value that the record commits to is there, and is the one."""
    stated = (name.removesuffix("_c") for name in record if name.endswith("_c"))
    found = [values.get(name) for name in stated]
    return bool(found) and all(value is not None and value.genuine for value in found)


def _json(value: Opened | None) -> object:
    return orjson.loads(value.value) if value is not None and value.genuine else None
