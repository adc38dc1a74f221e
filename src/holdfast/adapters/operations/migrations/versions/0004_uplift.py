"""Each assignment's chances of all arms, the policy that chose a run's customers, and the reason do_not_disturb."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_uplift"
down_revision = "0003_lookup"
branch_labels = None
depends_on = None

_REASONS = (
    "reason IN ('no_contact', 'no_consent', 'suppressed', 'holdout', 'control', 'frequency_cap', "
    "'quiet_hours', 'budget', 'not_chosen', 'do_not_disturb', 'too_late', 'stopped')"
)


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("chosen_by", sa.Text(), nullable=True))
    op.add_column("assignments", sa.Column("chances", sa.JSON(none_as_null=True), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_skips_reason_known"), "skips", type_="check")
        op.create_check_constraint(op.f("ck_skips_reason_known"), "skips", _REASONS)
        return
    skips = sa.Table(  # SQLite changes a check only by copying the table
        "skips",
        sa.MetaData(),
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.CheckConstraint(_REASONS, name=op.f("ck_skips_reason_known")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_skips_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_skips")),
    )
    with op.batch_alter_table("skips", copy_from=skips, recreate="always"):
        pass
