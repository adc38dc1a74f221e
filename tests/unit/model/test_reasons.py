"""Reasons in words, with the customer's own numbers."""

import math

import numpy as np
import pandas as pd
import pytest

from holdfast.features.spec import Family, Feature
from holdfast.model.reasons import Reason, as_json, told, top_reasons


def family(name: str, *features: Feature) -> Family:
    return Family(name, name, tables=(), features=features, compute=lambda log, cutoffs: {})


DAYS = "days of 24 hours"
RHYTHM = family(
    "rhythm",
    Feature("days_since_order", "time since the last order", DAYS, "has not ordered for {days_since_order:.0f} days"),
    Feature(
        "gap_mean_days",
        "mean time between two orders",
        DAYS,
        "usually orders every {gap_mean_days:.1f} days, silent for {days_since_order:.0f}",
        null="fewer than two orders so far",
    ),
)
BASKET = family("basket", Feature("lines", "lines of an order", "lines", "an order holds {lines:.1f} items"))
SAVINGS = family("savings", Feature("coupons", "coupons used", "coupons", "used {coupons:.0f} coupons"))
FAMILIES = (RHYTHM, BASKET, SAVINGS)
VALUES = {"days_since_order": 31.0, "gap_mean_days": 12.0, "lines": 2.5, "coupons": 0.0}


def reasons_of(
    contributions: dict[str, float],
    values: dict[str, float] = VALUES,
    *,
    families: tuple[Family, ...] = FAMILIES,
    count: int,
) -> list[Reason]:
    """The reasons of one customer."""
    effect = np.array([list(contributions.values())]).reshape(1, len(contributions))
    [found] = top_reasons(effect, list(contributions), pd.DataFrame([values]), families, count)
    return found


def test_a_family_is_told_by_its_strongest_feature_and_counts_as_a_whole() -> None:
    contributions = {"days_since_order": 0.2, "gap_mean_days": 0.5, "lines": 0.1, "coupons": -0.3}
    [reason] = reasons_of(contributions, count=1)
    assert (reason.family, reason.feature, reason.contribution) == ("rhythm", "gap_mean_days", pytest.approx(0.7))
    assert reason.text == {
        "en": "usually orders every 12.0 days, silent for 31",
        "zh": "通常每 12.0 天下一单，如今已沉默 31 天",
    }


def test_what_pushes_the_score_down_is_no_reason() -> None:
    contributions = {"days_since_order": -0.6, "gap_mean_days": 0.5, "lines": 0.1, "coupons": -0.3}
    assert [reason.family for reason in reasons_of(contributions, count=3)] == ["basket"]


def test_the_strongest_come_first_and_no_more_than_asked() -> None:
    contributions = {"days_since_order": 0.1, "gap_mean_days": 0.0, "lines": 0.3, "coupons": 0.2}
    assert [reason.family for reason in reasons_of(contributions, count=2)] == ["basket", "savings"]


def test_a_null_value_is_told_by_what_its_null_means() -> None:
    [reason] = reasons_of({"gap_mean_days": 0.4}, {**VALUES, "gap_mean_days": math.nan}, count=1)
    assert reason.text == {"en": "fewer than two orders so far", "zh": "至今不足两单"}


def test_a_reason_that_would_name_another_features_null_says_what_that_null_means() -> None:
    oddly_told = family(
        "oddly_told",
        Feature("lines", "lines", "lines", "{lines} lines, not {gap_mean_days} days"),
        RHYTHM.features[1],
    )
    values = {**VALUES, "gap_mean_days": math.nan}
    [reason] = reasons_of({"lines": 0.4}, values, families=(oddly_told,), count=1)
    assert (reason.feature, reason.text["en"]) == ("lines", "fewer than two orders so far")


def test_a_customer_whom_nothing_pushes_up_has_no_reasons() -> None:
    assert reasons_of({}, count=3) == []


def test_each_customer_has_reasons_of_their_own() -> None:
    effect = np.array([[0.5, 0.1], [0.1, 0.5], [-0.1, -0.1]])
    rows = pd.DataFrame({"lines": [1.0, 2.0, 3.0], "coupons": [4.0, 5.0, 6.0]})
    found = top_reasons(effect, ["lines", "coupons"], rows, (BASKET, SAVINGS), count=1)
    assert [[reason.text["en"] for reason in one] for one in found] == [
        ["an order holds 1.0 items"],
        ["used 5 coupons"],
        [],
    ]


def test_stored_reasons_are_read_back_in_the_language_asked_for() -> None:
    stored = as_json(reasons_of({"days_since_order": 0.4}, count=1))
    assert told(stored, "en") == ("has not ordered for 31 days",)
    assert told(stored, "zh") == ("已有 31 天没有下单",)
