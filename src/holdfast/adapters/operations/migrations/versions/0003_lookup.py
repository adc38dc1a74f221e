"""API keys of the look-up API, and finding a customer's coupons in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from holdfast.adapters.operations.columns import UtcInstant

revision = "0003_lookup"
down_revision = "0002"
branch_labels = None
depends_on = None

_ISSUED = sa.text("state = 'issued'")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("burst", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("expires_at", UtcInstant(), nullable=False),
        sa.Column("revoked_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index("ix_offers_customer_id", "offers", ["customer_id"], sqlite_where=_ISSUED, postgresql_where=_ISSUED)
