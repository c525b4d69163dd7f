"""What devices hang on, how much they matter, who uses them; people and contact of a site."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this version."""
    with op.batch_alter_table("sites") as table:
        table.add_column(sa.Column("people", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("contact", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("timezone", sa.String(64), nullable=False, server_default=""))
    with op.batch_alter_table("devices") as table:
        table.add_column(sa.Column("criticality", sa.Integer(), nullable=True))
        table.add_column(sa.Column("parent_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("port", sa.String(255), nullable=False, server_default=""))
        table.add_column(sa.Column("how", sa.String(10), nullable=False, server_default=""))
        table.add_column(sa.Column("evidence", sa.String(1000), nullable=False, server_default=""))
        table.add_column(sa.Column("since", sa.Double(), nullable=True))
        table.add_column(sa.Column("rack", sa.String(255), nullable=False, server_default=""))
        table.add_column(sa.Column("power_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("services", sa.JSON(), nullable=False, server_default="[]"))
        table.create_foreign_key("fk_devices_parent_id", "devices", ["parent_id"], ["id"])
        table.create_foreign_key("fk_devices_power_id", "devices", ["power_id"], ["id"])
        table.create_index("ix_devices_parent_id", ["parent_id"])
