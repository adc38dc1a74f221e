"""The shop's business rules: data in ``config/retention.yaml``, validated here, never branches in code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a name that is no file's is an OSError
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

    ``locale`` (such as en-US or zh-CN) says in which language its own people are told about customers. ``note`` is what
    readers of a report must know about the data.
    """

    name: str
    source: str
    timezone: TimeZoneName
    currency: CurrencyCode
    locale: str = "en"
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


class Search(Rule):
    """The budget of a search for better parameters, a candidate: so many trials, or so many seconds if fewer."""

    trials: Annotated[int, Field(ge=1)]
    seconds: Annotated[int, Field(ge=1)]


class Training(Rule):
    """Which cutoffs train and test, and which candidates compete.

    Training cutoffs run from ``first_cutoff`` in steps of ``step_days``. The last ``test_cutoffs`` matured cutoffs of
    the same grid, ``test_step_days`` apart, test; for each of them a candidate is fitted only on cutoffs whose labels
    had matured by then. ``metric`` decides which candidate is better. ``blend`` names the members of the candidate
    blend. Customers with a probability of ``threshold`` or more count as flagged in accuracy, precision, recall and F1.
    Every figure's interval comes from ``resamples`` draws of the customers. The calibration (one of ``calibration``, or
    none) and what becomes of single buyers are decided at each test cutoff on the earlier ones and on ``study_cutoffs``
    more before the first. ``search`` looks for better parameters on the latter; left out, candidates keep their own.
    """

    first_cutoff: date
    step_days: Annotated[int, Field(ge=1)]
    test_cutoffs: Annotated[int, Field(ge=1)]
    test_step_days: Annotated[int, Field(ge=1)]
    candidates: Annotated[list[str], Field(min_length=1)]
    metric: Literal["auc", "average_precision"]
    seed: int
    blend: Annotated[list[str], Field(min_length=2)] = ["logistic", "lightgbm", "bgnbd"]
    threshold: Share = 0.5
    resamples: Annotated[int, Field(ge=0)] = 200
    study_cutoffs: Annotated[int, Field(ge=0)] = 3
    calibration: list[Literal["platt", "isotonic", "beta"]] = ["platt", "isotonic", "beta"]
    search: Search | None = None

    @model_validator(mode="after")
    def _no_blend_of_blends(self) -> Training:
        if "blend" in self.blend:
            raise ValueError("blend names the blend's members: it cannot be one of them")
        return self

    @model_validator(mode="after")
    def _one_grid(self) -> Training:
        if self.test_step_days % self.step_days:
            raise ValueError(
                f"test_step_days {self.test_step_days} must be a multiple of step_days {self.step_days}, "
                "so that test cutoffs lie on the training grid"
            )
        return self


class Gate(Rule):
    """What a challenger must show before it is proposed as champion.

    It is compared on the same customers at the same later cutoffs, by ``resamples`` of a paired bootstrap. ``margin``
    is how much of the deciding metric it may be worse and still count as not worse; ``calibration_error`` is the most
    that its error may exceed what chance gives at that number of customers, ``scoring_milliseconds`` the longest that
    scoring 1,000 customers may take.
    """

    margin: Annotated[float, Field(ge=0)] = 0.005
    calibration_error: Share = 0.02
    scoring_milliseconds: Annotated[float, Field(gt=0)] = 2000
    resamples: Annotated[int, Field(ge=100)] = 1000


class _EdgeTiers(Rule):
    """Tiers with edges in probability. A score changes a customer's tier once it is ``margin`` past an edge."""

    medium: Share
    margin: Share = 0

    def _require_order(self, high: float) -> None:
        if self.medium >= high:
            raise ValueError(f"medium ({self.medium}) must lie below high ({high:.4g})")
        # Otherwise a rising customer could be past the lower edge's margin only beyond the upper edge.
        if 2 * self.margin > high - self.medium:
            raise ValueError(
                f"margin ({self.margin}) must not be more than half of what lies between medium ({self.medium}) and "
                f"high ({high:.4g})"
            )
        if high + self.margin > 1:
            raise ValueError(f"no probability reaches high ({high:.4g}) plus margin ({self.margin}): nobody could rise")


class ThresholdTiers(_EdgeTiers):
    """Tier by probability: high from ``high`` on, medium from ``medium`` on, low below."""

    by: Literal["threshold"]
    high: Share

    @model_validator(mode="after")
    def _ordered(self) -> ThresholdTiers:
        self._require_order(self.high)
        return self


class CapacityTiers(Rule):
    """Tier by rank: the ``high`` likeliest to churn are high, the next ``medium`` are medium (numbers of customers).

    ``high`` is how many the care desk can look after between two scorings. A customer keeps a place until somebody
    without one is likelier to churn by more than ``margin``.
    """

    by: Literal["capacity"]
    high: Annotated[int, Field(ge=0)]
    medium: Annotated[int, Field(ge=0)]
    margin: Share = 0


