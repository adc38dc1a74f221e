"""Campaign runs, assignments, skips, offers and the outbox; contacts, consents and the ledger of their batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from holdfast.adapters.operations.columns import Hundredths, RowNumber, UtcInstant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("cutoff", sa.Date(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("definition_hash", sa.String(64), nullable=False),
        sa.Column("planned_at", UtcInstant(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("audience", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "assignments",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("arm", sa.String(20), nullable=False),
        sa.Column("tier", sa.String(20), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.CheckConstraint("arm IN ('treatment', 'control')", name=op.f("ck_assignments_arm_known")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_assignments_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_assignments")),
    )
    op.create_table(
        "skips",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.CheckConstraint(
            "reason IN ('no_contact', 'no_consent', 'contact_cap', 'budget', 'offer_ended')",
            name=op.f("ck_skips_reason_known"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_skips_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_skips")),
    )
    op.create_table(
        "offers",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("amount", Hundredths(), nullable=True),
        sa.Column("percent", Hundredths(), nullable=True),
        sa.Column("maximum_discount", Hundredths(), nullable=False),
        sa.Column("minimum_basket", Hundredths(), nullable=False),
        sa.Column("valid_from", UtcInstant(), nullable=False),
        sa.Column("valid_to", UtcInstant(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.CheckConstraint("(amount IS NULL) <> (percent IS NULL)", name=op.f("ck_offers_one_discount")),
        sa.CheckConstraint("state IN ('issued', 'void')", name=op.f("ck_offers_state_known")),
        sa.ForeignKeyConstraint(
            ["campaign_id", "customer_id"],
            ["assignments.campaign_id", "assignments.customer_id"],
            name=op.f("fk_offers_campaign_id_customer_id_assignments"),
        ),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_offers")),
        sa.UniqueConstraint("code", name=op.f("uq_offers_code")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", RowNumber, autoincrement=True, nullable=False),
        sa.Column("idempotency_key", sa.String(500), nullable=False),
        sa.Column("reference", sa.String(32), nullable=False),
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("planned_at", UtcInstant(), nullable=False),
        sa.Column("claimed_by", sa.String(200), nullable=True),
        sa.Column("claimed_at", UtcInstant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("finished_at", UtcInstant(), nullable=True),
        sa.Column("detail", sa.String(500), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'claimed', 'sent', 'failed', 'unknown', 'skipped')",
            name=op.f("ck_outbox_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id", "customer_id"],
            ["offers.campaign_id", "offers.customer_id"],
            name=op.f("fk_outbox_campaign_id_customer_id_offers"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_outbox_idempotency_key")),
        sa.UniqueConstraint("reference", name=op.f("uq_outbox_reference")),
    )
    op.create_index("ix_outbox_campaign_id_state", "outbox", ["campaign_id", "state"])
    op.create_index("ix_outbox_customer_id_planned_at", "outbox", ["customer_id", "planned_at"])
    op.create_table(
        "contacts",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("given_name", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_contacts")),
    )
    op.create_table(
        "consents",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("recorded_at", UtcInstant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "purpose", "channel", "recorded_at", "status", name=op.f("pk_consents")),
    )
    op.create_table(
        "loaded_batches",
        sa.Column("table_name", sa.String(60), nullable=False),
        sa.Column("batch", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "batch", name=op.f("pk_loaded_batches")),
    )
