"""One run as operators reconstruct it: who asked for what, what was decided and by whom, what came of it.

Rules:
- Everything comes from the chain and the vault, and a value only if the record's commitment fits it.
- Secrets and personal data are taken out of every text on the way; what was erased says so. Addresses and
  bank accounts stay in arguments, results and origins: where things went is what a trace is for.
- `decision` is what the policy said: `ask` stays `ask`, and `approved_by` says who agreed.
"""

from collections.abc import Callable
from typing import Any

import orjson
from sqlalchemy import Connection

from pratique.errors import UnknownSessionError
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.redaction import Kind, Redaction

ERASED = "[erased]"
FORGED = "[does not match the record]"

Values = Callable[[queries.Record], dict[str, Any]]


def trace(
    connection: Connection, ledger: Ledger, name: str, redaction: Redaction | None = None
) -> dict[str, Any]:
    """Return the trace of the session with this id or trace id.

    Args:
        connection: to the ledger's database.
        ledger: whose vault holds the values.
        name: the id.
        redaction: what is taken out of it; left out, all that can be.

    Raises:
        UnknownSessionError: there is no such session.
    """
    row = queries.session(connection, name)
    if row is None:
        raise UnknownSessionError(f"no session or trace is called {name!r}; see `pratique trace list`")
    records = queries.records_of(connection, row.id)
    redaction = redaction or Redaction()

    def values(record: queries.Record) -> dict[str, Any]:
        return _values(connection, ledger, record, redaction)

    opening = records[0]
    closing = next((r for r in records if r["type"] == "session.close"), None)
    said = values(opening)
    inputs = said.get("inputs", {})
    return {
        "trace_id": row.trace_id,
        "session": row.id,
        "agent": row.agent,
        "user_id": said.get("user", ERASED),
        "model": opening["model"],
        "policy": {"epoch": opening["epoch"], "digest": opening["policy_digest"]},
        "started_us": row.opened_us,
        "ended_us": row.closed_us or None,
        "inputs": {
            **(inputs if isinstance(inputs, dict) else {"inputs": inputs}),
            "redacted_prompt": said.get("request", ERASED),
        },
        "context": _context(row),
        "tool_calls": _calls(records, values, redaction),
        "output": values(closing).get("output", ERASED) if closing else None,
        "final_action": closing["final_action"] if closing else None,
    }


def _context(row: Any) -> dict[str, Any]:
    return {
        "integrity": row.integrity,
        "confidentiality": row.confidentiality,
        "sources": orjson.loads(row.sources),
    }


def _calls(records: list[queries.Record], values: Values, redaction: Redaction) -> list[dict[str, Any]]:
    """Fold a session's records into one entry a call, in the order in which the calls were first heard of."""
    calls: dict[tuple[str, str], dict[str, Any]] = {}
    by_ticket: dict[str, dict[str, Any]] = {}
    for record in records:
        if "digest" in record:
            key = (record["call_id"], record["digest"])
            entry = calls.setdefault(key, _new_call(record))
            _FOLD[record["type"]](entry, record)
            if record.get("ticket"):
                by_ticket[record["ticket"]] = entry
            found = values(record)
            entry["args"] = found.get("args", entry["args"])
            entry["result"] = found.get("result", entry["result"])
            entry["origins"] = _origins(found.get("judged")) or entry["origins"]
            entry["error"] = redaction.text(record.get("error") or entry["error"])
        elif record.get("ticket") in by_ticket:
            _FOLD[record["type"]](by_ticket[record["ticket"]], record)
    return list(calls.values())


def _new_call(record: queries.Record) -> dict[str, Any]:
    return {
        "tool": record["tool"],
        "args": ERASED,
        "decision": record["effect"],
        "approved_by": [],
        "call_id": record["call_id"],
        "tier": record["tier"],
        "taint": record["taint"],
        "status": "pending",
        "reasons": record["reasons"],
        "rules": record["rules"],
        "ticket": record["ticket"],
        "policy_epoch": record["epoch"],
        "origins": [],
        "error": "",
        "label": {"confidentiality": record["confidentiality"], "taint": record["taint"]},
        "label_out": None,
        "result": None,
        "duration_us": None,
        "records": [],
        "started_us": record["ts_us"],
    }


def _origins(judged: Any) -> list[dict[str, Any]]:
    """Return where each argument came from: the message and the span, where there is one."""
    if not isinstance(judged, dict):
        return []
    return [
        {
            "argument": origin["argument"],
            "value": origin["value"],
            "from": origin["kind"],
            "source": (origin["source"] or {}).get("id", ""),
            "excerpt": origin["excerpt"],
            "span": origin["span"],
            "how": origin["how"],
        }
        for origin in judged["origins"]
        if origin["kind"] != "literal"
    ]


def _proposed(entry: dict[str, Any], record: queries.Record) -> None:
    entry.update(decision="ask", status="pending", ticket=record["ticket"])
    entry["records"].append(record["seq"])


def _intent(entry: dict[str, Any], record: queries.Record) -> None:
    entry.update(status="started", approved_by=record["approved_by"])
    entry["records"].append(record["seq"])


def _outcome(entry: dict[str, Any], record: queries.Record) -> None:
    entry.update(
        status=record["outcome"],
        approved_by=record["approved_by"],
        reasons=record["reasons"],
        duration_us=record.get("dur_us"),
        label_out=record.get("label_out"),
    )
    if not record["ticket"]:
        entry["decision"] = record["effect"]
    entry["records"].append(record["seq"])


def _voted(entry: dict[str, Any], record: queries.Record) -> None:
    entry.setdefault("votes", []).append({key: record[key] for key in ("voter", "vote", "reason")})
    entry["records"].append(record["seq"])


def _decided(entry: dict[str, Any], record: queries.Record) -> None:
    entry["status"] = record["state"]
    if record["state"] == "approved":
        entry["approved_by"] = record["approvers"]
    entry["records"].append(record["seq"])


_FOLD: dict[str, Callable[[dict[str, Any], queries.Record], None]] = {
    "approval.proposed": _proposed,
    "approval.vote": _voted,
    "approval.decided": _decided,
    "approval.expired": _decided,
    "call.intent": _intent,
    "call.outcome": _outcome,
}


def _values(
    connection: Connection, ledger: Ledger, record: queries.Record, redaction: Redaction
) -> dict[str, Any]:
    """Return a record's values as JSON values or text, redacted."""
    subject = queries.subject_of(connection, record["seq"])
    if subject is None or not ledger.learn(connection, subject):
        return {}
    found = queries.values(connection, ledger.vault, record)
    return {
        field: _readable(field, value.value, redaction) if value.genuine else FORGED
        for field, value in found.items()
    }


_DESTINATIONS: tuple[Kind, ...] = ("emails", "phones", "iban")
_TEXTS = {"request", "output", "why"}


def _readable(field: str, value: bytes, redaction: Redaction) -> Any:
    if field in _TEXTS:
        return redaction.text(value.decode())
    if field == "user":
        return redaction.without(*_DESTINATIONS).text(value.decode())
    if field != "inputs":
        redaction = redaction.without(*_DESTINATIONS)
    return redaction.value(orjson.loads(value)) if value else None
