"""OpenTelemetry: one span for each call that ended, and one for each session, as OTLP's JSON.

Follows OTLP 1 (JSON Protobuf encoding: ids in hex, 64-bit integers as text) and the semantic conventions for
generative AI, which are in development: `invoke_agent` and `execute_tool`. What they have no name for is
under `pratique.`.

Rules:
- A span's id is made from what it is about, so that an export that is repeated gives the same spans.
- A line is one `TracesData`, as the file exporter writes it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

Record = Mapping[str, Any]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.37.0"
INTERNAL, OK, ERROR = 1, 1, 2

_STATED: Final = ("tier", "taint", "confidentiality", "effect", "outcome", "ticket", "level", "policy_digest")
_LISTED: Final = ("rules", "approved_by", "lineage")


def span(record: Record, opened_us: int = 0) -> dict[str, Any] | None:
    """Return the span of a record, or None when it ends nothing.

    Args:
        record: any record.
        opened_us: for the end of a session, when it was opened; microseconds since the epoch.
    """
    if record["type"] == "call.outcome":
        return _call(record)
    if record["type"] == "session.close":
        return _session(record, opened_us)
    return None


def traces(spans: Iterable[dict[str, Any]], log: str, version: str) -> dict[str, Any]:
    """Return spans as one `TracesData`."""
    resource = {"attributes": attributes({"service.name": "pratique", "pratique.log": log})}
    scope = {"name": "pratique", "version": version}
    scoped = {"scope": scope, "spans": list(spans), "schemaUrl": SCHEMA}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP writes them; empty ones are left out."""
    return [
        {"key": key, "value": _any(value)} for key, value in values.items() if value not in ("", None, [])
    ]


def _call(record: Record) -> dict[str, Any]:
    failed = record["outcome"] != "done"
    about = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": record["tool"],
        "gen_ai.tool.call.id": record["call_id"],
        "gen_ai.tool.type": "function",
        "gen_ai.agent.name": record["agent"],
        "gen_ai.conversation.id": record["session"],
        "error.type": record["outcome"] if failed else "",
        "pratique.record": record["seq"],
        "pratique.epoch": record["epoch"],
        **{f"pratique.{name}": record.get(name) for name in (*_STATED, *_LISTED)},
    }
    return {
        "traceId": record["trace_id"],
        "spanId": _id(record["session"], record["call_id"], record["digest"], str(record["seq"])),
        "parentSpanId": _id(record["session"]),
        "name": f"execute_tool {record['tool']}",
        "kind": INTERNAL,
        "startTimeUnixNano": _nanoseconds(record["ts_us"] - record.get("dur_us", 0)),
        "endTimeUnixNano": _nanoseconds(record["ts_us"]),
        "attributes": attributes(about),
        "status": {"code": ERROR, "message": record["error"]} if failed else {"code": OK},
    }


def _session(record: Record, opened_us: int) -> dict[str, Any]:
    about = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": record["agent"],
        "gen_ai.conversation.id": record["session"],
        "pratique.final_action": record["final_action"],
        "pratique.record": record["seq"],
    }
    return {
        "traceId": record["trace_id"],
        "spanId": _id(record["session"]),
        "name": f"invoke_agent {record['agent']}",
        "kind": INTERNAL,
        "startTimeUnixNano": _nanoseconds(opened_us or record["ts_us"]),
        "endTimeUnixNano": _nanoseconds(record["ts_us"]),
        "attributes": attributes(about),
        "status": {},
    }


def _any(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any(item) for item in value]}}
    return {"stringValue": str(value)}


def _id(*about: str) -> str:
    return hashlib.sha256("\x00".join(about).encode()).hexdigest()[:16]


def _nanoseconds(moment_us: int) -> str:
    return str(moment_us * 1000)
