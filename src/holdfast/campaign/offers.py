"""Coupons: their terms, their validity, codes that nobody can guess, and whether one may be redeemed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np

from holdfast.campaign.definition import AmountOff, PercentOff
from holdfast.windows import Window, instant

_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", dtype=np.uint8)  # Crockford's base 32: no I, L, O, U
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
class Terms:
    """What a coupon of an arm takes off. Exactly one of ``amount`` and ``percent`` is set; validity is half-open."""

    amount: Decimal | None
    percent: Decimal | None
    maximum_discount: Decimal
    minimum_basket: Decimal
    valid: Window


@dataclass(frozen=True)
class Coupon:
    """One customer's single-use coupon."""

    customer_id: str
    code: str
    terms: Terms


@dataclass(frozen=True)
class Entitlement:
    """A coupon in force, and the campaign run that gave it."""

    campaign_id: str
    coupon: Coupon


@dataclass(frozen=True)
class RedemptionReport:
    """A shop's word that a coupon was used. ``id`` is the shop's own: the same id is the same redemption."""

    id: str
    code: str
    redeemed_at: datetime
    basket: Decimal
    discount: Decimal
    order_id: str | None = None


@dataclass(frozen=True)
class Balance:
    """The coupons of one campaign run: ``issued`` = ``redeemed`` + ``void`` + ``expired`` + ``open``.

    ``liability`` is the most that the open ones can still take off, ``discount`` what the redeemed ones did. ``beyond``
    counts redemptions that took off more than the coupon allows, ``untold`` coupons that are marked redeemed without a
    redemption: the shop's till and the ledger disagree about them.
    """

    campaign_id: str
    issued: int
    redeemed: int
    void: int
    expired: int
    open: int
    liability: Decimal
    discount: Decimal
    beyond: int
    untold: int


def new_codes(count: int, entropy: Callable[[int], bytes] = secrets.token_bytes) -> list[str]:
    """Fresh codes such as ``7KQ2-M0XD-9RTA``: 60 bits each from ``entropy``, by default the operating system's."""
    length = _GROUPS * _GROUP_LENGTH
    letters = _ALPHABET[np.frombuffer(entropy(count * length), dtype=np.uint8) & 31]  # 256 is a multiple of 32: no bias
    text = letters.tobytes().decode("ascii")
    starts = range(0, count * length, _GROUP_LENGTH)
    groups = [text[start : start + _GROUP_LENGTH] for start in starts]
    return ["-".join(groups[i : i + _GROUPS]) for i in range(0, len(groups), _GROUPS)]


def terms(offer: AmountOff | PercentOff, issued_at: datetime, zone: ZoneInfo) -> Terms:
    """A coupon's terms, valid from ``issued_at`` to the end of the shop's day ``valid_days`` days later."""
    end = issued_at.astimezone(zone).date() + timedelta(days=offer.valid_days)
    return Terms(
        amount=offer.amount if isinstance(offer, AmountOff) else None,
        percent=offer.percent if isinstance(offer, PercentOff) else None,
        maximum_discount=offer.largest_discount,
        minimum_basket=offer.minimum_basket,
        valid=Window(issued_at, instant(end + timedelta(days=1), zone)),
    )


def issue(customer_id: str, code: str, offer: AmountOff | PercentOff, issued_at: datetime, zone: ZoneInfo) -> Coupon:
    """One customer's coupon on the offer's terms."""
    return Coupon(customer_id, code, terms(offer, issued_at, zone))


def last_day(coupon: Coupon, zone: ZoneInfo) -> date:
    """The last calendar day of the shop on which the coupon can be used."""
    return coupon.terms.valid.end.astimezone(zone).date() - timedelta(days=1)


def judge(report: RedemptionReport, coupon: Coupon | None, state: OfferState | None) -> Redeemed:
    """Whether the coupon may be redeemed as reported; ``coupon`` and ``state`` are None when the code is unknown.

    What counts is when the customer used it, not when the report arrived.
    """
    if coupon is None:
        return Redeemed.UNKNOWN_CODE
    if state is OfferState.VOID:
        return Redeemed.VOID
    if report.redeemed_at < coupon.terms.valid.start:
        return Redeemed.TOO_EARLY
    if report.redeemed_at >= coupon.terms.valid.end:
        return Redeemed.EXPIRED
    if report.basket < coupon.terms.minimum_basket:
        return Redeemed.BASKET_TOO_SMALL
    return Redeemed.ALREADY_REDEEMED if state is OfferState.REDEEMED else Redeemed.ACCEPTED
