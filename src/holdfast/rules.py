"""The shop's business rules: data in ``config/retention.yaml``, validated here, never branches in code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no IANA time zone; write one such as 'America/New_York'") from error
    return name


TimeZoneName = Annotated[str, AfterValidator(_known_zone)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""
Share = Annotated[float, Field(ge=0, le=1)]


class Rule(BaseModel):
    """Base of every rules model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Closure(Rule):
    """Days on which the shop is closed, ``first`` and ``last`` included."""

    first: date
    last: date

    @model_validator(mode="after")
    def _ordered(self) -> Closure:
        if self.last < self.first:
            raise ValueError(f"last ({self.last}) must not lie before first ({self.first})")
        return self


class Calendar(Rule):
    """The days on which the shop trades, and so lands files.

    ``closed_weekdays`` are never trading days; left out, they are learned from what has landed. ``closed`` lists single
    days and spans, such as public holidays, that no weekday could tell.
    """

    closed_weekdays: frozenset[Weekday] | None = None
    closed: tuple[date | Closure, ...] = ()

    def is_closed(self, day: date) -> bool:
        """Whether the calendar itself declares ``day`` closed."""
        if day.strftime("%A").lower() in (self.closed_weekdays or ()):
            return True
        return any(one.first <= day <= one.last if isinstance(one, Closure) else one == day for one in self.closed)


class Shop(Rule):
    """Who the shop is: its name, the mapping in ``sources/`` that reads its files, its calendar and currency.

    ``note`` is what readers of a report must know about the data.
    """

    name: str
    source: str
    timezone: TimeZoneName
    currency: CurrencyCode
    note: str | None = None
    calendar: Calendar = Calendar()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Ingestion(Rule):
    """When ingestion stops the line.

    A landing file is refused as a whole when more than ``reject_share`` of its rows, and at least ``reject_rows`` of
    them, are rejected. Rows that the mapping leaves out on purpose count neither way, and so do repeated ones. What
    dirt a shop expects its mapping names; when more than half of the rest is wrong, it is the export or the mapping
    that is wrong, not the rows. ``findings`` says whether a missing day or an unusual volume is only told (warn) or
    fails the run (stop).
    """

    reject_share: Share = 0.5
    reject_rows: Annotated[int, Field(ge=1)] = 20
    findings: Literal["warn", "stop"] = "warn"


class Label(Rule):
    """What counts as churned: no order with a positive amount within ``horizon_days`` after the cutoff.

    ``word`` is what reports call it: a shop whose customers mostly come back calls it *lapsing*, not *leaving*.
    """

    horizon_days: Annotated[int, Field(ge=1)]
    word: str


class Population(Rule):
    """Who is scored: customers with an order in the last ``active_days`` days before the cutoff."""

    active_days: Annotated[int, Field(ge=1)]


class Training(Rule):
    """Which cutoffs train and test, and which candidates compete.

    Training cutoffs run from ``first_cutoff`` in steps of ``step_days``. The last ``test_cutoffs`` matured cutoffs of
    the same grid, ``test_step_days`` apart, test; for each of them a candidate is fitted only on cutoffs whose labels
    had matured by then. ``metric`` decides which candidate is better.
    """

    first_cutoff: date
    step_days: Annotated[int, Field(ge=1)]
    test_cutoffs: Annotated[int, Field(ge=1)]
    test_step_days: Annotated[int, Field(ge=1)]
    candidates: Annotated[list[str], Field(min_length=1)]
    metric: Literal["auc", "average_precision"]
    seed: int

    @model_validator(mode="after")
    def _one_grid(self) -> Training:
        if self.test_step_days % self.step_days:
            raise ValueError(
                f"test_step_days {self.test_step_days} must be a multiple of step_days {self.step_days}, "
                "so that test cutoffs lie on the training grid"
            )
        return self


class ThresholdTiers(Rule):
    """Tier by probability: high from ``high`` on, medium from ``medium`` on, low below."""

    by: Literal["threshold"]
    high: Share
    medium: Share

    @model_validator(mode="after")
    def _ordered(self) -> ThresholdTiers:
        if self.medium >= self.high:
            raise ValueError(f"medium ({self.medium}) must lie below high ({self.high})")
        return self


class CapacityTiers(Rule):
    """Tier by rank: the ``high`` likeliest to churn are high, the next ``medium`` are medium (numbers of customers)."""

    by: Literal["capacity"]
    high: Annotated[int, Field(ge=0)]
    medium: Annotated[int, Field(ge=0)]


class Scoring(Rule):
    """How scoring is shared out (``shards`` of customers by hash) and how many reasons each customer gets."""

    shards: Annotated[int, Field(ge=1, le=1024)]
    reasons: Annotated[int, Field(ge=1)]


def _clock_time(value: Any) -> Any:
    if isinstance(value, int | float):  # YAML 1.1 reads 21:00 as a number to the base of sixty
        raise ValueError('write a time of day in quotes, as in "21:00"')
    return value


TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]


class FrequencyCap(Rule):
    """No customer gets more than ``messages`` messages within any ``days`` days, over all campaigns and channels."""

    messages: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=3650)]


class QuietHours(Rule):
    """From ``start`` to ``end`` by the customer's own clock nothing is sent; ``end`` may lie on the next day."""

    start: TimeOfDay
    end: TimeOfDay

    @model_validator(mode="after")
    def _some_hours_are_left(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end are the same, so that no hour would be left to send in; leave it out")
        return self


class Holdout(Rule):
    """Customers withheld from every campaign, a ``share`` of all, drawn by hash of ``name`` and customer.

    Another name draws others: a name a quarter, such as "2018Q1", gives the programme's effect quarter by quarter.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)] = "holdout"
    share: Annotated[float, Field(ge=0, lt=1)] = 0


class ChannelLimits(Rule):
    """How fast all senders together may use a channel: ``per_minute`` on average, ``burst`` at once."""

    per_minute: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]


class Outreach(Rule):
    """What holds for every campaign.

    ``margin`` is the share of a sale that the shop keeps. A channel without ``limits`` is used as fast as it answers;
    ``shards`` is how many senders share one channel's messages of a campaign.
    """

    frequency_caps: tuple[FrequencyCap, ...] = (FrequencyCap(messages=1, days=14),)
    quiet_hours: QuietHours | None = None
    holdout: Holdout = Holdout()
    margin: Annotated[float, Field(gt=0, le=1)] = 1
    limits: Mapping[str, ChannelLimits] = {}
    shards: Annotated[int, Field(ge=1, le=1024)] = 2


class Recommendations(Rule):
    """How many ``products`` each customer is shown, chosen from the purchases of the last ``lookback_days``."""

    products: Annotated[int, Field(ge=1, le=20)] = 4
    lookback_days: Annotated[int, Field(ge=1)] = 364


class Rules(Rule):
    """All business rules of one shop."""

    shop: Shop
    ingest: Ingestion = Ingestion()
    label: Label
    population: Population
    training: Training
    tiers: Annotated[ThresholdTiers | CapacityTiers, Field(discriminator="by")]
    scoring: Scoring
    outreach: Outreach = Outreach()
    recommendations: Recommendations = Recommendations()
