"""CloudEvents 1.0 in JSON: one event for each record.

Rules:
- `source` and `id` are log and number, so a receiver can tell what it has already.
- `traceparent` is the distributed-tracing extension: the session's trace.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Record = Mapping[str, Any]


def event(record: Record, leaf: str) -> dict[str, Any]:
    """Return a record as a CloudEvent.

    Args:
        record: any record.
        leaf: its hash, hex.
    """
    made: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(record["seq"]),
        "source": f"urn:pratique:{record['log']}",
        "type": f"dev.pratique.{record['type']}",
        "time": f"{datetime.fromtimestamp(record['ts_us'] / 1e6, tz=UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "datacontenttype": "application/json",
        "leafhash": leaf,
        "data": dict(record),
    }
    if record.get("call_id"):
        made["subject"] = f"{record['session']}/{record['call_id']}"
    elif record.get("session"):
        made["subject"] = record["session"]
    if record.get("trace_id"):
        span = hashlib.sha256(record["session"].encode()).hexdigest()[:16]
        made["traceparent"] = f"00-{record['trace_id']}-{span}-01"
    return made
