"""What the benchmark's tools declare, written from their signatures and docstrings alone.

Nothing here knows a task or an injected text. Field labels are the result models' fields; classes are the
parameters. Tiers follow the docstrings: what sends mail is irreversible, what changes stored state is a
write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pratique.model import Tier


@dataclass(frozen=True)
class Declaration:
    """A tool's tier, the labels of its result's fields, and the classes of its arguments."""

    tier: Tier
    fields: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether its result is that of a write."""
        return self.tier in {Tier.WRITE, Tier.IRREVERSIBLE}


EMAIL = {
    "id_": "meta:email",
    "sender": "identity",
    "recipients[]": "identity",
    "cc[]": "identity",
    "bcc[]": "identity",
    "subject": "untrusted",
    "body": "untrusted",
    "status": "meta",
    "read": "meta",
    "timestamp": "meta",
    "attachments[]": "untrusted",
}
EVENT = {
    "id_": "meta:event",
    "title": "untrusted",
    "description": "untrusted",
    "start_time": "meta",
    "end_time": "meta",
    "location": "untrusted",
    "participants[]": "identity",
    "all_day": "meta",
    "status": "meta",
}
FILE = {
    "id_": "meta:file",
    "filename": "untrusted",
    "content": "untrusted",
    "owner": "identity",
    "last_modified": "meta",
    "shared_with.#key": "identity",
    "shared_with.*": "meta",
    "size": "meta",
}
CONTACT = {"email": "authority", "name": "authority"}
PAYMENT = {
    "id": "meta:transaction",
    "sender": "identity",
    "recipient": "authority",
    "amount": "meta",
    "subject": "untrusted",
    "date": "meta",
    "recurring": "meta",
}
TRANSFER = {"recipient": "dest", "amount": "amount", "date": "sched"}
CONFIRMATION = {"message": "meta"}


def listed(fields: Mapping[str, str]) -> dict[str, str]:
    return {f"[].{path}": word for path, word in fields.items()}


def read(fields: Mapping[str, str], **classes: str) -> Declaration:
    return Declaration(Tier.READ, fields, classes)


def emails(**classes: str) -> Declaration:
    return Declaration(Tier.READ, listed(EMAIL), classes, {"[]": "email:{id_}"})


def files(**classes: str) -> Declaration:
    return Declaration(Tier.READ, listed(FILE), classes, {"[]": "file:{id_}"})


def events(**classes: str) -> Declaration:
    return Declaration(Tier.READ, listed(EVENT), classes, {"[]": "event:{id_}"})


