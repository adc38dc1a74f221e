"""Coupons: unguessable codes, validity by the shop's calendar, and what may be redeemed."""

import re
import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.campaign.offers import Coupon, OfferState, Redeemed, RedemptionReport, judge, last_day, new_codes, terms
from tests.fakes.operations import NOON, SHOP, campaign

PERCENT = {"kind": "percent", "percent": 10, "maximum_discount": 8, "minimum_basket": 20, "valid_days": 14}
FIVE_OFF = terms(campaign().arms[0].offer, NOON, SHOP.zone)
COUPON = Coupon("7", "CODE", FIVE_OFF)
USED = RedemptionReport("r1", "CODE", NOON + timedelta(days=1), basket=Decimal(30), discount=Decimal(5))


def test_codes_are_sixty_bits_in_letters_that_cannot_be_misread() -> None:
    codes = set(new_codes(2_000))
    assert len(codes) == 2_000
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", code) for code in codes)


def test_codes_come_from_the_source_given_every_letter_as_likely_as_another() -> None:
    assert new_codes(2, lambda count: bytes(range(count))) == ["0123-4567-89AB", "CDEF-GHJK-MNPQ"]
    assert new_codes(1, lambda count: bytes([255] * count)) == ["ZZZZ-ZZZZ-ZZZZ"]
    assert new_codes.__defaults__ == (secrets.token_bytes,)


def test_a_coupon_ends_with_the_last_day_in_the_shops_zone() -> None:
    late_evening_in_new_york = datetime(2017, 11, 27, 3, tzinfo=UTC)
    coupon = Coupon("7", "CODE", terms(campaign().arms[0].offer, late_evening_in_new_york, SHOP.zone))
    assert last_day(coupon, SHOP.zone) == date(2017, 12, 17)
    assert coupon.terms.valid.end == datetime(2017, 12, 18, 5, tzinfo=UTC)


def test_an_amount_is_its_own_largest_discount_and_a_percentage_has_one() -> None:
    tenth_off = terms(campaign(offer=PERCENT).arms[0].offer, NOON, SHOP.zone)
    assert (FIVE_OFF.amount, FIVE_OFF.percent, FIVE_OFF.maximum_discount) == (Decimal(5), None, Decimal(5))
    assert (tenth_off.amount, tenth_off.percent, tenth_off.maximum_discount) == (None, Decimal(10), Decimal(8))


def test_a_coupon_used_in_time_on_a_large_enough_basket_is_accepted() -> None:
    assert judge(USED, COUPON, OfferState.ISSUED) is Redeemed.ACCEPTED


@pytest.mark.parametrize(
    ("report", "state", "answer"),
    [
        (USED, OfferState.REDEEMED, Redeemed.ALREADY_REDEEMED),
        (USED, OfferState.VOID, Redeemed.VOID),
        (replace(USED, redeemed_at=NOON - timedelta(seconds=1)), OfferState.ISSUED, Redeemed.TOO_EARLY),
        (replace(USED, redeemed_at=FIVE_OFF.valid.end), OfferState.ISSUED, Redeemed.EXPIRED),
        (replace(USED, basket=Decimal("24.99")), OfferState.ISSUED, Redeemed.BASKET_TOO_SMALL),
    ],
)
def test_a_coupon_is_refused_with_its_reason(report: RedemptionReport, state: OfferState, answer: Redeemed) -> None:
    assert judge(report, COUPON, state) is answer


def test_a_code_nobody_gave_out_is_unknown() -> None:
    assert judge(USED, None, None) is Redeemed.UNKNOWN_CODE
