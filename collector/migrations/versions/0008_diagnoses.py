"""Diagnoses, their audit, and what customers let be asked."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the database to this version."""
    _diagnoses()
    op.create_table(
        "audit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("uq_audit_customer_number", "audit", ["customer", "number"], unique=True)
    op.create_table(
        "audit_heads",
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("customer", name="pk_audit_heads"),
    )
    op.create_table(
        "diagnosis_consent",
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("never", sa.JSON(), nullable=False),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer", name="pk_diagnosis_consent"),
    )


def _diagnoses() -> None:
    op.create_table(
        "diagnoses",
        sa.Column("id", _ID, nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("customer", sa.String(64), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("instance", sa.String(255), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("privacy", sa.String(16), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(160), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("finding_values", sa.JSON(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("audit", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_diagnoses"),
        sa.UniqueConstraint("uid", name="uq_diagnoses_uid"),
    )
    under_way, of_ticket = sa.text("done_at IS NULL"), sa.text("incident IS NOT NULL")
    columns = ["device", "id"]
    op.create_index("ix_diagnoses_under_way", "diagnoses", columns, sqlite_where=under_way, postgresql_where=under_way)
    op.create_index(
        "ix_diagnoses_incident", "diagnoses", ["incident", "id"], sqlite_where=of_ticket, postgresql_where=of_ticket
    )
    op.create_index("ix_diagnoses_device", "diagnoses", columns)
    op.create_index("ix_diagnoses_customer", "diagnoses", ["customer", "asked_at"])