class ProfitTiers(_EdgeTiers):
    """Tier by expected profit: high from the probability on at which an offer pays for itself, medium from ``medium``.

    An offer costs ``offer_cost`` when it is used and ``contact_cost`` in any case, and keeps a would-be churner, worth
    ``customer_value``, with probability ``success_share``; whoever would have stayed uses it too. Money is in the
    shop's currency. Source of the formula: T. Verbraken, W. Verbeke, B. Baesens, "A novel profit maximizing metric for
    measuring classification performance of customer churn prediction models", IEEE TKDE 25(5), 2013, section 3.
    """

    by: Literal["profit"]
    offer_cost: Annotated[float, Field(ge=0)]
    contact_cost: Annotated[float, Field(ge=0)] = 0
    success_share: Annotated[float, Field(gt=0, le=1)]
    customer_value: Annotated[float, Field(gt=0)]

    @property
    def high(self) -> float:
        """The probability of churn at which the expected profit is zero."""
        return (self.offer_cost + self.contact_cost) / self._gain

    def expected_profit(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """What treating a customer with this probability of churn is expected to bring."""
        profit: NDArray[np.float64] = probability * self._gain - self.offer_cost - self.contact_cost
        return profit

    @property
    def _gain(self) -> float:
        """What treating a churner brings beyond treating somebody who stays."""
        return self.success_share * (self.customer_value - self.offer_cost) + self.offer_cost

    @model_validator(mode="after")
    def _worth_it(self) -> ProfitTiers:
        if self.success_share * (self.customer_value - self.offer_cost) <= self.contact_cost:
            raise ValueError(
                f"an offer that costs {self.offer_cost} and keeps {self.success_share:.0%} of customers worth "
                f"{self.customer_value} never pays, however likely the churn; lower offer_cost or contact_cost"
            )
        self._require_order(self.high)
        return self


TierRule = Annotated[ThresholdTiers | CapacityTiers | ProfitTiers, Field(discriminator="by")]


class Scoring(Rule):
    """How scoring is shared out (``shards`` of customers by hash) and how many reasons each customer gets.

    Reasons take many times as long as the score; customers whose probability is below ``reasons_from`` get none.
    Personas are found anew when those in use are ``personas_days`` old.
    """

    shards: Annotated[int, Field(ge=1, le=1024)]
    reasons: Annotated[int, Field(ge=1)]
    reasons_from: Share = 0
    personas_days: Annotated[int, Field(ge=1)] = 28


Demographic = Literal["locale", "country", "age_band", "income_band", "household_size"]


class FairnessLimits(Rule):
    """How far a group may be from what it should be, before a model counts as unfair.

    ``calibration_gap``: mean probability against the group's own churn rate. ``found_gap`` and ``auc_gap``: how far the
    share of churners found and the AUC may lie below everyone's.
    """

    calibration_gap: Share = 0.05
    found_gap: Share = 0.2
    auc_gap: Share = 0.1


class Fairness(Rule):
    """By which groups a model is held to treat customers alike.

    ``columns`` names columns of the customers table, each with the consent that allows its use here: a column without
    one is not looked at. Groups of fewer than ``least_customers`` are shown and not judged.
    """

    columns: dict[Demographic, Annotated[str, Field(min_length=1)]]
    least_customers: Annotated[int, Field(ge=1)] = 50
    limits: FairnessLimits = FairnessLimits()


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
    ``shards`` is how many senders share one channel's messages of a campaign. ``stop_for_harm`` ends a campaign whose
    customers have surely ordered less than its control (``holdfast.effect.sequence``).
    """

    frequency_caps: tuple[FrequencyCap, ...] = (FrequencyCap(messages=1, days=14),)
    quiet_hours: QuietHours | None = None
    holdout: Holdout = Holdout()
    margin: Annotated[float, Field(gt=0, le=1)] = 1
    limits: Mapping[str, ChannelLimits] = {}
    shards: Annotated[int, Field(ge=1, le=1024)] = 2
    stop_for_harm: bool = True


class Uplift(Rule):
    """How campaigns that choose by uplift learn whom treatment moves.

    Each of ``learners`` is cross-fitted over ``folds`` of the customers. Policies are compared where they may treat
    ``budget_share`` of them; intervals come from ``resamples`` draws.
    """

    learners: Annotated[list[str], Field(min_length=1)] = [
        "s_logistic",
        "t_logistic",
        "x_logistic",
        "dr_logistic",
        "r_logistic",
        "class_logistic",
        "s_lightgbm",
        "t_lightgbm",
        "x_lightgbm",
        "dr_lightgbm",
        "r_lightgbm",
        "class_lightgbm",
        "response",
        "churn_risk",
    ]
    budget_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    resamples: Annotated[int, Field(ge=100)] = 1000


class Recommendations(Rule):
    """How many ``products`` each customer is shown, chosen from the purchases of the last ``lookback_days``."""

    products: Annotated[int, Field(ge=1, le=20)] = 4
    lookback_days: Annotated[int, Field(ge=1)] = 364


Days = Annotated[int, Field(ge=1)]


class Retention(Rule):
    """After how many days what is deleted; what has no period here is kept until the customer is erased.

    ``landing``: files that were taken in, by landing day; ``quarantine``: rejected rows; ``events``: what customers did
    besides ordering; ``messages``: what finished messages were composed of; ``contacts``: how to reach customers whose
    last order, or sign-up, is so long ago; ``work``: intermediate files; ``logs``: ours and the tasks'; ``exports``:
    what customers were told about themselves.
    """

    landing: Days | None = None
    quarantine: Days | None = None
    events: Days | None = None
    messages: Days | None = None
    contacts: Days | None = None
    work: Days | None = None
    logs: Days | None = None
    exports: Days = 30


class Rules(Rule):
    """All business rules of one shop."""

    shop: Shop
    ingest: Ingestion = Ingestion()
    label: Label
    population: Population
    training: Training
    gate: Gate = Gate()
    tiers: TierRule
    scoring: Scoring
    fairness: Fairness | None = None
    outreach: Outreach = Outreach()
    uplift: Uplift = Uplift()
    recommendations: Recommendations = Recommendations()
    retention: Retention = Retention()
