"""The send gate: the reasons not to contact a customer, in the order in which they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast.campaign.definition import Audience, ContactCap
from holdfast.campaign.offers import Coupon
from holdfast.campaign.recipient import is_plain_address


class Reason(StrEnum):
    """Why a customer of the audience is not contacted; ``OFFER_ENDED`` can only arise between plan and send."""

    NO_CONTACT = "no_contact"
    NO_CONSENT = "no_consent"
    CONTACT_CAP = "contact_cap"
    BUDGET = "budget"
    OFFER_ENDED = "offer_ended"


@dataclass(frozen=True)
class Candidate:
    """A scored customer: probability of churn, risk tier, what the customer is worth (money), and the persona's id."""

    customer_id: str
    probability: float
    tier: str
    value: float
    persona: str | None = None

    @property
    def value_at_risk(self) -> float:
        return self.probability * self.value


@dataclass(frozen=True)
class Standing:
    """What the operations database knows about contacting one customer by one channel.

    ``consent`` is the latest decision ("given", "withdrawn") or None when none was ever recorded; ``recent_messages``
    counts messages of the contact cap's window, sent or still to be sent.
    """

    address: str | None
    given_name: str | None
    consent: str | None
    recent_messages: int


UNKNOWN_CUSTOMER = Standing(address=None, given_name=None, consent=None, recent_messages=0)


@dataclass(frozen=True)
class Obstacle:
    """A reason not to contact, with a sentence for the person who asks. It never holds contact details."""

    reason: Reason
    detail: str


def in_audience(candidate: Candidate, audience: Audience) -> bool:
    return (
        candidate.tier in audience.tiers
        and candidate.value >= audience.minimum_value
        and (audience.personas is None or candidate.persona in audience.personas)
    )


def may_be_planned(standing: Standing, cap: ContactCap) -> Obstacle | None:
    """The first obstacle to planning one more message: contact details, consent, contact cap.

    The cap is not asked again at the send: a planned message already counts against it, so no two plans can both use
    the last place.
    """
    obstacle = _may_be_contacted(standing)
    if obstacle is None and standing.recent_messages >= cap.messages:
        return Obstacle(
            Reason.CONTACT_CAP,
            f"{standing.recent_messages} messages within {cap.days} days; the cap is {cap.messages}",
        )
    return obstacle


def may_be_sent(standing: Standing, coupon: Coupon, at: datetime) -> Obstacle | None:
    """The first obstacle to sending a planned message now: what may have changed since it was planned."""
    obstacle = _may_be_contacted(standing)
    if obstacle is None and at >= coupon.valid.end:
        return Obstacle(Reason.OFFER_ENDED, f"the offer ended on {coupon.valid.end:%Y-%m-%d}")
    return obstacle


def _may_be_contacted(standing: Standing) -> Obstacle | None:
    if not standing.address:
        return Obstacle(Reason.NO_CONTACT, "no e-mail address is known")
    if not is_plain_address(standing.address):
        return Obstacle(Reason.NO_CONTACT, "the e-mail address is not one plain address")
    if standing.consent is None:
        return Obstacle(Reason.NO_CONSENT, "consent to marketing by e-mail was never given")
    if standing.consent != "given":
        return Obstacle(Reason.NO_CONSENT, f"consent to marketing by e-mail is {standing.consent}")
    return None
