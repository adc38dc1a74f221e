"""Which cutoffs a run computes, and which it leaves as they are."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from holdfast.errors import MissingDataError, QualityError
from holdfast.pipelines import features
from holdfast.pipelines.features import Features
from tests.fakes.feature_engine import FakeFeatureEngine
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.quality import FakeQuality
from tests.fakes.shop import ZONE, Line, Review, tables
from tests.fakes.small_shop import LAST_DAY, RULES, lake, shop

LATE = tables([Line("c00", "2017-02-12T00:00:00")]).orders
TRAINING = [date(2017, 2, 5), date(2017, 2, 12), date(2017, 2, 19)]


class Bench:
    """A shop's features pipeline on a lake and a store in memory."""

    def __init__(self) -> None:
        self.lake, self.store, self.quality = lake(shop()), FakeFeatureStore(), FakeQuality()

    def run(self, cutoff: str, unchanged: datetime | None = None) -> tuple[dict, list[date]]:
        """Run as of ``cutoff``; what it told, and the cutoffs that it computed."""
        engine = FakeFeatureEngine(self.lake, ZONE, unchanged)
        told = Features(engine, self.lake, self.quality, self.store, RULES, LAST_DAY).compute(cutoff)
        return told, [day for asked in engine.asked for day in asked]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_run_computes_every_training_cutoff_and_the_one_asked_for(bench: Bench) -> None:
    told, computed = bench.run("2017-02-22")
    assert computed == [*TRAINING, date(2017, 2, 22)]
    assert (told["cutoffs"], told["computed"]) == (4, 4)
    assert told["customers"] == 60
    assert set(bench.store.snapshot(date(2017, 2, 12))["cutoff"]) == {"2017-02-12"}


def test_a_repeated_run_computes_nothing_and_tells_the_same(bench: Bench) -> None:
    told, _ = bench.run("2017-02-22")
    again, computed = bench.run("2017-02-22")
    assert computed == []
    assert again == {**told, "computed": 0}


def test_the_next_day_computes_its_own_cutoff_only(bench: Bench) -> None:
    bench.run("2017-02-22")
    assert bench.run("2017-02-23")[1] == [date(2017, 2, 23)]


def test_late_rows_have_the_cutoffs_after_them_computed_again(bench: Bench) -> None:
    bench.run("2017-02-22")
    bench.lake.append("orders", LATE.assign(batch="late"), ["late"])
    touched = datetime(2017, 2, 12, 5, tzinfo=UTC)  # the instant of the second cutoff, so not before it
    assert bench.run("2017-02-23", unchanged=touched)[1] == [date(2017, 2, 19), date(2017, 2, 23)]
    assert bench.run("2017-02-23")[1] == []


def test_what_cannot_be_told_is_computed_again(bench: Bench) -> None:
    bench.run("2017-02-22")
    bench.lake.append("orders", LATE.assign(batch="late"), ["late"])
    assert bench.run("2017-02-22", unchanged=None)[1] == [*TRAINING, date(2017, 2, 22)]


def test_a_family_that_turns_on_is_computed_for_all_cutoffs(bench: Bench) -> None:
    told, _ = bench.run("2017-02-22")
    assert "opinion" in told["off"]
    assert "rating_mean" not in bench.store.snapshot(date(2017, 2, 12))
    reviews = tables([Line("c00", "2017-01-01T12:00")], reviews=[Review("c00", "2017-02-21T12:00", 2.0)]).reviews
    bench.lake.append("reviews", reviews.assign(batch="reviews"), ["reviews"])
    told, computed = bench.run("2017-02-22", unchanged=datetime(2017, 2, 21, 17, tzinfo=UTC))
    assert computed == [*TRAINING, date(2017, 2, 22)]
    assert "opinion" not in told["off"]


def test_features_of_other_code_are_computed_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run("2017-02-22")
    monkeypatch.setattr(features, "fingerprint", lambda: "of the next version")
    assert len(bench.run("2017-02-22")[1]) == 4


def test_features_that_the_store_has_lost_are_computed_again(bench: Bench) -> None:
    bench.run("2017-02-22")
    bench.store = FakeFeatureStore()
    assert len(bench.run("2017-02-22")[1]) == 4


def test_a_cutoff_that_the_lake_does_not_reach_is_refused(bench: Bench) -> None:
    with pytest.raises(MissingDataError, match="complete only up to 2017-07-02"):
        bench.run("2017-07-03")


def test_a_cutoff_before_the_first_purchase_is_refused(bench: Bench) -> None:
    with pytest.raises(MissingDataError, match="no customer has a purchase before 2016-12-31"):
        bench.run("2016-12-31")


def test_what_is_declared_of_features_is_expected_of_the_cutoff_asked_for(bench: Bench) -> None:
    bench.run("2017-02-22")
    assert {name for _, name, _ in bench.quality.checked} == {"features as of 2017-02-22"}
    assert {view for view, _, _ in bench.quality.checked} >= {"customer_rhythm", "customer_activity"}


def test_features_that_are_not_as_declared_are_not_stored(bench: Bench) -> None:
    bench.quality.failing.add("customer_rhythm")
    with pytest.raises(QualityError, match="customer_rhythm, features as of 2017-02-22"):
        bench.run("2017-02-22")
    with pytest.raises(MissingDataError, match="2017-02-22"):
        bench.store.snapshot(date(2017, 2, 22))
