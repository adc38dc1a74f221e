"""Coupons: unguessable codes and validity by the shop's calendar."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from holdfast.campaign.offers import issue, last_day, new_code
from tests.fakes.operations import SHOP, campaign

PERCENT = {"kind": "percent", "percent": 10, "maximum_discount": 8, "minimum_basket": 20, "valid_days": 14}


def test_codes_are_sixty_bits_in_letters_that_cannot_be_misread() -> None:
    codes = {new_code() for _ in range(2_000)}
    assert len(codes) == 2_000
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", code) for code in codes)


def test_a_coupon_ends_with_the_last_day_in_the_shops_zone() -> None:
    late_evening_in_new_york = datetime(2017, 11, 27, 3, tzinfo=UTC)
    coupon = issue("7", "CODE", campaign().offer, late_evening_in_new_york, SHOP.zone)
    assert last_day(coupon, SHOP.zone) == date(2017, 12, 17)
    assert coupon.valid.end == datetime(2017, 12, 18, 5, tzinfo=UTC)


def test_an_amount_is_its_own_largest_discount_and_a_percentage_has_one() -> None:
    at = datetime(2017, 11, 26, 17, tzinfo=UTC)
    five_off = issue("7", "CODE", campaign().offer, at, SHOP.zone)
    tenth_off = issue("7", "CODE", campaign(offer=PERCENT).offer, at, SHOP.zone)
    assert (five_off.amount, five_off.percent, five_off.maximum_discount) == (Decimal(5), None, Decimal(5))
    assert (tenth_off.amount, tenth_off.percent, tenth_off.maximum_discount) == (None, Decimal(10), Decimal(8))