TOOLS: dict[str, Declaration] = {
    # banking
    "get_iban": read({"": "authority"}),
    "get_balance": read({"": "meta"}),
    "get_user_info": read({"*": "authority"}),
    "read_file": read({"": "untrusted"}, file_path="selector"),
    "get_most_recent_transactions": read(listed(PAYMENT)),
    "get_scheduled_transactions": read(listed(PAYMENT)),
    "send_money": Declaration(Tier.IRREVERSIBLE, CONFIRMATION, TRANSFER),
    "schedule_transaction": Declaration(Tier.WRITE, CONFIRMATION, TRANSFER),
    "update_scheduled_transaction": Declaration(
        Tier.WRITE, CONFIRMATION, {**TRANSFER, "id": "selector:transaction"}
    ),
    "update_password": Declaration(Tier.WRITE, CONFIRMATION, {"password": "secret"}),
    "update_user_info": Declaration(Tier.WRITE, {"*": "authority"}, {}),
    # mail
    "get_unread_emails": emails(),
    "get_sent_emails": emails(),
    "get_received_emails": emails(),
    "get_draft_emails": emails(),
    "search_emails": emails(),
    "search_contacts_by_name": read(listed(CONTACT)),
    "search_contacts_by_email": read(listed(CONTACT)),
    "send_email": Declaration(
        Tier.IRREVERSIBLE,
        EMAIL,
        {
            "recipients": "dest",
            "cc": "dest",
            "bcc": "dest",
            "attachments[].file_id": "selector:file",
            "attachments[].event_details.participants": "dest",
        },
    ),
    "delete_email": Declaration(Tier.WRITE, {"": "meta"}, {"email_id": "selector:email"}),
    # calendar
    "get_current_day": read({"": "meta"}),
    "search_calendar_events": events(),
    "get_day_calendar_events": events(),
    "create_calendar_event": Declaration(
        Tier.IRREVERSIBLE, EVENT, {"participants": "dest", "start_time": "sched", "end_time": "sched"}
    ),
    "cancel_calendar_event": Declaration(Tier.IRREVERSIBLE, {"": "meta"}, {"event_id": "selector:event"}),
    "reschedule_calendar_event": Declaration(
        Tier.IRREVERSIBLE,
        EVENT,
        {"event_id": "selector:event", "new_start_time": "sched", "new_end_time": "sched"},
    ),
    "add_calendar_event_participants": Declaration(
        Tier.IRREVERSIBLE, EVENT, {"event_id": "selector:event", "participants": "dest"}
    ),
    # files
    "search_files_by_filename": files(),
    "search_files": files(),
    "list_files": files(),
    "get_file_by_id": read(FILE, file_id="selector:file"),
    "create_file": Declaration(Tier.WRITE, FILE, {}),
    "append_to_file": Declaration(Tier.WRITE, FILE, {"file_id": "selector:file"}),
    "delete_file": Declaration(Tier.WRITE, FILE, {"file_id": "selector:file"}),
    "share_file": Declaration(Tier.WRITE, FILE, {"file_id": "selector:file", "email": "dest"}),
}

WRITERS = {name for name, declaration in TOOLS.items() if declaration.tier is not Tier.READ}

TEMPLATES: dict[str, frozenset[str]] = {
    "look something up": frozenset(),
    "pay": frozenset({"send_money"}),
    "standing orders": frozenset({"schedule_transaction", "update_scheduled_transaction"}),
    "account": frozenset({"update_user_info"}),
    "credentials": frozenset({"update_password"}),
    "new event": frozenset({"create_calendar_event"}),
    "change an event": frozenset({"reschedule_calendar_event", "add_calendar_event_participants"}),
    "cancel an event": frozenset({"cancel_calendar_event"}),
    "write a file": frozenset({"create_file", "append_to_file"}),
    "share a file": frozenset({"share_file"}),
    "delete a file": frozenset({"delete_file"}),
    "send mail": frozenset({"send_email"}),
    "delete mail": frozenset({"delete_email"}),
}
"""Fixed templates, one per kind of task: the tools that change something. Reading is always in the plan."""

ROUTES: tuple[tuple[str, str], ...] = (
    (r"\b(?:pay|refund|transfer|send (?:them|him|her|money))\b", "pay"),
    (r"\b(?:rent|recurring|scheduled|standing orders?)\b", "standing orders"),
    (r"\b(?:account information|my address|personal data)\b", "account"),
    (r"\bpassword to\b", "credentials"),
    (r"\b(?:create|book|set up)\b(?:[^.]|\.\w)*\b(?:event|meeting|appointment)\b", "new event"),
    (r"\b(?:reschedule|move|participants of)\b", "change an event"),
    (r"\bcancel\b", "cancel an event"),
    (
        r"\b(?:create a new file|add (?:them|all|it)\b(?:[^.]|\.\w)*\b(?:file|list|drive)|append)\b",
        "write a file",
    ),
    (r"\bshare the\b", "share a file"),
    (r"\bdelete\b(?:[^.]|\.\w)*\bfile\b", "delete a file"),
    (r"\b(?:send|write)\b(?:[^.]|\.\w)*\be-?mail\b", "send mail"),
    (r"\bdelete\b(?:[^.]|\.\w)*\be-?mail\b", "delete mail"),
)
"""How a host picks templates from the request's words, before anything is read."""
