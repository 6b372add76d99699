"""The tables: the log, the vault beside it, and the state that is a view of the log.

Rules:
- `records` is the history. The state tables (`STATE`) hold nothing that cannot be rebuilt from it.
- `vault` holds what the records only commit to, encrypted; a row may be erased, a record may not.
- `written` says where what our own writes carried came from: mark of a value (`Vault.mark`) → source.
- `blobs` holds texts that records name by their SHA-256 (policies, the state before a dropped segment).
- `tree` and `leaf_tiles` are hashes over the records: a cache for proofs, and all that stays of dropped ones.
- `checkpoints` and `witnessed` authenticate themselves: they are signed. `witness_tries` says what failed.

An attacker who can modify these tables can hide a pending approval or forge one, and even put it back after
it was used: `pratique audit verify` finds the first by the tables, and the second by the records that it
left. They cannot change `records` unseen by a holder of a head.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("records_by_session", "session", "seq"),
)

vault = Table(
    "vault",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("vault_by_subject", "subject"),
)

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("trace_id", Text, nullable=False, unique=True),
    Column("agent", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("integrity", Text, nullable=False),
    Column("confidentiality", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("writer", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=False),
    Column("api_key", Text, nullable=False, server_default=""),
    Index("sessions_by_key", "api_key"),
)

calls = Table(
    "calls",
    metadata,
    Column("session", Text, primary_key=True),
    Column("call", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("tool", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("writer", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("intent_seq", BigInteger, nullable=False),
    Column("outcome_seq", BigInteger, nullable=False),
    Index("calls_by_state", "state"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("card_digest", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("agent", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("needs", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("proposed_seq", BigInteger, nullable=False),
    Column("proposed_us", BigInteger, nullable=False),
    Column("wait_until_us", BigInteger, nullable=False),
    Column("use_within_s", Integer, nullable=False),
    Column("use_until_us", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("taint", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("escalate_to", Text, nullable=False),
    Column("edited_from", Text, nullable=False),
    Column("edited_to", Text, nullable=False),
    Column("edited_by", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("escalate_us", BigInteger, nullable=False),
    Column("escalated_us", BigInteger, nullable=False),
    Index("approvals_by_call", "session", "call", "digest"),
    Index("approvals_by_state", "state", "proposed_us"),
    Index("approvals_by_rank", "state", "rank", "wait_until_us", "ticket"),
    Index("approvals_by_shape", "shape", "proposed_us"),
    Index("approvals_by_escalation", "state", "escalated_us", "escalate_us"),
    Index("approvals_by_wait", "state", "wait_until_us"),
)

votes = Table(
    "votes",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("voter", Text, primary_key=True),
    Column("vote", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)

hand_overs = Table(
    "hand_overs",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("heir", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

remarks = Table(
    "remarks",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("ticket", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("speaker", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
    Index("remarks_by_ticket", "ticket", "seq"),
)

standings = Table(
    "standings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("tool_digest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("people", Text, nullable=False),
    Column("max_uses", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, nullable=False),
    Column("ended_by", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("standings_by_tool", "state", "agent", "tool"),
)

notices = Table(
    "notices",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("ticket", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
    Index("notices_by_time", "ts_us"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("notice", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("channel", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
)

grant_uses = Table(
    "grant_uses",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("uses", Integer, nullable=False),
)

written = Table(
    "written",
    metadata,
    Column("mark", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("integrity", Text, primary_key=True),
    Column("confidentiality", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

log_keys = Table(
    "log_keys",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("old", Text, nullable=False),
    Column("statement", Text, nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("leaf", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("sealed_seq", BigInteger, nullable=False),
    Column("dropped_seq", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("set_us", BigInteger, nullable=False),
    Column("lifted_us", BigInteger, nullable=False),
)

tree = Table(
    "tree",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

leaf_tiles = Table(
    "leaf_tiles",
    metadata,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("witness", Text, primary_key=True),
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)

witness_tries = Table(
    "witness_tries",
    metadata,
    Column("witness", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("ts_us", BigInteger, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("roles", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("password_seq", BigInteger, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger, nullable=False),
)

logins = Table(
    "logins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=False),
    Index("logins_by_person", "person", "closed_us"),
)

login_links = Table(
    "login_links",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("acts_for", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("issued_by", Text, nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger, nullable=False),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("config", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

mcp_tools = Table(
    "mcp_tools",
    metadata,
    Column("server", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("tool", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("seen", Text, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("least", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("pin", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("said_by", Text, nullable=False),
    Column("said_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

STATE = (
    policies,
    sessions,
    calls,
    approvals,
    votes,
    hand_overs,
    remarks,
    standings,
    notices,
    deliveries,
    grant_uses,
    written,
    people,
    logins,
    login_links,
    api_keys,
    log_keys,
    segments,
    holds,
    mcp_servers,
    mcp_tools,
)
"""Views of the log: emptied and filled again by `rebuild`."""
