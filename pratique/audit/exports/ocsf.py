"""OCSF: calls as API Activity (6003) with the security control profile, all other records as Base Event (0).

Follows the schema 1.8.0. What it has no place for is under `unmapped`: the record as it is, and its hashes.

Rules:
- `metadata.uid` is log and number of the record: an event that is sent twice can be told.
"""

from collections.abc import Mapping
from typing import Any, Final

Record = Mapping[str, Any]

VERSION: Final = "1.8.0"
API_ACTIVITY, APPLICATION, OTHER = 6003, 6, 99
INFORMATIONAL, LOW, MEDIUM = 1, 2, 3
READ: Final = 2

_STATUS: Final = {"done": (1, "Success"), "failed": (2, "Failure"), "denied": (2, "Failure")}
_DISPOSITIONS: Final = {"allow": (1, "Allowed"), "deny": (2, "Blocked"), "ask": (14, "Delayed")}
_ACTIONS: Final = {"allow": (1, "Allowed"), "deny": (2, "Denied"), "ask": (3, "Observed")}
_CALLS: Final = frozenset({"call.intent", "call.outcome", "approval.proposed"})


def event(record: Record, leaf: str, version: str) -> dict[str, Any]:
    """Return a record as an OCSF event.

    Args:
        record: any record.
        leaf: its hash, hex.
        version: Pratique's.
    """
    made = {
        "time": record["ts_us"] // 1000,
        "severity_id": INFORMATIONAL,
        "metadata": {
            "version": VERSION,
            "uid": f"{record['log']}:{record['seq']}",
            "sequence": record["seq"],
            "event_code": record["type"],
            "log_name": record["log"],
            "product": {"name": "Pratique", "vendor_name": "Pratique", "version": version},
        },
        "unmapped": {"record": dict(record), "leaf": leaf},
    }
    if "tenant" in record:
        made["metadata"]["tenant_uid"] = record["tenant"]
    return {**made, **(_call(record) if record["type"] in _CALLS else _other(record))}


def _call(record: Record) -> dict[str, Any]:
    activity = READ if record["tier"] in {"read", "egress"} else OTHER
    outcome = record.get("outcome", "")
    status = _STATUS.get(outcome, (0, "Unknown"))
    action, disposition = _ACTIONS[record["effect"]], _DISPOSITIONS[record["effect"]]
    made: dict[str, Any] = {
        "class_uid": API_ACTIVITY,
        "class_name": "API Activity",
        "category_uid": APPLICATION,
        "category_name": "Application Activity",
        "activity_id": activity,
        "activity_name": "Read" if activity == READ else record["tier"] or "unresolved",
        "type_uid": API_ACTIVITY * 100 + activity,
        "severity_id": _severity(record),
        "status_id": status[0],
        "status": status[1],
        "action_id": action[0],
        "action": action[1],
        "disposition_id": disposition[0],
        "disposition": disposition[1],
        "actor": {
            "app_name": record["agent"],
            "session": {"uid": record["session"]},
            "authorizations": [
                {"decision": record["effect"], "policy": {"uid": rule, "is_applied": True}}
                for rule in record["rules"]
            ],
        },
        "api": {
            "operation": record["tool"],
            "request": {"uid": record["call_id"]},
            "service": {"name": "pratique"},
        },
        "src_endpoint": {"svc_name": "pratique"},
        "policy": {"uid": record["policy_digest"], "version": str(record["epoch"])},
        "message": f"{record['agent']} {record['tool']}: {outcome or record['effect']}",
    }
    made["actor"] = {key: value for key, value in made["actor"].items() if value}
    if record.get("error"):
        made["api"]["response"] = {"error": outcome, "error_message": record["error"]}
        made["status_detail"] = record["error"]
    if "dur_us" in record:
        made["duration"] = record["dur_us"] // 1000
    return made


def _severity(record: Record) -> int:
    """A call that text from outside may have steered is worth a look; one that also ran, more so."""
    if record["taint"] not in {"argument", "sink"}:
        return INFORMATIONAL
    return MEDIUM if record.get("outcome") == "done" else LOW


def _other(record: Record) -> dict[str, Any]:
    return {
        "class_uid": 0,
        "class_name": "Base Event",
        "category_uid": 0,
        "category_name": "Uncategorized",
        "activity_id": OTHER,
        "activity_name": record["type"],
        "type_uid": OTHER,
        "message": record["type"],
    }
