"""When a feature has moved, and when it only seems to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from holdfast.features.catalog import FEATURES
from holdfast.monitoring.drift import Drift, Level, drift

GAP = FEATURES["days_since_order"]


def compare(then: np.ndarray, now: np.ndarray) -> Drift:
    [found] = drift(pd.DataFrame({GAP.name: then}), pd.DataFrame({GAP.name: now}), [GAP])
    return found


def normal(seed: int, count: int, mean: float = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, count)


def test_the_index_is_that_of_the_shares_in_the_tenths_of_then() -> None:
    then, now = np.arange(1000.0), np.arange(1000.0) * 0.5
    before, after = np.full(11, 100.5), np.array([200.5] * 5 + [0.5] * 6)
    before[10] = 0.5
    before, after = before / before.sum(), after / after.sum()
    assert compare(then, now).index == pytest.approx(((after - before) * np.log(after / before)).sum())


def test_two_samples_of_one_distribution_are_stable() -> None:
    found = [compare(normal(seed, 300), normal(seed + 100, 300)) for seed in range(60)]
    assert {one.level for one in found} == {Level.STABLE}
    assert max(one.index for one in found) > 0.1, "the usual limit alone would have cried wolf"
    assert max(one.index for one in found) < found[0].by_chance * 1.5


@pytest.mark.parametrize(("mean", "level"), [(0.05, Level.STABLE), (0.4, Level.MODERATE), (1.0, Level.MAJOR)])
def test_a_shift_is_told_by_its_size(mean: float, level: Level) -> None:
    found = compare(normal(1, 5000), normal(2, 5000, mean))
    assert found.level is level
    assert found.median_now - found.median_then == pytest.approx(mean, abs=0.06)


def test_values_that_go_missing_are_drift() -> None:
    now = normal(2, 5000)
    now[:1500] = np.nan
    found = compare(normal(1, 5000), now)
    assert (found.level, found.null_then, found.null_now) == (Level.MAJOR, 0.0, 0.3)


def test_a_feature_that_was_always_null_is_compared_by_its_nulls() -> None:
    nothing = np.full(500, np.nan)
    assert compare(nothing, nothing).level is Level.STABLE
    assert compare(nothing, normal(1, 500)).level is Level.MAJOR


def test_a_constant_feature_is_stable_until_it_is_not() -> None:
    assert compare(np.ones(500), np.ones(400)).index == pytest.approx(0, abs=0.01)
    assert compare(np.ones(500), np.full(400, 2.0)).level is Level.MAJOR


def test_the_furthest_comes_first() -> None:
    other = FEATURES["orders_28d"]
    then = pd.DataFrame({GAP.name: normal(1, 900), other.name: normal(2, 900)})
    now = pd.DataFrame({GAP.name: normal(3, 900), other.name: normal(4, 900, 2)})
    assert [one.feature for one in drift(then, now, [GAP, other])] == [other.name, GAP.name]
