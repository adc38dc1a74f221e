"""Contacts sealed with a key of each customer, who is who, and who was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from holdfast.adapters.operations.columns import UtcInstant
from holdfast.errors import SettingsError

revision = "0005_privacy"
down_revision = "0004_uplift"
branch_labels = None
depends_on = None

_BY_OWN_ID = ("contacts", "consents", "suppressions", "assignments", "skips")


def upgrade() -> None:
    _refuse_own_ids()
    op.create_table(
        "identities",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("own_id", sa.LargeBinary(), nullable=True),
        sa.Column("alias", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_identities")),
        sa.UniqueConstraint("alias", name=op.f("uq_identities_alias")),
    )
    op.create_index(op.f("ix_identities_key_id"), "identities", ["key_id"])
    op.drop_table("contacts")
    op.create_table(
        "contacts",
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("push_token", sa.LargeBinary(), nullable=True),
        sa.Column("given_name", sa.LargeBinary(), nullable=True),
        sa.Column("by_email", sa.Boolean(), nullable=False),
        sa.Column("by_sms", sa.Boolean(), nullable=False),
        sa.Column("by_push", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_contacts")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["identities.customer_id"], name=op.f("fk_contacts_customer_id_identities")
        ),
    )
    op.create_table(
        "erasures",
        sa.Column("tombstone", sa.String(32), nullable=False),
        sa.Column("certificate", sa.String(32), nullable=False),
        sa.Column("begun_at", UtcInstant(), nullable=False),
        sa.Column("finished_at", UtcInstant(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tombstone", name=op.f("pk_erasures")),
        sa.UniqueConstraint("certificate", name=op.f("uq_erasures_certificate")),
    )


def _refuse_own_ids() -> None:
    """The tables held the shop's own ids and plain contacts; they cannot be told from pseudonyms, so never mix them."""
    for table in _BY_OWN_ID:
        if op.get_bind().execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1")).first():  # noqa: S608 - names of our own
            raise SettingsError(
                f"the operations database knows customers by the shop's own ids (table {table}): an earlier release "
                "made it. Export its suppressions as withdrawn consents for the shop to deliver, point HOLDFAST_HOME "
                "and HOLDFAST_OPERATIONS_URL at new places, move the landing files there and ingest them again: "
                "docs/privacy.md"
            )
