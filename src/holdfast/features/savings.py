"""Savings: how much the customer depends on discounts and coupons."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.features.arithmetic import Floats, Span, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints

_NO_ORDER_28D = "no order in the last 28 days"
_NO_ORDER_84D = "no order in the last 84 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    history = cutoffs.history(log.orders)
    days_28 = cutoffs.window(log.orders, 28)
    days_84 = cutoffs.window(log.orders, 84)
    discount = running_sum(log.orders["discount"])
    coupon = running_sum(log.orders["coupon_discount"])
    full_price = running_sum(log.orders["amount"] + log.orders["discount"] + log.orders["coupon_discount"])
    with_coupon = running_sum(log.orders["coupon_discount"] > 0)

    def share(part: Ints, span: Span) -> Floats:
        return ratio(span.total(part), span.total(full_price))

    return {
        "discount_share": share(discount, history),
        "discount_share_change": share(discount, days_28) - share(discount, history),
        "coupon_share": share(coupon, history),
        "coupon_order_share_84d": ratio(days_84.total(with_coupon), days_84.count),
    }


SAVINGS = Family(
    name="savings",
    meaning="how much the customer depends on discounts and coupons",
    tables=("orders", "order_lines"),
    features=(
        Feature(
            "discount_share",
            "the shop's own discounts over the full price, over all orders",
            "share of the full price",
            "saved {discount_share:.0%} of the full price by the shop's discounts so far",
            maximum=1,
        ),
        Feature(
            "discount_share_change",
            "the share of discounts in the last 28 days less that of all",
            "share of the full price",
            "the share saved by discounts moved by {discount_share_change:+.0%} from the usual {discount_share:.0%} "
            "in the last 28 days",
            null=_NO_ORDER_28D,
            minimum=-1,
            maximum=1,
        ),
        Feature(
            "coupon_share",
            "coupon discounts over the full price, over all orders",
            "share of the full price",
            "saved {coupon_share:.1%} of the full price by coupons so far",
            maximum=1,
        ),
        Feature(
            "coupon_order_share_84d",
            "share of the orders of the last 84 days with a coupon discount",
            "share",
            "used a coupon in {coupon_order_share_84d:.0%} of the orders of the last 84 days",
            null=_NO_ORDER_84D,
            maximum=1,
        ),
    ),
    compute=_compute,
)
