"""Risk tiers by threshold, by capacity and by profit; tiers that hold still; the curve behind the choice."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.risk import Tier, curve, tiers
from holdfast.rules import CapacityTiers, ProfitTiers, ThresholdTiers, TierRule

THRESHOLDS = ThresholdTiers(by="threshold", high=0.5, medium=0.25)
STEADY = ThresholdTiers(by="threshold", high=0.5, medium=0.25, margin=0.05)
# An offer of 10 keeps every fifth would-be churner, worth 100: it pays from (10 + 0) / (0.2 · 90 + 10) = 0.357 on.
PROFIT = ProfitTiers(by="profit", offer_cost=10, success_share=0.2, customer_value=100, medium=0.2)


def tiers_of(probabilities: dict[str, float], rule: TierRule, previous: dict[str, str] | None = None) -> dict[str, str]:
    return dict(tiers(pd.Series(probabilities, dtype=float), rule, previous))


def test_a_threshold_itself_belongs_to_the_tier_above_it() -> None:
    assert tiers_of({"a": 0.5, "b": 0.49, "c": 0.25, "d": 0.24}, THRESHOLDS) == {
        "a": "high",
        "b": "medium",
        "c": "medium",
        "d": "low",
    }


def test_capacity_takes_the_likeliest_first() -> None:
    rule = CapacityTiers(by="capacity", high=1, medium=2)
    assert tiers_of({"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.2}, rule) == {
        "b": "high",
        "c": "medium",
        "d": "medium",
        "a": "low",
    }


def test_capacity_beyond_the_customers_leaves_nobody_low() -> None:
    assert tiers_of({"a": 0.1}, CapacityTiers(by="capacity", high=0, medium=5)) == {"a": "medium"}


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from([0.1, 0.2, 0.3]), max_size=12), st.data()
)
def test_capacity_gives_the_same_tiers_whatever_the_order_of_customers(
    probabilities: dict[str, float], data: st.DataObject
) -> None:
    rule = CapacityTiers(by="capacity", high=2, medium=3)
    shuffled = dict(data.draw(st.permutations(list(probabilities.items()))))
    assert tiers_of(probabilities, rule) == tiers_of(shuffled, rule)


def test_by_profit_high_begins_where_the_offer_pays_for_itself() -> None:
    assert pytest.approx(0.3571, abs=1e-4) == PROFIT.high
    assert PROFIT.expected_profit(np.array([PROFIT.high]))[0] == pytest.approx(0)
    # 36 of 100 churn; 20 % of them are kept for 100 - 10, and the 64 others take the 10 as well.
    assert PROFIT.expected_profit(np.array([0.36]))[0] == pytest.approx(0.36 * 0.2 * 90 - 0.64 * 10)
    assert tiers_of({"a": 0.36, "b": 0.35, "c": 0.19}, PROFIT) == {"a": "high", "b": "medium", "c": "low"}


def test_an_offer_that_never_pays_is_refused() -> None:
    with pytest.raises(ValidationError, match="never pays, however likely the churn"):
        ProfitTiers(by="profit", offer_cost=10, contact_cost=1, success_share=0.2, customer_value=15, medium=0.2)


@pytest.mark.parametrize(
    ("previous", "probability", "tier"),
    [
        ("medium", 0.54, "medium"),
        ("medium", 0.55, "high"),
        ("high", 0.46, "high"),
        ("high", 0.44, "medium"),
        ("low", 0.56, "high"),
        ("high", 0.1, "low"),
        ("low", 0.29, "low"),
        (None, 0.5, "high"),
    ],
)
def test_a_tier_changes_only_when_the_score_passes_the_edge_by_the_margin(
    previous: str | None, probability: float, tier: str
) -> None:
    assert tiers_of({"a": probability}, STEADY, {"a": previous} if previous else {}) == {"a": tier}


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.44, 0.49, 0.51, 0.56]), min_size=1, max_size=40))
def test_between_two_opposite_changes_the_score_has_moved_by_twice_the_margin(walk: list[float]) -> None:
    order = [Tier.LOW.value, Tier.MEDIUM.value, Tier.HIGH.value]
    previous, changes = tiers_of({"a": walk[0]}, STEADY)["a"], []
    for probability in walk[1:]:
        tier = tiers_of({"a": probability}, STEADY, {"a": previous})["a"]
        if tier != previous:
            changes.append((order.index(tier) - order.index(previous), probability))
        previous = tier
    for (first, at), (second, then) in pairwise(changes):
        if first * second < 0:
            assert abs(then - at) >= 2 * STEADY.margin - 1e-12


def test_a_place_is_lost_only_to_someone_likelier_by_more_than_the_margin() -> None:
    rule = CapacityTiers(by="capacity", high=1, medium=0, margin=0.1)
    held = {"a": "high", "b": "low"}
    assert tiers_of({"a": 0.5, "b": 0.59}, rule, held)["a"] == "high"
    assert tiers_of({"a": 0.5, "b": 0.61}, rule, held) == {"a": "low", "b": "high"}


def test_who_keeps_a_high_place_by_the_margin_takes_one_of_all_places() -> None:
    rule = CapacityTiers(by="capacity", high=1, medium=1, margin=0.2)
    held = {"a": "high", "b": "medium", "c": "medium"}
    assert tiers_of({"a": 0.5, "b": 0.65, "c": 0.62}, rule, held) == {"a": "high", "b": "medium", "c": "low"}


@given(
    st.dictionaries(st.text("abcd", min_size=1, max_size=2), st.floats(0, 1), max_size=12),
    st.dictionaries(st.text("abcd", min_size=1, max_size=2), st.sampled_from(list(Tier)), max_size=12),
)
def test_capacity_is_never_exceeded_whatever_was_before(
    probabilities: dict[str, float], previous: dict[str, str]
) -> None:
    rule = CapacityTiers(by="capacity", high=2, medium=3, margin=0.2)
    given_tiers = list(tiers_of(probabilities, rule, previous).values())
    assert given_tiers.count("high") == min(2, len(probabilities))
    assert sum(tier != "low" for tier in given_tiers) == min(5, len(probabilities))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"high": 0.2, "medium": 0.5}, "must lie below high"),
        ({"high": 0.5, "medium": 0.4, "margin": 0.06}, "not be more than half"),
        ({"high": 0.98, "medium": 0.4, "margin": 0.05}, "nobody could rise"),
    ],
)
def test_edges_that_make_no_sense_are_refused(fault: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ThresholdTiers(by="threshold", **fault)


def test_the_curve_by_profit_peaks_where_the_rule_puts_its_edge() -> None:
    probabilities = np.linspace(0, 1, 101)
    drawn = curve(probabilities, PROFIT)
    assert drawn.meaning == "expected profit"
    assert int(drawn.gained.argmax()) == drawn.edges[Tier.HIGH] == (probabilities >= PROFIT.high).sum()


def test_the_curve_by_capacity_counts_the_churners_that_the_places_reach() -> None:
    drawn = curve(np.array([0.1, 0.9, 0.5]), CapacityTiers(by="capacity", high=2, medium=9))
    assert drawn.gained.tolist() == pytest.approx([0, 0.9, 1.4, 1.5])
    assert drawn.edges == {Tier.HIGH: 2, Tier.MEDIUM: 3}
