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
    PSEUDONYM = "pseudonym"  # the shop's id of a customer: hashed as a file is read, led back by the vault alone
    PERSONAL = "personal"  # about a person, without naming them
    DIRECT = "direct"  # names or reaches a person: vault only


class Home(StrEnum):
    """Where accepted rows are kept."""

    LAKE = "lake"
    VAULT = "vault"  # the operations database, next to consent


@dataclass(frozen=True)
class Column:
    """One column: meaning, type, and the rules every value obeys.

    ``minimum`` and ``maximum`` are inclusive; ``longest`` is a text's greatest number of characters. ``references``
    names the table whose single-column key a value must be. ``may_reference`` names one whose key it should be, though
    it may be unknown there: a visitor may look at a product that the shop no longer lists. ``example`` is what a
    template shows where no value follows from the rest.
    """

    name: str
    type: Type
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    longest: int = 1_000
    references: str | None = None
    may_reference: str | None = None
    privacy: Privacy = Privacy.NONE
    example: str | None = None


@dataclass(frozen=True)
class Table:
    """A canonical table.

    ``time`` names the column that holds the event's time, if rows are events. Of the columns of ``any_of``, a row must
    fill at least one.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time: str | None = None
    any_of: tuple[str, ...] = ()
    home: Home = Home.LAKE

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


EVENT_TYPES = (
    "view",
    "search",
    "cart",
    "uncart",
    "wishlist",
    "checkout",
    "login",
    "return",
    "support",
    "other",
)
"""What an event may be: looking at a product, a search, a product put into or taken out of the cart, …"""


def _customer(meaning: str, references: str | None = "customers") -> Column:
    return Column("customer_id", Type.STRING, meaning, references=references, privacy=Privacy.PSEUDONYM)


def _personal(name: str, meaning: str, longest: int = 1_000) -> Column:
    return Column(name, Type.STRING, meaning, nullable=True, longest=longest, privacy=Privacy.PERSONAL)


def _direct(name: str, meaning: str, longest: int, example: str | None = None) -> Column:
    return Column(name, Type.STRING, meaning, nullable=True, longest=longest, privacy=Privacy.DIRECT, example=example)


def _money(name: str, meaning: str) -> Column:
    return Column(name, Type.FLOAT, meaning, minimum=0, maximum=1_000_000)


def _campaign(meaning: str, *, references: str | None = None, nullable: bool = False) -> Column:
    loose = None if references else "past_campaigns"
    return Column("campaign_id", Type.STRING, meaning, nullable=nullable, references=references, may_reference=loose)


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
        Column("stock", Type.FLOAT, "pieces that can be sold; 0 keeps it out of recommendations", nullable=True),
        Column("picture", Type.STRING, "web address of a picture that messages may link to", nullable=True),
        Column("page", Type.STRING, "web address of the product's own page", nullable=True),
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
        Column("currency", Type.STRING, "ISO 4217 code of every amount in the order", longest=3, example="EUR"),
    ),
)

ORDER_LINES = Table(
    "order_lines",
    "One row per product in an order.",
    key=("order_id", "line_id"),
    columns=(
        Column("order_id", Type.STRING, "the order the line belongs to", references="orders"),
        Column("line_id", Type.STRING, "the line's id within its order"),
        Column("product_id", Type.STRING, "what was bought", may_reference="products"),
        Column("quantity", Type.FLOAT, "pieces, or a measure for goods sold by weight or volume", minimum=0),
        _money("amount", "what the shop receives for the line, after discounts"),
        _money("discount", "the shop's own discount on the line"),
        _money("coupon_discount", "the coupon's discount on the line"),
    ),
)

EVENTS = Table(
    "events",
    "What customers did besides ordering: visits, carts, log-ins, returns, calls for help.",
    key=("event_id",),
    time="occurred_at",
    columns=(
        Column("event_id", Type.STRING, "the shop's id of the event"),
        _customer("who did it"),
        Column("occurred_at", Type.TIMESTAMP, "when it happened"),
        Column("type", Type.STRING, "what happened", allowed=EVENT_TYPES),
        Column("product_id", Type.STRING, "the product it was about", nullable=True, may_reference="products"),
        Column("duration_s", Type.FLOAT, "how long it took, in seconds", nullable=True, minimum=0, maximum=86_400),
        _personal("device", "kind of device, such as phone or desktop"),
        _personal("referrer", "where the visitor came from"),
        _personal("properties", "anything else, as a JSON object", longest=10_000),
    ),
)

REVIEWS = Table(
    "reviews",
    "What customers wrote about products.",
    key=("review_id",),
    time="written_at",
    columns=(
        Column("review_id", Type.STRING, "the shop's id of the review"),
        _customer("who wrote it"),
        Column("product_id", Type.STRING, "the product it is about", nullable=True, may_reference="products"),
        Column("written_at", Type.TIMESTAMP, "when it was written"),
        Column("rating", Type.FLOAT, "stars, from 1 (worst) to 5 (best)", nullable=True, minimum=1, maximum=5),
        _personal("text", "the review's own words", longest=20_000),
        Column("language", Type.STRING, "language of the text, such as en", nullable=True),
    ),
)

PAST_CAMPAIGNS = Table(
    "past_campaigns",
    "Campaigns that the shop ran before, or beside, Holdfast. Its own are in the operations database.",
    key=("campaign_id",),
    time="started_at",
    columns=(
        Column("campaign_id", Type.STRING, "the shop's id of the campaign"),
        Column("name", Type.STRING, "what the shop calls it", nullable=True),
        Column("channel", Type.STRING, "by which channel it reached customers", nullable=True),
        Column("started_at", Type.TIMESTAMP, "when it began"),
        Column("ended_at", Type.TIMESTAMP, "when it ended", nullable=True),
    ),
)

PAST_OFFERS = Table(
    "past_offers",
    "Offers (coupons) of those campaigns.",
    key=("offer_id",),
    columns=(
        Column("offer_id", Type.STRING, "the shop's id of the offer"),
        _campaign("the campaign that it belonged to", nullable=True),
        Column("kind", Type.STRING, "what was offered, such as percent, amount or free delivery", nullable=True),
        Column("value", Type.FLOAT, "how much of it", nullable=True, minimum=0, maximum=1_000_000),
        Column(
            "minimum_basket", Type.FLOAT, "smallest order that it is good for", nullable=True, minimum=0, maximum=1e6
        ),
        Column("valid_from", Type.TIMESTAMP, "from when on it was good", nullable=True),
        Column("valid_until", Type.TIMESTAMP, "until when it was good", nullable=True),
    ),
)

PAST_ASSIGNMENTS = Table(
    "past_assignments",
    "Who was chosen for those campaigns, and who was held back as control.",
    key=("campaign_id", "customer_id"),
    time="assigned_at",
    columns=(
        _campaign("the campaign", references="past_campaigns"),
        _customer("who was assigned"),
        Column("arm", Type.STRING, "the treatment, or control", example="control"),
        Column("assigned_at", Type.TIMESTAMP, "when it was decided"),
        Column(
            "propensity",
            Type.FLOAT,
            "probability with which chance gave this arm; empty where chance had no part",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
    ),
)

PAST_DELIVERIES = Table(
    "past_deliveries",
    "Messages that customers were sent before, or beside, Holdfast.",
    key=("delivery_id",),
    time="sent_at",
    columns=(
        Column("delivery_id", Type.STRING, "the shop's id of the message"),
        _customer("who was written to"),
        _campaign("the campaign that it belonged to", nullable=True),
        Column("channel", Type.STRING, "by which channel", example="email"),
        Column("sent_at", Type.TIMESTAMP, "when it was sent"),
        Column("status", Type.STRING, "what became of it", allowed=("delivered", "bounced", "complained", "unknown")),
        Column("opened_at", Type.TIMESTAMP, "when it was first opened", nullable=True),
        Column("clicked_at", Type.TIMESTAMP, "when a link in it was first followed", nullable=True),
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
        Column("offer_id", Type.STRING, "which offer (coupon) was used", may_reference="past_offers"),
        _campaign("the campaign that brought it"),
        Column("redeemed_at", Type.TIMESTAMP, "when it was used"),
    ),
)

CONTACTS = Table(
    "contacts",
    "How a customer is reached.",
    key=("customer_id",),
    any_of=("email", "phone", "push_token"),
    home=Home.VAULT,
    columns=(
        _customer("whom the details reach"),
        _direct("email", "e-mail address", longest=320, example="customer-1@shop.example"),
        _direct("phone", "telephone number in international form", longest=60, example="+12025550143"),
        _direct("push_token", "the app's address for notifications", longest=500, example="f3a9c1"),
        _direct("given_name", "how to address the customer", longest=200),
    ),
)

_DECIDED = ("email", "sms", "push", "care_desk", "all")

CONSENTS = Table(
    "consents",
    "What a customer allowed, per purpose and channel; the latest record counts.",
    key=("customer_id", "purpose", "channel", "recorded_at"),
    home=Home.VAULT,
    columns=(
        _customer("who decided"),
        Column("purpose", Type.STRING, "what for", allowed=("marketing", "profiling")),
        Column("channel", Type.STRING, "by which channel; all is the only one of profiling", allowed=_DECIDED),
        Column("status", Type.STRING, "the decision", allowed=("given", "withdrawn")),
        Column("recorded_at", Type.TIMESTAMP, "when it was recorded"),
    ),
    time="recorded_at",
)

# In the order in which rows may refer to those of earlier tables.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        CUSTOMERS,
        PRODUCTS,
        PAST_CAMPAIGNS,
        PAST_OFFERS,
        ORDERS,
        ORDER_LINES,
        EVENTS,
        REVIEWS,
        PAST_ASSIGNMENTS,
        PAST_DELIVERIES,
        REDEMPTIONS,
        CONTACTS,
        CONSENTS,
    )
}
