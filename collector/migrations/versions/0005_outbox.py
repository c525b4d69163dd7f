"""What is to be told to others, and what they call the incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Bring the database to this version."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("recipient", sa.String(64), nullable=False),
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("upto", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_index("uq_outbox_change", "outbox", ["recipient", "incident", "version"], unique=True)
    due = ["recipient", "due_at", "id"]
    op.create_index("ix_outbox_due", "outbox", due, sqlite_where=_WAITING, postgresql_where=_WAITING)
    op.create_index("ix_outbox_state", "outbox", ["state", "id"])
    op.create_table(
        "outbox_references",
        sa.Column("recipient", sa.String(64), primary_key=True),
        sa.Column("incident", sa.BigInteger(), primary_key=True),
        sa.Column("reference", sa.String(255), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_timeline_customer", "timeline", ["customer", "id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_timeline_customer", "timeline")
    op.drop_table("outbox_references")
    op.drop_table("outbox")
