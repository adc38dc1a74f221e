"""Channels' reports without the words they came in: those quote addresses, which belong in the vault alone."""

from __future__ import annotations

from alembic import op

revision = "0006_reports"
down_revision = "0005_privacy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE deliveries SET detail = NULL")  # PostgreSQL keeps what a dropped column held in rows as they are
    op.drop_column("deliveries", "detail")
