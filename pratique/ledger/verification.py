"""Is a ledger file what it says? The chain's rules over the stored bytes, and what lies beside them.

Rules:
- A file is only read, and need not be one that this installation could write to.
- A database that SQLite itself cannot read is BROKEN, not an error.
- The index columns beside a record must say what its bytes say: otherwise a search would miss it.
- State tables must be what the log makes of them: otherwise somebody forged a state.
- Every step in the log must have been allowed when it was made (`pratique.audit.legality`): otherwise
  somebody forged a state, let a runtime act on it, and put it back.
- What the schema holds beside our tables and indexes (a trigger, a view) is named.
"""

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from pratique.audit.chain import Head, Report, Verdict, verify_chain
from pratique.audit.legality import Illegal, illegal
from pratique.audit.record import GENESIS
from pratique.errors import LedgerUnavailableError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.beside import BesideLedger
from pratique.ledger.erasure import restored
from pratique.ledger.projection import changes_state, project
from pratique.ledger.schema import foreign_objects
from pratique.ledger.vault import Vault

NOWHERE = Head(seq=0, leaf=GENESIS.hex())

MOST_SHOWN = 100
"""Illegal records that a report names."""


def verify_file(path: Path, anchor: Head | None = None) -> Report:
    """Return what verification finds in a ledger file.

    Args:
        path: the database file; it is opened for reading only.
        anchor: a head that somebody outside kept.

    Raises:
        LedgerUnavailableError: there is no such file.
    """
    if not path.is_file():
        raise LedgerUnavailableError(f"{path}: there is no such file")
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False),
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")  # one view of a log that goes on growing
            return _verify(connection, anchor, _vault_beside(path))
    except (SQLAlchemyError, ValueError, KeyError, TypeError) as problem:
        text = str(getattr(problem, "orig", None) or problem).splitlines()[0]
        return _broken(NOWHERE, anchor, f"the file is not a readable ledger: {text}")
    finally:
        engine.dispose()


def _verify(connection: Connection, anchor: Head | None, vault: Vault | None) -> Report:
    log = connection.execute(select(t.log.c.name)).scalar_one()
    report = verify_chain(queries.stored(connection), log, anchor)
    if report.verdict is Verdict.BROKEN:
        return report
    misfiled = queries.misfiled(connection)
    if misfiled is not None:
        return _broken(report.head, anchor, "its index columns do not say what the record says", misfiled)
    found = list(
        islice(illegal(queries.every_record(connection), BesideLedger(connection, vault)), MOST_SHOWN)
    )
    if found:
        return _broken(report.head, anchor, found[0].problem, found[0].seq, tuple(found))
    for erased, there in restored(connection):
        return _broken(
            report.head, anchor, f"its values are in the vault, and record {erased} erased them", there
        )
    problem = _forged(connection)
    return _broken(report.head, anchor, problem) if problem else report


def _forged(connection: Connection) -> str:
    """Return what beside the log is not what it should be, or nothing."""
    foreign, forged = foreign_objects(connection), forged_table(connection)
    if foreign:
        return f"the database holds what no ledger has: {', '.join(foreign)}"
    return f"the table {forged} is not what the log makes of it" if forged else ""


def _illegal(connection: Connection, vault: Vault | None) -> Iterator[Illegal]:
    return illegal(queries.every_record(connection), BesideLedger(connection, vault))


def _restored(connection: Connection) -> Iterator[Illegal]:
    """Yield what was erased by a record and is in the vault nevertheless."""
    for erased, there in restored(connection):
        problem = f"its values are in the vault, and record {erased} erased them"
        yield Illegal(seq=there, type="erase", problem=problem)


def _vault_beside(path: Path) -> Vault | None:
    """Return the vault whose key lies beside the file; None if there is none, or it is no key."""
    try:
        return Vault((path.parent / "vault.key").read_bytes())
    except OSError:
        return None


def forged_table(connection: Connection) -> str:
    """Return the name of the first state table that is not what the log makes of it, or nothing."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as rebuilt:
        t.metadata.create_all(rebuilt, tables=list(t.STATE))
        for _, _, body in queries.stored(connection):
            record = orjson.loads(body)
            if changes_state(record):
                project(rebuilt, record)
        differing = (table for table in t.STATE if _rows(connection, table) != _rows(rebuilt, table))
        found = next(differing, None)
    engine.dispose()
    return "" if found is None else found.name


def _rows(connection: Connection, table: Table) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in connection.execute(select(table))}


def _broken(
    head: Head,
    anchor: Head | None,
    problem: str,
    at: int | None = None,
    found: tuple[Illegal, ...] = (),
) -> Report:
    return Report(
        verdict=Verdict.BROKEN,
        records=head.seq,
        head=head,
        anchor=anchor,
        broken_at=at,
        problem=problem,
        illegal=found,
    )
