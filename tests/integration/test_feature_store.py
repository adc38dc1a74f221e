"""Feast itself behind the port: DuckDB offline store, SQL registry, SQLite online store."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from holdfast.adapters.environment import activate, variables
from holdfast.adapters.feature_store import FeastStore
from holdfast.errors import FeatureStoreError, MissingDataError
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.settings import Settings
from holdfast.windows import instant

ZONE = ZoneInfo("America/New_York")
OCTOBER, NOVEMBER = date(2017, 10, 29), date(2017, 11, 26)  # either side of the end of daylight saving


def tables(cutoff: date, customers: list[str], base: float) -> dict[str, pd.DataFrame]:
    """Every view's rows at ``cutoff``; the value of customer i's feature j is base + 100 i + j, and j = 1 is null."""
    rows = {}
    for family in FAMILIES:
        frame = pd.DataFrame({"customer_id": customers, "cutoff": cutoff.isoformat()})
        frame["event_timestamp"] = pd.Timestamp(instant(cutoff, ZONE))
        for feature in family.features:
            j = FEATURE_NAMES.index(feature.name)
            frame[feature.name] = [np.nan if j == 1 else base + 100 * i + j for i in range(len(customers))]
        rows[family.view] = frame
    return rows


def expected(base: float, i: int) -> list[float]:
    return [np.nan if j == 1 else base + 100 * i + j for j in range(len(FEATURE_NAMES))]


@pytest.fixture
def settings(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    settings = Settings()
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    activate(settings)
    return settings


@pytest.fixture
def store(settings: Settings) -> FeastStore:
    store = FeastStore(settings.feast_repo, settings.feast_offline, datetime(2017, 11, 26, 6, tzinfo=UTC))
    store.apply()
    store.write(tables(OCTOBER, ["007", "NA"], base=1000))
    store.write(tables(NOVEMBER, ["007", "NA", "9"], base=5000))
    return store


def test_an_as_of_join_gives_each_entity_row_the_values_of_its_own_cutoff_in_the_order_asked(store: FeastStore) -> None:
    asked = pd.DataFrame(
        {
            "customer_id": ["NA", "007", "007", "unknown"],
            "event_timestamp": [pd.Timestamp(instant(day, ZONE)) for day in (NOVEMBER, OCTOBER, NOVEMBER, NOVEMBER)],
        }
    )
    joined = store.historical(asked)
    assert joined["customer_id"].tolist() == ["NA", "007", "007", "unknown"]
    values = joined[list(FEATURE_NAMES)].to_numpy()
    np.testing.assert_array_equal(values[0], expected(5000, 1))
    np.testing.assert_array_equal(values[1], expected(1000, 0))
    np.testing.assert_array_equal(values[2], expected(5000, 0))
    assert np.isnan(values[3]).all()


def test_a_moment_before_a_cutoff_sees_only_the_cutoff_before(store: FeastStore) -> None:
    just_before = pd.Timestamp(instant(NOVEMBER, ZONE)) - pd.Timedelta(microseconds=1)
    joined = store.historical(pd.DataFrame({"customer_id": ["007"], "event_timestamp": [just_before]}))
    np.testing.assert_array_equal(joined[list(FEATURE_NAMES)].to_numpy()[0], expected(1000, 0))


def test_writing_a_cutoff_again_replaces_its_rows_and_no_others(store: FeastStore) -> None:
    store.write(tables(NOVEMBER, ["9"], base=7000))
    assert store.snapshot(NOVEMBER)["customer_id"].tolist() == ["9"]
    assert store.snapshot(OCTOBER)["customer_id"].tolist() == ["007", "NA"]


def test_a_snapshot_of_a_cutoff_without_features_says_what_to_run(store: FeastStore) -> None:
    with pytest.raises(MissingDataError, match=r"2017-09-03.*features DAG"):
        store.snapshot(date(2017, 9, 3))


def test_what_is_materialized_is_what_the_snapshot_holds(store: FeastStore) -> None:
    store.materialize(instant(NOVEMBER, ZONE))
    snapshot = store.snapshot(NOVEMBER).set_index("customer_id")
    online = store.online(["9", "007", "NA", "unknown"]).set_index("customer_id")
    assert online.index.tolist() == ["9", "007", "NA", "unknown"]
    for customer in ("9", "007", "NA"):
        np.testing.assert_array_equal(
            online.loc[customer, list(FEATURE_NAMES)].to_numpy(float),
            snapshot.loc[customer, list(FEATURE_NAMES)].to_numpy(float),
        )
    assert online.loc["unknown", list(FEATURE_NAMES)].isna().all()


def test_scores_written_are_the_scores_served(store: FeastStore) -> None:
    reasons = json.dumps([{"family": "rhythm", "text": "silent for 31 days, usually orders every 12 – “late”"}])
    scores = pd.DataFrame(
        {
            "customer_id": ["007"],
            "event_timestamp": [pd.Timestamp(instant(NOVEMBER, ZONE))],
            "probability": [0.625],
            "tier": ["high"],
            "reasons": [reasons],
            "model_version": ["3"],
        }
    )
    store.write_scores(scores)
    served = store.online(["007"]).iloc[0]
    assert (served["probability"], served["tier"], served["model_version"]) == (0.625, "high", "3")
    assert served["reasons"] == reasons


def test_labels_are_in_no_view_and_no_service(store: FeastStore) -> None:
    import feast

    opened = feast.FeatureStore(repo_path=str(store._repo))
    served = {field.name for view in opened.list_feature_views() for field in view.features}
    assert served == {*FEATURE_NAMES, "probability", "tier", "reasons", "model_version"}
    assert "churned" not in served


def test_a_look_up_before_the_registry_knows_the_service_says_what_to_run(settings: Settings) -> None:
    empty = FeastStore(settings.feast_repo, settings.feast_offline, datetime(2017, 11, 26, tzinfo=UTC))
    with pytest.raises(FeatureStoreError, match="features DAG first"):
        empty.online(["007"])
