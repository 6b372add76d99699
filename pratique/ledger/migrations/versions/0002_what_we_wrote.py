"""What our own writes carried: mark of a value → where it came from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of what was written."""
    names = ("mark", "source", "integrity", "confidentiality")
    op.create_table(
        "written",
        *(sa.Column(name, sa.Text, primary_key=True) for name in names),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
