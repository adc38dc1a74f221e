"""Personas are found anew only when those in use are old, and a cutoff goes by those of its time."""

from datetime import date, timedelta

import pytest

from holdfast.pipelines import personas
from holdfast.pipelines.personas import PERSONAS
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore, by_view
from tests.fakes.lake import FakeLake
from tests.fakes.small_shop import RULES, feature_store, shop


@pytest.fixture(scope="module")
def store() -> FakeFeatureStore:
    return feature_store(shop())


def test_they_are_kept_until_they_are_old(store: FakeFeatureStore) -> None:
    lake = FakeLake()
    assert personas.refresh(lake, store, RULES, "2017-05-14")["fitted_at"] == "2017-05-14"
    version = lake.version(PERSONAS)
    assert personas.refresh(lake, store, RULES, "2017-05-14")["fitted_at"] == "2017-05-14"
    assert personas.refresh(lake, store, RULES, "2017-06-04")["fitted_at"] == "2017-05-14"
    assert lake.version(PERSONAS) == version
    assert personas.refresh(lake, store, RULES, "2017-06-11")["fitted_at"] == "2017-06-11"


def test_an_earlier_cutoff_goes_by_the_personas_of_its_time(store: FakeFeatureStore) -> None:
    lake = FakeLake()
    personas.refresh(lake, store, RULES, "2017-05-14")
    then = personas.standing(lake, "2017-05-14")
    personas.refresh(lake, store, RULES, "2017-06-11")
    assert personas.standing(lake, "2017-06-10") == then
    assert personas.standing(lake, "2017-05-13") is None


def test_a_shop_with_few_active_customers_has_none_and_no_failure(store: FakeFeatureStore) -> None:
    few = FakeFeatureStore()
    rows = store.snapshot(date(2017, 6, 4)).head(15)
    few.write(by_view(rows))
    lake = FakeLake()
    assert personas.refresh(lake, few, RULES, "2017-06-04") == {"fitted_at": None, "personas": []}


def test_they_are_found_anew_when_a_feature_that_they_go_by_is_gone(store: FakeFeatureStore) -> None:
    lake = FakeLake()
    personas.refresh(lake, store, RULES, "2017-05-28")
    without = FakeFeatureStore()
    without.write(by_view(store.snapshot(date(2017, 6, 4)).drop(columns="weekend_share")))
    assert personas.refresh(lake, without, RULES, "2017-06-04")["fitted_at"] == "2017-06-04"


def test_how_old_is_old_is_a_rule(store: FakeFeatureStore) -> None:
    weekly = Rules.model_validate({**RULES.model_dump(), "scoring": {**RULES.scoring.model_dump(), "personas_days": 7}})
    lake = FakeLake()
    for week in range(3):
        cutoff = (date(2017, 5, 14) + timedelta(weeks=week)).isoformat()
        assert personas.refresh(lake, store, weekly, cutoff)["fitted_at"] == cutoff
