"""Other programs' servers and their tools: which definition was seen, and which one somebody approved."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables, empty: no record of before speaks of servers."""
    op.create_table(
        "mcp_servers",
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("config", "about", "added_by")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("added_us", "removed_us", "seq")),
    )
    op.create_table(
        "mcp_tools",
        sa.Column("server", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tool", "state", "seen")),
        sa.Column("seen_us", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("least", "problem", "pin", "tier", "said_by")
        ),
        sa.Column("said_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
