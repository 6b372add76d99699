"""The log, the vault, and the state tables of version 1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "log", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, nullable=False)
    )
    op.create_table(
        "records",
        sa.Column("seq", _Big, primary_key=True, autoincrement=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("records_by_session", "records", ["session", "seq"])
    op.create_table(
        "vault",
        sa.Column("seq", _Big, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("vault_by_subject", "vault", ["subject"])
    op.create_table(
        "vault_keys",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    _state()


def _state() -> None:
    op.create_table(
        "policies",
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("applied_by", sa.Text, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("trace_id", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "tenant", "subject")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("integrity", "confidentiality", "sources")),
        sa.Column("writer", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("opened_us", "closed_us")),
    )
    op.create_table(
        "calls",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("session", "call", "digest")),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("tool", "agent", "state", "writer", "ticket")
        ),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("intent_seq", "outcome_seq")),
    )
    op.create_index("calls_by_state", "calls", ["state"])
    op.create_table(
        "approvals",
        sa.Column("ticket", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("session", "call", "digest", "card_digest")),
        sa.Column("epoch", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "tool", "tier", "needs")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "reason", "decided_by")),
        sa.Column("votes", sa.Integer, nullable=False),
        *(sa.Column(n, sa.BigInteger, nullable=False) for n in ("proposed_seq", "proposed_us")),
        sa.Column("wait_until_us", sa.BigInteger, nullable=False),
        sa.Column("use_within_s", sa.Integer, nullable=False),
        sa.Column("use_until_us", sa.BigInteger, nullable=False),
    )
    op.create_index("approvals_by_call", "approvals", ["session", "call", "digest"])
    op.create_index("approvals_by_state", "approvals", ["state", "proposed_us"])
    op.create_table(
        "votes",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("ticket", "voter")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("vote", "reason")),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "grant_uses",
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("uses", sa.Integer, nullable=False),
    )
