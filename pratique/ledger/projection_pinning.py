"""Record → rows, for other programs' servers and their tools; see `pratique.ledger.projection`.

A tool's `state`: `new`, `changed`, `approved`, `refused`, `gone`, `unusable`. Only `approved` can be called.
`pin` is the definition that was approved last; it stays when the tool changes, so that a person sees from
what to what. `seq` is the last record that was about the row: whoever changes it compares that first.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from pratique.ledger import tables as t

Record = Mapping[str, Any]


def _add(connection: Connection, record: Record) -> None:
    """Whatever was approved of a server that is configured otherwise counts no more."""
    connection.execute(delete(t.mcp_servers).where(t.mcp_servers.c.name == record["server"]))
    connection.execute(delete(t.mcp_tools).where(t.mcp_tools.c.server == record["server"]))
    connection.execute(
        insert(t.mcp_servers).values(
            name=record["server"],
            config=record["config"],
            about=record["about"],
            added_by=record["by"],
            added_us=record["ts_us"],
            removed_us=0,
            seq=record["seq"],
        )
    )


def _remove(connection: Connection, record: Record) -> None:
    connection.execute(delete(t.mcp_tools).where(t.mcp_tools.c.server == record["server"]))
    connection.execute(
        update(t.mcp_servers)
        .where(t.mcp_servers.c.name == record["server"])
        .values(removed_us=record["ts_us"], seq=record["seq"])
    )


def _seen(connection: Connection, record: Record) -> None:
    row = connection.execute(select(t.mcp_tools).where(*_of(record))).one_or_none()
    values = {
        "tool": record["tool"],
        "state": _state(record, row),
        "seen": record["digest"],
        "seen_us": record["ts_us"],
        "least": record["least"],
        "problem": record["problem"],
        "seq": record["seq"],
    }
    if row is not None:
        connection.execute(update(t.mcp_tools).where(*_of(record)).values(**values))
    else:
        nothing = {"pin": "", "tier": "", "said_by": "", "said_us": 0, "reason": ""}
        key = {"server": record["server"], "name": record["name"]}
        connection.execute(insert(t.mcp_tools).values(**key, **values, **nothing))
    _touch(connection, record)


def _state(record: Record, row: Any) -> str:
    if record["problem"]:
        return "unusable"
    if not record["digest"]:
        return "gone"
    return "new" if row is None or not row.pin else "changed"


def _approve(connection: Connection, record: Record) -> None:
    _said(connection, record, state="approved", pin=record["digest"], tier=record["tier"], reason="")


def _refuse(connection: Connection, record: Record) -> None:
    _said(connection, record, state="refused", reason=record["reason"])


def _said(connection: Connection, record: Record, **columns: Any) -> None:
    values = {"said_by": record["by"], "said_us": record["ts_us"], "seq": record["seq"], **columns}
    connection.execute(update(t.mcp_tools).where(*_of(record)).values(**values))
    _touch(connection, record)


def _touch(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.mcp_servers).where(t.mcp_servers.c.name == record["server"]).values(seq=record["seq"])
    )


def _of(record: Record) -> tuple[Any, Any]:
    return t.mcp_tools.c.server == record["server"], t.mcp_tools.c.name == record["name"]


PINNING: Mapping[str, Callable[[Connection, Record], None]] = {
    "mcp.add": _add,
    "mcp.remove": _remove,
    "mcp.seen": _seen,
    "mcp.approve": _approve,
    "mcp.refuse": _refuse,
}
