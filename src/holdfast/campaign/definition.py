"""A campaign as a marketer writes it: who may be contacted, with which offer, within which limits, in which words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_serializer, field_validator, model_validator

from holdfast.expressions import Condition
from holdfast.risk import Tier
from holdfast.rules import Rule, Share, TimeZoneName
from holdfast.windows import Window, instant

CONTROL = "control"
"""What the arm is called whose customers nobody contacts."""

Money = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
Cost = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=4)]
PositiveMoney = Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]
Days = Annotated[int, Field(ge=1, le=3650)]
TemplateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Purpose = Literal["marketing", "transactional"]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=20)]


class Audience(Rule):
    """Whom the campaign is meant for: customers of these risk tiers, worth at least ``minimum_value``.

    ``personas`` are ids of kinds of customers (the report names them); without any, every kind is meant. ``where`` is a
    condition on their features as of the cutoff.
    """

    tiers: tuple[Tier, ...]
    minimum_value: Annotated[float, Field(ge=0)] = 0
    personas: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    where: Condition | None = None

    @field_serializer("where")
    def _as_written(self, where: Condition | None) -> dict[str, Any] | None:
        """A condition has many optional parts, and refuses those that do not belong to it, even empty ones."""
        return None if where is None else where.model_dump(mode="json", exclude_unset=True)

    @field_validator("tiers")
    @classmethod
    def _some_and_once_each(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        if not tiers:
            raise ValueError("no tier is named, so that nobody is meant; name at least one")
        twice = [tier.value for tier, times in Counter(tiers).items() if times > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} named more than once; name each tier once")
        return tiers


class _Terms(Rule):
    """What every coupon says, whatever it takes off.

    ``assumed_redemption`` is the share of coupons expected to be used; it turns a coupon into an expected cost. The
    default, 1, is the most the coupons can cost. ``codes`` names the pool of imported codes to give out; left out,
    codes are made.
    """

    minimum_basket: Money
    valid_days: Days
    assumed_redemption: Share = 1
    codes: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=60)] | None = None


class AmountOff(_Terms):
    """A fixed amount off one basket of at least ``minimum_basket``."""

    kind: Literal["amount"]
    amount: PositiveMoney

    @model_validator(mode="after")
    def _basket_covers_it(self) -> AmountOff:
        if self.minimum_basket < self.amount:
            raise ValueError(
                f"minimum_basket {self.minimum_basket} is below the amount off ({self.amount}): "
                "such a coupon pays for the whole basket; raise minimum_basket"
            )
        return self

    @property
    def largest_discount(self) -> Decimal:
        return self.amount


class PercentOff(_Terms):
    """A share of one basket of at least ``minimum_basket``, never more than ``maximum_discount``."""

    kind: Literal["percent"]
    percent: Annotated[Decimal, Field(gt=0, le=100, decimal_places=2)]
    maximum_discount: PositiveMoney

    @property
    def largest_discount(self) -> Decimal:
        return self.maximum_discount


Offer = Annotated[AmountOff | PercentOff, Field(discriminator="kind")]


class Budget(Rule):
    """What the campaign may spend: ``money`` (in the shop's currency, expected cost) and ``contacts`` (messages).

    ``liability`` limits what its coupons take off if every one of them is used to the full.
    """

    money: Money
    contacts: Annotated[int, Field(ge=0)]
    liability: Money | None = None


class Message(Rule):
    """The message: the channel that carries it and the template (a folder of ``campaigns/templates``) that it fills.

    ``by_reason`` names another template for customers whose first reason is of that feature family.
    """

    channel: ChannelName
    template: TemplateName
    by_reason: dict[str, TemplateName] = Field(default_factory=dict)

    def template_for(self, reason: str | None) -> str:
        return self.template if reason is None else self.by_reason.get(reason, self.template)

    @property
    def templates(self) -> tuple[str, ...]:
        """Every template that some customer may get, each once."""
        return tuple(dict.fromkeys((self.template, *self.by_reason.values())))


class Arm(Rule):
    """One treatment: its message, its offer if it has one, and what it costs and is assumed to achieve.

    ``weight`` is its part of the treated customers beside the other arms'. ``cost_per_contact`` is what one message
    costs by itself. ``assumed_effect`` is the share of the value at risk that it is assumed to save; the default, 1,
    is the most that it can.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    message: Message
    offer: Offer | None = None
    weight: Annotated[float, Field(gt=0)] = 1
    cost_per_contact: Cost = Decimal(0)
    assumed_effect: Share = 1

    @field_validator("name")
    @classmethod
    def _not_the_control(cls, name: str) -> str:
        if name == CONTROL:
            raise ValueError(f"{CONTROL!r} is what those are called whom nobody contacts; choose another name")
        return name

    @property
    def cost(self) -> Decimal:
        """Expected cost of treating one customer: the message, and the largest discount times its assumed use.

        Rounded up to the four decimal places that are kept of it, so that a budget is never overdrawn.
        """
        used = Decimal(str(self.offer.assumed_redemption if self.offer else 0))
        return (self.cost_per_contact + self.liability * used).quantize(Decimal("0.0001"), ROUND_UP)

    @property
    def liability(self) -> Decimal:
        """The most that one customer's coupon takes off."""
        return self.offer.largest_discount if self.offer else Decimal(0)


class ByRisk(Rule):
    """The likeliest to churn first."""

    by: Literal["risk"]


class ByValueAtRisk(Rule):
    """The greatest probability times expected margin first."""

    by: Literal["value_at_risk"]


class ByExpectedProfit(Rule):
    """The greatest expected profit for the money first; whoever would cost more than is saved is left alone."""

    by: Literal["expected_profit"]


class AtRandom(Rule):
    """Anyone whose probability lies in the band ``[at_least, below)``, in random order: to gather evidence."""

    by: Literal["random"]
    at_least: Share = 0
    below: Annotated[float, Field(gt=0, le=1.01)] = 1.01

    @model_validator(mode="after")
    def _a_band(self) -> AtRandom:
        if self.below <= self.at_least:
            raise ValueError(f"below ({self.below}) must be greater than at_least ({self.at_least})")
        return self


PlainPolicy = Annotated[ByRisk | ByValueAtRisk | ByExpectedProfit | AtRandom, Field(discriminator="by")]


class ByUplift(Rule):
    """For each customer the arm, or none, that is predicted to bring most after its cost, within the budget.

    ``until`` decides as long as no uplift model is champion of the campaign. ``explore`` is the share of the customers,
    by hash, who are given an arm by weight all the same: without it nothing could be learned any more.
    """

    by: Literal["uplift"]
    until: PlainPolicy = ByValueAtRisk(by="value_at_risk")
    explore: Annotated[float, Field(gt=0, lt=1)] = 0.1


PolicyChoice = Annotated[ByRisk | ByValueAtRisk | ByExpectedProfit | AtRandom | ByUplift, Field(discriminator="by")]


class ArmShares(Rule):
    """The arms' shares of the treated follow what each has brought in matured runs, instead of their weights.

    ``segments`` learns them apart for each value of a column of the scores. No arm's share falls below ``floor``.
    """

    segments: Literal["tier", "persona"] | None = None
    floor: Annotated[float, Field(gt=0, le=0.5)] = 0.1


class Schedule(Rule):
    """When its messages may leave: not before ``first_day``, and not after ``last_day`` or ``within_days`` of planning.

    Nobody is planned outside these days. They are calendar days of ``timezone``, by default the shop's.
    """

    first_day: date | None = None
    last_day: date | None = None
    within_days: Days = 7
    timezone: TimeZoneName | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Schedule:
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError(f"last_day ({self.last_day}) must not lie before first_day ({self.first_day})")
        return self

    def window(self, planned_at: datetime, shop: ZoneInfo) -> Window:
        """From when on, and until when, a message planned at that moment may leave."""
        start = max(planned_at, instant(self.first_day, self._zone(shop))) if self.first_day else planned_at
        end = start + timedelta(days=self.within_days)
        return Window(start, min(end, instant(self._day_after, self._zone(shop))) if self._day_after else end)

    def closed(self, at: datetime, shop: ZoneInfo) -> str | None:
        """Why nobody is planned at that moment ("begins on …", "over since …"), or None on the schedule's days."""
        if self.first_day and at < instant(self.first_day, self._zone(shop)):
            return f"begins on {self.first_day}"
        return self.over(at, shop)

    def over(self, at: datetime, shop: ZoneInfo) -> str | None:
        """Since when its last day has passed ("over since …"), or None."""
        if self._day_after and at >= instant(self._day_after, self._zone(shop)):
            return f"over since {self._day_after}"
        return None

    @property
    def _day_after(self) -> date | None:
        return self.last_day + timedelta(days=1) if self.last_day else None

    def _zone(self, shop: ZoneInfo) -> ZoneInfo:
        return ZoneInfo(self.timezone) if self.timezone else shop


class Campaign(Rule):
    """One campaign: audience, randomised control, policy, arms, limits and schedule.

    Customers are taken in the policy's order as far as the budget reaches. ``control_share`` of them are contacted by
    nobody, so that the effect can be measured; it is never zero. A ``transactional`` campaign (a recall, a notice about
    an order) is exempt from the send gate: from consent, suppression, holdout, caps, quiet hours. Of campaigns planned
    together, those of greater ``priority`` are planned first.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    purpose: Purpose = "marketing"
    priority: int = 0
    audience: Audience
    control_share: Annotated[float, Field(gt=0, lt=1)]
    policy: PolicyChoice = ByValueAtRisk(by="value_at_risk")
    arms: tuple[Arm, ...]
    arm_shares: ArmShares | None = None
    budget: Budget
    schedule: Schedule = Schedule()

    @field_validator("arms")
    @classmethod
    def _some_and_each_name_once(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        if not arms:
            raise ValueError("no arm is given, so that nobody would be treated; give at least one")
        twice = [name for name, times in Counter(arm.name for arm in arms).items() if times > 1]
        if twice:
            raise ValueError(f"two arms are called {', '.join(twice)}; give each a name of its own")
        return arms

    @model_validator(mode="after")
    def _shares_can_be_learned(self) -> Campaign:
        if self.arm_shares is None:
            return self
        if len(self.arms) < 2:
            raise ValueError("arm_shares: there is one arm only, so that there is nothing to share; leave it out")
        if self.arm_shares.floor * len(self.arms) > 1:
            raise ValueError(
                f"arm_shares.floor {self.arm_shares.floor} for each of {len(self.arms)} arms is more than all of the "
                f"treated; {1 / len(self.arms):.3f} is the most"
            )
        return self

    def run_id(self, cutoff: date) -> str:
        """The id of this campaign's run on the scores of ``cutoff``: ``win_back@2017-11-26``."""
        return f"{self.name}@{cutoff.isoformat()}"

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of its arms, each once."""
        return tuple(dict.fromkeys(arm.message.channel for arm in self.arms))

    @property
    def digest(self) -> str:
        """SHA-256 of the definition: two definitions with the same digest ask for the same campaign."""
        # What a definition leaves out does not count, so that a possibility added since changes no definition.
        canonical = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class CampaignRun:
    """A campaign applied to the scores of one cutoff: ``scored`` customers, of whom ``audience`` are its audience.

    ``stopped_at`` is when a person ended it before its time; ``chosen_by`` says which policy chose its customers.
    """

    campaign: Campaign
    cutoff: date
    planned_at: datetime
    scored: int
    audience: int
    stopped_at: datetime | None = None
    chosen_by: str | None = None

    @property
    def id(self) -> str:
        return self.campaign.run_id(self.cutoff)
