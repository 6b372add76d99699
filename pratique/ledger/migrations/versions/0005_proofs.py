"""The tree over the records, checkpoints, what witnesses answered, dropped segments, legal holds."""

import sqlalchemy as sa
from alembic import op

from pratique.audit.merkle import TILE, complete_root

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the tree over the records that there are."""
    op.create_table(
        "tree",
        *(sa.Column(name, sa.Integer, primary_key=True, autoincrement=False) for name in ("level", "idx")),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leaf_tiles",
        sa.Column("idx", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "witnessed",
        sa.Column("witness", sa.Text, primary_key=True),
        sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "witness_tries",
        sa.Column("witness", sa.Text, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
    )
    _state()
    _grow()


def _state() -> None:
    op.create_table(
        "log_keys",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("key", "old", "statement")),
    )
    op.create_table(
        "segments",
        sa.Column("last", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("leaf", "root", "bundle", "state")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("sealed_seq", "dropped_seq")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("session", "subject", "reason", "set_by")),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("first", "last", "set_us", "lifted_us")
        ),
    )


def _grow() -> None:
    """Hash the records that are there, a tile at a time."""
    bind = op.get_bind()
    level, found = 1, _tiles(bind)
    while found:
        rows = [{"level": level, "idx": at, "hash": hash_} for at, hash_ in enumerate(found)]
        bind.execute(sa.text("INSERT INTO tree (level, idx, hash) VALUES (:level, :idx, :hash)"), rows)
        level += 1
        whole = len(found) - len(found) % TILE
        found = [complete_root(found[at : at + TILE]) for at in range(0, whole, TILE)]


def _tiles(bind: sa.Connection) -> list[bytes]:
    newest = bind.execute(sa.text("SELECT MAX(seq) FROM records")).scalar() or 0
    return [
        complete_root(
            [
                row.leaf
                for row in bind.execute(
                    sa.text("SELECT leaf FROM records WHERE seq > :a AND seq <= :b ORDER BY seq"),
                    {"a": at, "b": at + TILE},
                )
            ]
        )
        for at in range(0, newest - newest % TILE, TILE)
    ]
