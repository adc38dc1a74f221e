"""Which cutoffs are compared, what is recorded, and what the report gets."""

from __future__ import annotations

from datetime import date

import pytest

from holdfast.errors import MissingDataError
from holdfast.monitoring.drift import Level
from holdfast.pipelines.drift import DriftWatch, drifted
from tests.fakes.feature_store import FakeFeatureStore, by_view
from tests.fakes.lake import FakeLake
from tests.fakes.registry import FakeRegistry
from tests.fakes.scoring import Bench
from tests.fakes.small_shop import RULES, feature_store, shop

CUTOFF = "2017-06-04"


@pytest.fixture
def store() -> FakeFeatureStore:
    return feature_store(shop())


def watch(store: FakeFeatureStore) -> DriftWatch:
    """On a shop whose champion learned from labels up to the cutoff, hence from features two weeks before it."""
    bench = Bench(store)
    bench.crown()
    return DriftWatch(bench.lake, store, bench.registry, RULES)


def test_the_reference_is_the_champions_last_training_cutoff(store: FakeFeatureStore) -> None:
    told = watch(store).compare(CUTOFF)
    assert (told["cutoff"], told["reference"]) == (CUTOFF, "2017-05-21")


def test_a_feature_that_moved_is_recorded_once_and_told(store: FakeFeatureStore) -> None:
    watching, rows = watch(store), store.snapshot(date(2017, 6, 4))
    store.write(by_view(rows.assign(gap_mean_days=rows["gap_mean_days"] * 100)))
    told = watching.compare(CUTOFF)
    assert "gap_mean_days" in told["major"]
    assert watching.compare(CUTOFF) == told
    recorded = watching.lake.read("drift")
    assert len(recorded) == recorded["feature"].nunique() == told["features"]
    moved = {one.feature: one for one in drifted(watching.lake, CUTOFF)}
    assert list(moved) == [*told["major"], *told["moderate"]]
    gap = moved["gap_mean_days"]
    assert (gap.level, gap.median_now > 50 * gap.median_then) == (Level.MAJOR, True)


def test_nothing_compared_is_nothing_to_report() -> None:
    assert drifted(FakeLake(), CUTOFF) == []


def test_without_a_champion_there_is_nothing_to_compare_with(store: FakeFeatureStore) -> None:
    with pytest.raises(MissingDataError, match="no model is champion yet"):
        DriftWatch(FakeLake(), store, FakeRegistry(), RULES).compare(CUTOFF)
