"""Which frames with events were taken of each device."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this version."""
    op.create_table(
        "event_marks",
        sa.Column("device", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epochs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("device"),
    )


def downgrade() -> None:
    """Bring the database back."""
    op.drop_table("event_marks")
