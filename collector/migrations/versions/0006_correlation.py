"""Incidents that are parts of others or wait; maintenance windows; silences."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("resolved_at IS NULL")
_TICKET = sa.text("resolved_at IS NULL AND parent IS NULL AND hidden_since IS NULL")
_KINDED = sa.text("resolved_at IS NULL AND kind <> ''")
_OUTAGE = sa.text("resolved_at IS NOT NULL AND kind <> ''")
_COLUMNS: tuple[sa.Column[object], ...] = (
    sa.Column("kind", sa.String(16), nullable=False, server_default=""),
    sa.Column("about", sa.String(255), nullable=False, server_default=""),
    sa.Column("hold", sa.String(16), nullable=True),
    sa.Column("hold_until", sa.Double(), nullable=True),
    sa.Column("hidden_since", sa.Double(), nullable=True),
    sa.Column("placed_by", sa.String(64), nullable=True),
    sa.Column("devices", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("people", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("worst_member", sa.Integer(), nullable=False, server_default="4"),
    sa.Column("expected_at", sa.Double(), nullable=True),
    sa.Column("depends_on", sa.String(255), nullable=False, server_default=""),
)


def upgrade() -> None:
    """Bring the database to this version."""
    for column in _COLUMNS:
        op.add_column("incidents", column)
    op.drop_index("ix_incidents_counts", "incidents")
    _index("queue", _TICKET, "priority", sa.text("id DESC"))
    _index("customer_queue", _TICKET, "customer", "priority", sa.text("id DESC"))
    _index("counts", _TICKET, "customer", "state", "priority")
    _index("device", _OPEN, "customer", "device")
    _index("same", _TICKET, "customer", "alertname", "active_at")
    _index("kind", _KINDED, "customer", "kind", "site")
    _index("outages", _OUTAGE, "customer", "resolved_at")
    op.create_table(
        "maintenance",
        sa.Column("id", _ID, nullable=False),
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("rule", sa.String(128), nullable=False),
        sa.Column("starts_at", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("repeats", sa.String(64), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=True),
        *_written(),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance"),
    )
    op.create_index("ix_maintenance_ends_at", "maintenance", ["ends_at"])
    op.create_table(
        "silences",
        sa.Column("id", _ID, nullable=False),
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("starts_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        *_written(),
        sa.Column("asked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"])


def _index(name: str, where: sa.TextClause, *columns: str | sa.TextClause) -> None:
    op.create_index(f"ix_incidents_{name}", "incidents", list(columns), sqlite_where=where, postgresql_where=where)


def _written() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("cancelled_at", sa.Double(), nullable=True),
    )
