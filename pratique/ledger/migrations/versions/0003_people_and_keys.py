"""People, their logins and login links, agents' API keys, and which key opened a session."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of identities."""
    op.create_table(
        "people",
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("roles", "groups", "issuer", "subject")),
        sa.Column("password_seq", sa.BigInteger, nullable=False),
        sa.Column("added_us", sa.BigInteger, nullable=False),
        sa.Column("disabled_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("person", "how")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("opened_us", "ends_us", "closed_us")),
    )
    op.create_index("logins_by_person", "logins", ["person", "closed_us"])
    op.create_table(
        "login_links",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("person", "secret_sha256")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("ends_us", "used_us")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("agent", "acts_for", "secret_sha256", "label", "issued_by")
        ),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("issued_us", "ends_us", "revoked_us")),
    )
    op.add_column("sessions", sa.Column("api_key", sa.Text, nullable=False, server_default=""))
    op.create_index("sessions_by_key", "sessions", ["api_key"])
