"""Changes one byte in a copy of a log, as somebody who can write to its file would.

Rules:
- Only ever a copy.
- The byte is in the record of a person's answer: after the change it says that somebody else agreed.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pratique.errors import LedgerCorruptError


class Change(NamedTuple):
    """One changed byte: where, and what stands there now."""

    copy: Path
    seq: int
    offset: int
    before: str
    after: str


def tamper(ledger: Path, copy: Path) -> Change:
    """Copy a ledger file that nobody has open, and change who answered the last question in the copy.

    Raises:
        LedgerCorruptError: the log holds no answer.
    """
    shutil.copyfile(ledger, copy)
    seq, body = _last_answer(copy)
    name = body.index(b'"voter":"') + len(b'"voter":"')
    written = copy.read_bytes()
    offset = written.index(body) + name
    changed = bytes([written[offset] ^ 0x01])
    with copy.open("r+b") as file:
        file.seek(offset)
        file.write(changed)
    end = body.index(b'"', name)
    before = body[name:end].decode()
    return Change(copy, seq, offset, before, changed.decode() + before[1:])


def _last_answer(path: Path) -> tuple[int, bytes]:
    with closing(sqlite3.connect(path)) as database:
        row = database.execute(
            "SELECT seq, body FROM records WHERE type = 'approval.vote' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
    if row is None:
        raise LedgerCorruptError("nobody answered anything in this log, so there is no answer to change")
    return int(row[0]), bytes(row[1])
