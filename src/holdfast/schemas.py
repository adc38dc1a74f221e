"""The data contract: every canonical table, its columns, types, keys, rules and privacy classes, each declared once.

Ids are strings. All times are UTC instants with microseconds. From these declarations come the row checks
(``holdfast.contract``), the Delta schemas, the Great Expectations suites and the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """Canonical column types."""

    STRING = "string"
    FLOAT = "float"
    TIMESTAMP = "timestamp"


class Privacy(StrEnum):
    """What a value says about a person, and so where it may be kept."""

    NONE = "none"
    PSEUDONYM = "pseudonym"  # an id that only the shop can resolve
    PERSONAL = "personal"  # about a person, without naming them
    DIRECT = "direct"  # names or reaches a person: vault only


class Home(StrEnum):
    """Where accepted rows are kept."""

    LAKE = "lake"
    VAULT = "vault"  # the operations database, next to consent


@dataclass(frozen=True)
class Column:
    """One column: meaning, type, and the rules every value obeys.

    ``minimum`` and ``maximum`` are inclusive. ``references`` names the table whose single-column key a value must be.
    """

    name: str
    type: Type
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    references: str | None = None
    privacy: Privacy = Privacy.NONE


@dataclass(frozen=True)
class Table:
    """A canonical table. ``time`` names the column that holds the event's time, if rows are events."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time: str | None = None
    home: Home = Home.LAKE

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _customer(meaning: str, references: str | None = "customers") -> Column:
    return Column("customer_id", Type.STRING, meaning, references=references, privacy=Privacy.PSEUDONYM)


def _personal(name: str, meaning: str) -> Column:
    return Column(name, Type.STRING, meaning, nullable=True, privacy=Privacy.PERSONAL)


def _money(name: str, meaning: str) -> Column:
    return Column(name, Type.FLOAT, meaning, minimum=0, maximum=1_000_000)


CUSTOMERS = Table(
    "customers",
    "Who buys. Contact details are not here: they live in the vault.",
    key=("customer_id",),
    columns=(
        _customer("the shop's id of the customer", references=None),
        Column("signed_up_at", Type.TIMESTAMP, "when the account was opened", nullable=True),
        _personal("locale", "language and region, such as en-US"),
        _personal("country", "country of residence, as the shop records it"),
        _personal("timezone", "IANA time zone, such as Europe/London"),
        _personal("age_band", "age group, as the shop records it"),
        _personal("income_band", "income group, as the shop records it"),
        _personal("household_size", "people in the household"),
    ),
)

PRODUCTS = Table(
    "products",
    "What is sold.",
    key=("product_id",),
    columns=(
        Column("product_id", Type.STRING, "the shop's id of the product"),
        Column("category", Type.STRING, "category path, widest first, parts joined by ' > '", nullable=True),
        Column("brand", Type.STRING, "brand or brand class", nullable=True),
        Column("name", Type.STRING, "what customers know the product as", nullable=True),
        Column("price", Type.FLOAT, "list price in the shop's currency", nullable=True, minimum=0, maximum=1_000_000),
        Column("margin", Type.FLOAT, "what of the price is left after the product's own cost", nullable=True),
    ),
)

ORDERS = Table(
    "orders",
    "One row per order (basket).",
    key=("order_id",),
    time="ordered_at",
    columns=(
        Column("order_id", Type.STRING, "the shop's id of the order"),
        _customer("who ordered"),
        Column("ordered_at", Type.TIMESTAMP, "when the order was placed"),
        Column("status", Type.STRING, "what became of it", allowed=("completed", "cancelled", "returned")),
        Column("currency", Type.STRING, "ISO 4217 code of every amount in the order"),
    ),
)

ORDER_LINES = Table(
    "order_lines",
    "One row per product in an order.",
    key=("order_id", "line_id"),
    columns=(
        Column("order_id", Type.STRING, "the order the line belongs to", references="orders"),
        Column("line_id", Type.STRING, "the line's id within its order"),
        Column("product_id", Type.STRING, "what was bought"),
        Column("quantity", Type.FLOAT, "pieces, or a measure for goods sold by weight or volume", minimum=0),
        _money("amount", "what the shop receives for the line, after discounts"),
        _money("discount", "the shop's own discount on the line"),
        _money("coupon_discount", "the coupon's discount on the line"),
    ),
)

REDEMPTIONS = Table(
    "redemptions",
    "One row per coupon used, with the shop's own history imported.",
    key=("redemption_id",),
    time="redeemed_at",
    columns=(
        Column("redemption_id", Type.STRING, "id of the redemption"),
        _customer("who used the coupon"),
        Column("offer_id", Type.STRING, "which offer (coupon) was used"),
        Column("campaign_id", Type.STRING, "the campaign that brought it"),
        Column("redeemed_at", Type.TIMESTAMP, "when it was used"),
    ),
)

CONTACTS = Table(
    "contacts",
    "How a customer is reached. Kept in the vault, never in the lake.",
    key=("customer_id",),
    home=Home.VAULT,
    columns=(
        _customer("whom the details reach"),
        Column("email", Type.STRING, "e-mail address", privacy=Privacy.DIRECT),
        Column("given_name", Type.STRING, "how to address the customer", nullable=True, privacy=Privacy.DIRECT),
    ),
)

CONSENTS = Table(
    "consents",
    "What a customer allowed, per purpose and channel; the latest record counts.",
    key=("customer_id", "purpose", "channel", "recorded_at"),
    home=Home.VAULT,
    columns=(
        _customer("who decided"),
        Column("purpose", Type.STRING, "what for", allowed=("marketing",)),
        Column("channel", Type.STRING, "by which channel", allowed=("email",)),
        Column("status", Type.STRING, "the decision", allowed=("given", "withdrawn")),
        Column("recorded_at", Type.TIMESTAMP, "when it was recorded"),
    ),
    time="recorded_at",
)

TABLES: dict[str, Table] = {
    table.name: table for table in (CUSTOMERS, PRODUCTS, ORDERS, ORDER_LINES, REDEMPTIONS, CONTACTS, CONSENTS)
}
