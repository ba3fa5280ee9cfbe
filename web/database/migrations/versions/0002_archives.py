"""What is kept of archives of calls, and batches that the service is still to delete."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FILES = ("archive", "people", "results")


def upgrade() -> None:
    with op.batch_alter_table("batches") as table:
        table.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="waiting"))
        table.add_column(sa.Column("sides", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("answer", sa.JSON(), nullable=False, server_default="{}"))
        for name in _FILES:
            table.add_column(sa.Column(name, sa.String(80)))
    op.create_table(
        "discarded_batches",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("service_batch", sa.String(200), nullable=False),
        sa.Column("archive", sa.String(80), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("discarded_batches")
    with op.batch_alter_table("batches") as table:
        for name in ("state", "sides", "answer", *_FILES):
            table.drop_column(name)
