"""CSV (RFC 4180): one line for each record, for spreadsheets and people.

Rules:
- The columns are fixed; what a record does not have is empty, lists are joined with a space.
- What a spreadsheet would run as a formula is preceded by an apostrophe (CWE-1236).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Record = Mapping[str, Any]

COLUMNS: Final = (
    "seq",
    "time",
    "type",
    "session",
    "trace_id",
    "agent",
    "tenant",
    "tool",
    "tier",
    "call_id",
    "effect",
    "outcome",
    "taint",
    "confidentiality",
    "rules",
    "lineage",
    "ticket",
    "approved_by",
    "state",
    "voter",
    "vote",
    "epoch",
    "error",
    "dur_us",
    "leaf",
)

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def row(record: Record, leaf: str) -> list[str]:
    """Return a record as the cells of one line.

    Args:
        record: any record.
        leaf: its hash, hex.
    """
    moment = datetime.fromtimestamp(record["ts_us"] / 1e6, tz=UTC)
    more = {**record, "time": f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}", "leaf": leaf}
    return [_cell(more.get(column, "")) for column in COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
