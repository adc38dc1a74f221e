"""Coupons: their terms, their validity and codes that nobody can guess."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from holdfast.campaign.definition import AmountOff, PercentOff
from holdfast.windows import Window, instant

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to misread
_GROUPS, _GROUP_LENGTH = 3, 4


class OfferState(StrEnum):
    """A coupon is issued until it is redeemed; void when its message is known never to reach the customer."""

    ISSUED = "issued"
    REDEEMED = "redeemed"
    VOID = "void"


class Redeemed(StrEnum):
    """The ledger's answer to a report that a coupon was used."""

    ACCEPTED = "accepted"
    UNKNOWN_CODE = "unknown_code"
    VOID = "void"
    TOO_EARLY = "too_early"
    EXPIRED = "expired"
    BASKET_TOO_SMALL = "basket_too_small"
    ALREADY_REDEEMED = "already_redeemed"


@dataclass(frozen=True)
class Coupon:
    """One customer's single-use coupon. Exactly one of ``amount`` and ``percent`` is set; validity is half-open."""

    customer_id: str
    code: str
    amount: Decimal | None
    percent: Decimal | None
    maximum_discount: Decimal
    minimum_basket: Decimal
    valid: Window


def new_code() -> str:
    """A fresh code such as ``7KQ2-M0XD-9RTA``: 60 bits from the operating system's source of randomness."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def issue(customer_id: str, code: str, offer: AmountOff | PercentOff, issued_at: datetime, zone: ZoneInfo) -> Coupon:
    """The coupon on these terms, valid from ``issued_at`` to the end of the shop's day ``valid_days`` days later."""
    last_day = issued_at.astimezone(zone).date() + timedelta(days=offer.valid_days)
    return Coupon(
        customer_id,
        code,
        amount=offer.amount if isinstance(offer, AmountOff) else None,
        percent=offer.percent if isinstance(offer, PercentOff) else None,
        maximum_discount=offer.largest_discount,
        minimum_basket=offer.minimum_basket,
        valid=Window(issued_at, instant(last_day + timedelta(days=1), zone)),
    )


def last_day(coupon: Coupon, zone: ZoneInfo) -> date:
    """The last calendar day of the shop on which the coupon can be used."""
    return coupon.valid.end.astimezone(zone).date() - timedelta(days=1)
