"""Campaign runs, assignments, the coupon ledger, the outbox and what came back; the vault; the audit log."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from holdfast.adapters.operations.columns import FixedPoint, RowNumber, UtcInstant

revision = "0002"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{event} BEFORE {event} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        for event in ("update", "delete")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    ],
}


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", RowNumber, autoincrement=False, nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_hash")),
    )
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
        sa.Column("contacts", sa.Integer(), nullable=False),
        sa.Column("spent", FixedPoint(4), nullable=False),
        sa.Column("stopped_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "channels",
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("refilled_at", UtcInstant(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_channels")),
    )
    op.create_table(
        "consents",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("recorded_at", UtcInstant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("source", sa.String(60), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "purpose", "channel", "recorded_at", "status", name=op.f("pk_consents")),
    )
    op.create_table(
        "contacts",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=True),
        sa.Column("phone", sa.String(60), nullable=True),
        sa.Column("push_token", sa.String(500), nullable=True),
        sa.Column("given_name", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_contacts")),
    )
    op.create_table(
        "gate",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
    )
    op.create_table(
        "imported_codes",
        sa.Column("code", sa.String(60), nullable=False),
        sa.Column("pool", sa.String(60), nullable=False),
        sa.Column("imported_at", UtcInstant(), nullable=False),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_imported_codes")),
    )
    op.create_index("ix_imported_codes_pool_code", "imported_codes", ["pool", "code"], **_where("NOT taken"))
    op.create_table(
        "loaded_batches",
        sa.Column("table_name", sa.String(60), nullable=False),
        sa.Column("batch", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "batch", name=op.f("pk_loaded_batches")),
    )
    op.create_table(
        "reported_redemptions",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("code", sa.String(60), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("redeemed_at", UtcInstant(), nullable=False),
        sa.Column("basket", FixedPoint(2), nullable=False),
        sa.Column("discount", FixedPoint(2), nullable=False),
        sa.Column("order_id", sa.String(200), nullable=True),
        sa.Column("source", sa.String(60), nullable=False),
        sa.Column("received_at", UtcInstant(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'unknown_code', 'void', 'too_early', 'expired', 'basket_too_small', "
            "'already_redeemed')",
            name=op.f("ck_reported_redemptions_outcome_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reported_redemptions")),
    )
    op.create_index(
        "uq_reported_redemptions_code", "reported_redemptions", ["code"], unique=True, **_where("outcome = 'accepted'")
    )
    op.create_table(
        "suppressions",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("recorded_at", UtcInstant(), nullable=False),
        sa.Column("source", sa.String(60), nullable=False),
        sa.CheckConstraint(
            "reason IN ('unsubscribed', 'complained', 'bounced', 'erased')", name=op.f("ck_suppressions_reason_known")
        ),
        sa.PrimaryKeyConstraint("customer_id", "channel", "reason", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "assignments",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("arm", sa.String(60), nullable=False),
        sa.Column("tier", sa.String(20), nullable=False),
        sa.Column("persona", sa.String(60), nullable=True),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("cost", FixedPoint(4), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_assignments_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_assignments")),
    )
    op.create_table(
        "skips",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.CheckConstraint(
            "reason IN ('no_contact', 'no_consent', 'suppressed', 'holdout', 'control', 'frequency_cap', "
            "'quiet_hours', 'budget', 'not_chosen', 'too_late', 'stopped')",
            name=op.f("ck_skips_reason_known"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_skips_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_skips")),
    )
    op.create_table(
        "offers",
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("code", sa.String(60), nullable=False),
        sa.Column("amount", FixedPoint(2), nullable=True),
        sa.Column("percent", FixedPoint(2), nullable=True),
        sa.Column("maximum_discount", FixedPoint(2), nullable=False),
        sa.Column("minimum_basket", FixedPoint(2), nullable=False),
        sa.Column("valid_from", UtcInstant(), nullable=False),
        sa.Column("valid_to", UtcInstant(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.CheckConstraint("state IN ('issued', 'redeemed', 'void')", name=op.f("ck_offers_state_known")),
        sa.CheckConstraint("(amount IS NULL) <> (percent IS NULL)", name=op.f("ck_offers_one_discount")),
        sa.ForeignKeyConstraint(
            ["campaign_id", "customer_id"],
            ["assignments.campaign_id", "assignments.customer_id"],
            name=op.f("fk_offers_campaign_id_customer_id_assignments"),
        ),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_offers")),
        sa.UniqueConstraint("code", name=op.f("uq_offers_code")),
    )
    op.create_index("ix_offers_campaign_id_state", "offers", ["campaign_id", "state"])
    op.create_table(
        "outbox",
        sa.Column("id", RowNumber, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(32), nullable=False),
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("planned_at", UtcInstant(), nullable=False),
        sa.Column("due_at", UtcInstant(), nullable=False),
        sa.Column("not_after", UtcInstant(), nullable=False),
        sa.Column("timezone", sa.String(60), nullable=False),
        sa.Column("context", sa.JSON(), nullable=True),
        sa.Column("leased_by", sa.String(200), nullable=True),
        sa.Column("lease_until", UtcInstant(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claimed_at", UtcInstant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("finished_at", UtcInstant(), nullable=True),
        sa.Column("reason", sa.String(20), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'claimed', 'sent', 'failed', 'unknown', 'skipped')",
            name=op.f("ck_outbox_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id", "customer_id"],
            ["assignments.campaign_id", "assignments.customer_id"],
            name=op.f("fk_outbox_campaign_id_customer_id_assignments"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("campaign_id", "customer_id", name=op.f("uq_outbox_campaign_id_customer_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_outbox_reference")),
    )
    op.create_index("ix_outbox_campaign_id_state", "outbox", ["campaign_id", "state"])
    op.create_index("ix_outbox_channel_due_at", "outbox", ["channel", "due_at", "id"], **_where("state = 'planned'"))
    op.create_index("ix_outbox_customer_id", "outbox", ["customer_id"])
    op.create_index("ix_outbox_lease_until", "outbox", ["lease_until"], **_where("lease_until IS NOT NULL"))
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("reference", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("occurred_at", UtcInstant(), nullable=False),
        sa.Column("received_at", UtcInstant(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('delivered', 'opened', 'clicked', 'bounced', 'complained')", name=op.f("ck_deliveries_kind_known")
        ),
        sa.ForeignKeyConstraint(["reference"], ["outbox.reference"], name=op.f("fk_deliveries_reference_outbox")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_reference", "deliveries", ["reference"])
    op.execute("INSERT INTO gate (id, version) VALUES (1, 0)")
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
