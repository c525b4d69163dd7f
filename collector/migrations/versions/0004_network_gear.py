"""Addresses of devices, networks of sites; SNMP credentials, what is known of polled devices, candidates."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this version."""
    with op.batch_alter_table("sites") as table:
        table.add_column(sa.Column("networks", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("devices") as table:
        table.add_column(sa.Column("address", sa.String(255), nullable=False, server_default=""))
        table.add_column(sa.Column("polling", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "snmp_credentials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.String(3), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id", "name"),
    )
    op.create_table(
        "snmp_devices",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=True),
        sa.Column("profile", sa.String(63), nullable=False, server_default=""),
        sa.Column("object_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("descr", sa.String(1000), nullable=False, server_default=""),
        sa.Column("name", sa.String(255), nullable=False, server_default=""),
        sa.Column("problem", sa.String(1000), nullable=False, server_default=""),
        sa.Column("tried", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("at", sa.Double(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("address", sa.String(63), nullable=False),
        sa.Column("state", sa.String(10), nullable=False, server_default="new"),
        sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("first_seen", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("reported_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("site_id", "key"),
    )


def downgrade() -> None:
    """Bring the database back."""
    for table in ("candidates", "snmp_devices", "snmp_credentials"):
        op.drop_table(table)
    with op.batch_alter_table("devices") as batch:
        batch.drop_column("polling")
        batch.drop_column("address")
    with op.batch_alter_table("sites") as batch:
        batch.drop_column("networks")
