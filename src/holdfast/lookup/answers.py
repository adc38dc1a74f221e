"""The answers of the look-up API, as its documentation describes them; a test holds real answers against them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

LARGEST_BATCH = 1_000

CustomerId = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="the shop's own id, as it is")
]
FeatureNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]],
    Field(max_length=200, description="a feature's name, repeated for several; left out: all features"),
]
Money = Annotated[str, Field(pattern=r"^\d+(\.\d+)?$", description="in the shop's currency")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Freshness(_Answer):
    """How old values are: they know what happened before ``as_of``, and count as fresh until ``valid_until``.

    ``fresh`` is false from then on, and where the store holds no such values; ``as_of`` is then null. ``valid_until``
    is also null for what never expires.
    """

    as_of: AwareDatetime | None
    valid_until: AwareDatetime | None
    fresh: bool


class Persona(_Answer):
    """The kind of customer: an id that stays the same from fit to fit, and its name by language."""

    id: str
    name: dict[str, str] | None


class Reason(_Answer):
    """A driver of the score: what it adds to the log-odds, and what it says by language."""

    family: str
    feature: str
    contribution: float
    text: dict[str, str]


class Score(Freshness):
    """A customer's latest score."""

    probability: float | None = Field(description="calibrated probability of churning within the horizon")
    tier: str | None = Field(description="risk tier: high, medium or low")
    reasons: list[Reason] = Field(description="the drivers, strongest first")
    basis: str | None = Field(description="what the probability rests on: model, or cohort")
    expected_spend: float | None = Field(description="within the horizon, in the shop's currency")
    value_at_risk: float | None = Field(description="in the shop's currency")
    lifetime_value: float | None = Field(description="within a year, in the shop's currency")
    persona: Persona | None
    model_version: str | None = Field(description="registry version of the model that scored")


class Offer(_Answer):
    """A coupon that the customer may use now: an amount or a percentage off."""

    campaign: str
    code: str
    amount: Money | None
    percent: Money | None
    maximum_discount: Money
    minimum_basket: Money
    currency: str
    valid_from: AwareDatetime
    valid_to: AwareDatetime = Field(description="the coupon is no longer valid at this moment")


class Customer(_Answer):
    """A customer. ``score`` is null for one who is known and was never scored.

    ``offers`` is there for keys of scope offers; those whose validity ends first come first.
    """

    customer_id: str
    score: Score | None
    offers: list[Offer] | None = None


class Batch(_Answer):
    """The customers to look up."""

    customer_ids: list[CustomerId] = Field(min_length=1, max_length=LARGEST_BATCH)


class Customers(_Answer):
    """The customers in the order asked, and the ids that nobody has."""

    customers: list[Customer]
    unknown: list[str]


class FeatureView(Freshness):
    """Features that are computed together, with the value of each; null is explained at /v1/features."""

    view: str
    features: dict[str, float | str | None]


class CustomerFeatures(_Answer):
    """A customer's features by view; ``fresh`` is whether all of the views are."""

    customer_id: str
    fresh: bool
    views: list[FeatureView]


class Feature(_Answer):
    """A feature: what it means, and what null means."""

    name: str
    view: str
    meaning: str
    type: Annotated[str, Field(pattern="^(number|text)$")]
    unit: str | None
    null: str | None


class Features(_Answer):
    """Every feature there is, and how long a view's values count as fresh."""

    features: list[Feature]
    valid_seconds: dict[str, float | None] = Field(description="by view; null: for ever")


class Health(_Answer):
    """Whether the service can do its work; ``waiting_for`` says what is missing."""

    status: str
    waiting_for: list[str] = []


def parameter(name: str, place: str, kind: TypeAdapter[Any]) -> dict[str, Any]:
    """The documentation of a parameter, from the type that reads it."""
    schema = kind.json_schema()
    return {"name": name, "in": place, "required": place == "path", "description": schema.pop("description")} | {
        "schema": schema
    }


def as_json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a request body, complete in itself."""
    return model.model_json_schema()
