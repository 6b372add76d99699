"""The laws of sessions: who was on record, and which policy was in force, when anything was written.

Rules:
- As in `pratique.audit.laws`: each says again, from the records alone, what a guard demanded.
"""

from collections.abc import Iterator, Mapping

from pratique.audit.identity import is_key
from pratique.audit.laws_identity import key_is_good
from pratique.audit.standing import Law, Record, Session, Standing, identity_of


def _session_open(now: Standing, record: Record) -> Iterator[str]:
    name = record["session"]
    if name in now.sessions or name in now.over:
        yield f"the session {name} was opened before"
    if now.policies.get(record["epoch"]) != record["policy_digest"]:
        yield f"it names a policy that epoch {record['epoch']} did not have"
    if is_key(record.get("api_key", "")):
        yield from key_is_good(now, record)
    now.sessions[name] = Session(record)


def _session_resume(now: Standing, record: Record) -> Iterator[str]:
    yield from in_session(now, record)
    if record["session"] in now.sessions:
        now.sessions[record["session"]].writer = record["writer"]


def _session_close(now: Standing, record: Record) -> Iterator[str]:
    yield from in_session(now, record)
    now.sessions.pop(record["session"], None)
    now.over.add(record["session"])


def in_session(now: Standing, record: Record) -> Iterator[str]:
    """Yield why a record does not belong to an open session; nothing if it does."""
    name = record["session"]
    session = now.sessions.get(name)
    if session is None:
        yield f"the session {name} {'was over' if name in now.over else 'was never opened'}"
    elif session.identity != identity_of(record):
        yield f"it names another agent, tenant or trace than its session {name}"


def in_force(now: Standing, record: Record) -> Iterator[str]:
    """Yield why a record does not name the policy that was in force; nothing if it does."""
    if record["epoch"] != now.epoch:
        yield f"it was decided under epoch {record['epoch']} while epoch {now.epoch} was in force"
    elif record["policy_digest"] != now.policies[now.epoch]:
        yield f"it was decided by a policy that was not applied as epoch {now.epoch}"


SESSIONS: Mapping[str, Law] = {
    "session.open": _session_open,
    "session.resume": _session_resume,
    "session.close": _session_close,
}
