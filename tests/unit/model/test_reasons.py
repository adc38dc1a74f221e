"""Reasons in words, with the customer's own numbers."""

import math

from holdfast.features.spec import Family, Feature
from holdfast.model.reasons import Reason, top_reasons


def family(name: str, *features: Feature) -> Family:
    return Family(name, name, tables=(), features=features, compute=lambda log, cutoffs: {})


RHYTHM = family(
    "rhythm",
    Feature("silence", "time since the last order", "days", "silent for {silence:.0f} days"),
    Feature(
        "gap",
        "mean time between two orders",
        "days",
        "usually orders every {gap:.0f} days, silent for {silence:.0f}",
        null="fewer than two orders so far",
    ),
)
BASKET = family("basket", Feature("lines", "lines of an order", "lines", "an order holds {lines:.1f} items"))
SAVINGS = family("savings", Feature("coupons", "coupons used", "coupons", "used {coupons:.0f} coupons"))
FAMILIES = (RHYTHM, BASKET, SAVINGS)
VALUES = {"silence": 31.0, "gap": 12.0, "lines": 2.5, "coupons": 0.0}


def test_a_family_is_told_by_its_strongest_feature_and_counts_as_a_whole() -> None:
    contributions = {"silence": 0.2, "gap": 0.5, "lines": 0.1, "coupons": -0.3}
    assert top_reasons(contributions, VALUES, FAMILIES, count=1) == [
        Reason("rhythm", "gap", "usually orders every 12 days, silent for 31", 0.7)
    ]


def test_what_pushes_the_score_down_is_no_reason() -> None:
    contributions = {"silence": -0.6, "gap": 0.5, "lines": 0.1, "coupons": -0.3}
    assert [reason.family for reason in top_reasons(contributions, VALUES, FAMILIES, count=3)] == ["basket"]


def test_the_strongest_come_first_and_no_more_than_asked() -> None:
    contributions = {"silence": 0.1, "gap": 0.0, "lines": 0.3, "coupons": 0.2}
    assert [reason.family for reason in top_reasons(contributions, VALUES, FAMILIES, count=2)] == ["basket", "savings"]


def test_a_null_value_is_told_by_what_its_null_means() -> None:
    values = {**VALUES, "gap": math.nan}
    (reason,) = top_reasons({"gap": 0.4}, values, FAMILIES, count=1)
    assert reason.text == "mean time between two orders: fewer than two orders so far"


def test_a_reason_that_would_name_another_features_null_tells_its_own_number() -> None:
    oddly_told = family("oddly_told", Feature("silence", "time since the last order", "days", "{silence}, not {gap}"))
    (reason,) = top_reasons({"silence": 0.4}, {**VALUES, "gap": math.nan}, (oddly_told,), count=1)
    assert reason.text == "time since the last order: 31 days"


def test_a_customer_whom_nothing_pushes_up_has_no_reasons() -> None:
    assert top_reasons({}, VALUES, FAMILIES, count=3) == []
