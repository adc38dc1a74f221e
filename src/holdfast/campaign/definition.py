"""A campaign as a marketer writes it: who may be contacted, with which offer, within which limits, in which words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from holdfast.risk import Tier
from holdfast.rules import Rule, Share

Money = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
PositiveMoney = Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]
Days = Annotated[int, Field(ge=1, le=3650)]
TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[a-z0-9]+)+$")]


class Audience(Rule):
    """Whom the campaign is meant for: customers of these risk tiers, worth at least ``minimum_value``.

    ``personas`` are ids of kinds of customers (the report names them); without any, every kind is meant.
    """

    tiers: tuple[Tier, ...]
    minimum_value: Annotated[float, Field(ge=0)] = 0
    personas: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

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
    default, 1, is the most the coupons can cost.
    """

    minimum_basket: Money
    valid_days: Days
    assumed_redemption: Share = 1


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

    ``cost_per_contact`` is what one message costs by itself.
    """

    money: Money
    contacts: Annotated[int, Field(ge=0)]
    cost_per_contact: Money = Decimal(0)


class ContactCap(Rule):
    """No customer gets more than ``messages`` messages in ``days`` days, over all campaigns together."""

    messages: Annotated[int, Field(ge=1)]
    days: Days


class MessageTemplates(Rule):
    """The message: its channel, its subject (one line, a Jinja template) and the names of its body templates."""

    channel: Literal["email"]
    subject: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]+$")]
    text: TemplateName
    html: TemplateName


class Campaign(Rule):
    """One campaign: audience, randomised control, offer, limits and message.

    Customers are taken in order of value at risk (probability × value), the greatest first, as far as the budget
    reaches. ``control_share`` of them are contacted by nobody, so that the effect can be measured; it is never zero.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    audience: Audience
    control_share: Annotated[float, Field(gt=0, lt=1)]
    offer: Offer
    budget: Budget
    contact_cap: ContactCap
    message: MessageTemplates

    def run_id(self, cutoff: date) -> str:
        """The id of this campaign's run on the scores of ``cutoff``: ``win_back@2017-11-26``."""
        return f"{self.name}@{cutoff.isoformat()}"

    @property
    def cost_per_customer(self) -> Decimal:
        """Expected cost of treating one customer: the message, and the largest discount times its assumed use."""
        return self.budget.cost_per_contact + self.offer.largest_discount * Decimal(str(self.offer.assumed_redemption))

    @property
    def digest(self) -> str:
        """SHA-256 of the definition: two definitions with the same digest ask for the same campaign."""
        # What a definition leaves out does not count, so that a possibility added since changes no definition.
        canonical = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class CampaignRun:
    """A campaign applied to the scores of one cutoff: ``scored`` customers, of whom ``audience`` are its audience."""

    campaign: Campaign
    cutoff: date
    planned_at: datetime
    scored: int
    audience: int

    @property
    def id(self) -> str:
        return self.campaign.run_id(self.cutoff)
