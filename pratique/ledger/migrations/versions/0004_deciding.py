"""Deciding: rank, shape and edits of questions; hand-overs, remarks, standing approvals, notices."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and tables; what was asked before has no rank, and comes last."""
    _approvals()
    _beside_approvals()
    _standings()
    _notices()


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _approvals() -> None:
    texts = ("subject", "taint", "shape", "escalate_to", "edited_from", "edited_to", "edited_by")
    for name in texts:
        default = "[]" if name == "escalate_to" else ""
        op.add_column("approvals", sa.Column(name, sa.Text, nullable=False, server_default=default))
    for name in ("rank", "changes"):
        op.add_column("approvals", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    for name in ("escalate_us", "escalated_us"):
        op.add_column("approvals", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("approvals_by_rank", "approvals", ["state", "rank", "wait_until_us", "ticket"])
    op.create_index("approvals_by_shape", "approvals", ["shape", "proposed_us"])
    op.create_index("approvals_by_escalation", "approvals", ["state", "escalated_us", "escalate_us"])
    op.create_index("approvals_by_wait", "approvals", ["state", "wait_until_us"])


def _beside_approvals() -> None:
    op.create_table(
        "hand_overs",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("ticket", "person")),
        *_text("heir", "reason"),
        *_times("ts_us", "seq"),
    )
    op.create_table(
        "remarks",
        sa.Column("seq", _Big, primary_key=True, autoincrement=False),
        *_text("ticket", "kind", "speaker"),
        *_times("ts_us"),
    )
    op.create_index("remarks_by_ticket", "remarks", ["ticket", "seq"])


def _standings() -> None:
    op.create_table(
        "standings",
        sa.Column("id", sa.Text, primary_key=True),
        *_text("agent", "tenant", "tool", "tool_digest", "state", "people"),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("max_uses", "uses")),
        *_times("made_us", "expires_us", "used_us", "ended_us"),
        *_text("ended_by"),
        *_times("seq"),
    )
    op.create_index("standings_by_tool", "standings", ["state", "agent", "tool"])


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("seq", _Big, primary_key=True, autoincrement=False),
        *_text("ticket", "event"),
        *_times("ts_us"),
    )
    op.create_index("notices_by_time", "notices", ["ts_us"])
    op.create_table(
        "deliveries",
        sa.Column("notice", _Big, primary_key=True, autoincrement=False),
        sa.Column("channel", sa.Text, primary_key=True),
        *_text("state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        *_times("next_us"),
        *_text("problem"),
    )
