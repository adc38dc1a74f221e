"""Risk tiers by threshold and by capacity."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.risk import Tier, tiers
from holdfast.rules import CapacityTiers, ThresholdTiers

THRESHOLDS = ThresholdTiers(by="threshold", high=0.5, medium=0.25)


def test_a_threshold_itself_belongs_to_the_tier_above_it() -> None:
    assert tiers({"a": 0.5, "b": 0.49, "c": 0.25, "d": 0.24}, THRESHOLDS) == {
        "a": Tier.HIGH,
        "b": Tier.MEDIUM,
        "c": Tier.MEDIUM,
        "d": Tier.LOW,
    }


def test_capacity_takes_the_likeliest_first() -> None:
    rule = CapacityTiers(by="capacity", high=1, medium=2)
    assert tiers({"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.2}, rule) == {
        "b": Tier.HIGH,
        "c": Tier.MEDIUM,
        "d": Tier.MEDIUM,
        "a": Tier.LOW,
    }


def test_capacity_beyond_the_customers_leaves_nobody_low() -> None:
    assert tiers({"a": 0.1}, CapacityTiers(by="capacity", high=0, medium=5)) == {"a": Tier.MEDIUM}


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from([0.1, 0.2, 0.3]), max_size=12), st.data()
)
def test_capacity_gives_the_same_tiers_whatever_the_order_of_customers(
    probabilities: dict[str, float], data: st.DataObject
) -> None:
    rule = CapacityTiers(by="capacity", high=2, medium=3)
    shuffled = dict(data.draw(st.permutations(list(probabilities.items()))))
    assert tiers(probabilities, rule) == tiers(shuffled, rule)
