"""A new file of what stands in a damaged one: the records that can be read, from the first on, with values.

Rules:
- The damaged file is kept, with its SHA-256 in the record. The new one takes its place in one step.
- State tables and the tree are made from the records, not copied.
- A log whose beginning was sealed and dropped is not made anew: put back a copy.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from pratique.audit.chain import verify_chain
from pratique.audit.merkle import TILE
from pratique.errors import RecoveryRefusedError
from pratique.ledger.database import immediate, prepare, writer_engine
from pratique.ledger.projection import changes_state, project
from pratique.ledger.readonly import read_only
from pratique.ledger.tree import grow, leaves

_TABLES: Final = ("log", "vault_keys", "blobs")
"""What is copied as it is, as far as it can be read."""

_APPEND: Final = "INSERT INTO records (seq, type, session, call, leaf, body) VALUES (?, ?, ?, ?, ?, ?)"


def whole_prefix(path: Path) -> int:
    """Return how many records from the first one on can be read and fit together."""
    return verify_chain(_salvaged(path), _log_of(path)).records


def _salvaged(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield records one by one, up to the first that cannot be read."""
    with contextlib.suppress(sqlite3.DatabaseError), closing(_opened(path)) as driver:
        seq = 0
        while True:
            seq += 1
            row = driver.execute("SELECT seq, leaf, body FROM records WHERE seq = ?", (seq,)).fetchone()
            if row is None:
                return
            yield row


def _log_of(path: Path) -> str:
    with contextlib.suppress(sqlite3.DatabaseError, TypeError), closing(_opened(path)) as driver:
        return str(driver.execute("SELECT name FROM log").fetchone()[0])
    return ""


def _opened(path: Path) -> sqlite3.Connection:
    """Open a damaged file for reading. SQLite refuses one that is too short, unless told not to."""
    driver = sqlite3.connect(read_only(path), uri=True, isolation_level=None)
    driver.execute("PRAGMA writable_schema=ON")
    return driver


def salvage(folder: Path) -> dict[str, Any]:
    """Put a new file in the place of a damaged one, which is kept; return what the record says of it.

    Raises:
        RecoveryRefusedError: not one record of it can be read.
    """
    path, made = folder / "ledger.db", folder / "ledger.db.recovering"
    made.unlink(missing_ok=True)
    prepare(made)
    kept = _copy(path, made)
    if not kept:
        made.unlink()
        raise RecoveryRefusedError(
            "nothing of it can be read from its first record on: put back the newest copy"
        )
    digest, size = _digest(path), path.stat().st_size
    aside = folder / f"ledger.db.damaged-{digest[:12]}"
    if not aside.exists():
        os.link(path, aside)
    wal = folder / "ledger.db-wal"
    if wal.exists():
        wal.rename(folder / f"{aside.name}-wal")
    (folder / "ledger.db-shm").unlink(missing_ok=True)
    made.replace(path)
    return {"damaged": aside.name, "damaged_bytes": size, "damaged_sha256": digest}


def _copy(path: Path, made: Path) -> int:
    """Copy records and what lies beside them, and make the state from them; return how many records."""
    log = _log_of(path)
    whole = verify_chain(_salvaged(path), log).records
    if not whole:
        return 0
    engine = writer_engine(made)
    try:
        with engine.connect() as connection, immediate(connection) as driver, closing(_opened(path)) as old:
            for table in _TABLES:
                _copy_table(old, driver, table)
            for seq, leaf, body in _salvaged(path):
                if seq > whole:
                    break
                record = orjson.loads(body)
                where = (record["type"], record.get("session", ""), record.get("call_id", ""))
                driver.execute(_APPEND, (seq, *where, leaf, body))
                _copy_values(old, driver, seq)
                if changes_state(record):
                    project(connection, record)
            _copy_table(old, driver, "checkpoints", f"WHERE size <= {whole}")
            for tile in range(whole // TILE):
                grow(driver, tile, leaves(driver, tile))
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.dispose()
    return whole


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, where: str = "") -> None:
    """Copy the rows that can be read."""
    with contextlib.suppress(sqlite3.DatabaseError):
        for row in old.execute(f"SELECT * FROM {table} {where}"):  # noqa: S608  # our own names
            marks = ", ".join("?" * len(row))
            new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608  # as above


def _copy_values(old: sqlite3.Connection, new: sqlite3.Connection, seq: int) -> None:
    with contextlib.suppress(sqlite3.DatabaseError):
        row = old.execute("SELECT seq, subject, sealed FROM vault WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            new.execute("INSERT INTO vault (seq, subject, sealed) VALUES (?, ?, ?)", row)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
