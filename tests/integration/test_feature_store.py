"""The FeatureStore port's contract, on Feast itself (DuckDB offline, SQL registry, SQLite online) and on the fake."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

from holdfast.adapters.atomic import write_parquet
from holdfast.adapters.environment import activate, variables
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.online.configured import writer
from holdfast.adapters.operations import database
from holdfast.errors import FeatureStoreError, MissingDataError
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.ports import FeatureStore
from holdfast.scores import SCORE_NAMES
from holdfast.settings import Settings
from holdfast.windows import instant
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.offline_tables import expected, scores, tables
from tests.fakes.shop import ZONE

OCTOBER, NOVEMBER = date(2017, 10, 29), date(2017, 11, 26)  # either side of the end of daylight saving


@pytest.fixture
def settings(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    settings = Settings()
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    activate(settings)
    return settings


def filled(store: FeatureStore) -> None:
    store.write(tables(OCTOBER, ["007", "NA"], base=1000))
    store.write(tables(NOVEMBER, ["007", "NA", "9"], base=5000))


@pytest.fixture
def feast_store(settings: Settings) -> FeastStore:
    online = writer(settings.feast_online)
    store = FeastStore(settings.feast_repo, settings.feast_offline, datetime(2017, 11, 26, 6, tzinfo=UTC), online)
    store.apply()
    filled(store)
    return store


@pytest.fixture(params=["feast", "fake"])
def store(request: pytest.FixtureRequest) -> FeatureStore:
    if request.param == "feast":
        real: FeastStore = request.getfixturevalue("feast_store")
        return real
    fake = FakeFeatureStore()
    filled(fake)
    return fake


def test_an_as_of_join_gives_each_entity_row_the_values_of_its_own_cutoff_in_the_order_asked(
    store: FeatureStore,
) -> None:
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


def test_a_moment_before_a_cutoff_sees_only_the_cutoff_before(store: FeatureStore) -> None:
    just_before = pd.Timestamp(instant(NOVEMBER, ZONE)) - pd.Timedelta(microseconds=1)
    joined = store.historical(pd.DataFrame({"customer_id": ["007"], "event_timestamp": [just_before]}))
    np.testing.assert_array_equal(joined[list(FEATURE_NAMES)].to_numpy()[0], expected(1000, 0))


def test_values_are_carried_forward_for_35_days_and_not_a_moment_longer(store: FeatureStore) -> None:
    last = pd.Timestamp(instant(NOVEMBER, ZONE)) + pd.Timedelta(days=35)
    moments = [last, last + pd.Timedelta(microseconds=1)]
    joined = store.historical(pd.DataFrame({"customer_id": ["9", "9"], "event_timestamp": moments}))
    values = joined[list(FEATURE_NAMES)].to_numpy()
    np.testing.assert_array_equal(values[0], expected(5000, 2))
    assert np.isnan(values[1]).all()


def test_a_cutoff_counts_as_stored_once_every_view_asked_about_has_it(store: FeatureStore) -> None:
    early = tables(date(2017, 10, 1), ["007"], base=1)
    first, second = list(early)[:2]
    store.write({first: early[first]})
    both = {OCTOBER.isoformat(), NOVEMBER.isoformat()}
    assert store.stored([first]) == both | {"2017-10-01"}
    assert store.stored([first, second]) == both
    assert store.stored([first, "of no family"]) == store.stored([]) == set()


def test_a_cutoff_that_older_features_would_answer_for_is_told_as_lacking(store: FeatureStore) -> None:
    between = NOVEMBER - timedelta(days=7)
    asked = pd.DataFrame({"customer_id": ["007"], "event_timestamp": [pd.Timestamp(instant(between, ZONE))]})
    assert store.historical(asked)["days_since_order"].notna().all()
    assert store.lacking([OCTOBER, between, NOVEMBER]) == [between]


def test_writing_a_cutoff_again_replaces_its_rows_and_no_others(store: FeatureStore) -> None:
    store.write(tables(NOVEMBER, ["9"], base=7000))
    assert store.snapshot(NOVEMBER)["customer_id"].tolist() == ["9"]
    assert store.snapshot(OCTOBER)["customer_id"].tolist() == ["007", "NA"]


def test_a_cutoff_without_features_is_told_with_what_to_run(store: FeatureStore) -> None:
    with pytest.raises(MissingDataError, match=r"2017-09-03.*features DAG"):
        store.snapshot(date(2017, 9, 3))
    with pytest.raises(MissingDataError, match=r"2017-09-03.*features DAG"):
        store.materialize(instant(date(2017, 9, 3), ZONE))


def test_what_is_materialized_is_what_the_snapshot_holds(store: FeatureStore) -> None:
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


def test_what_is_older_never_replaces_what_is_newer_online(store: FeatureStore) -> None:
    for cutoff, probability in ((NOVEMBER, 0.9), (OCTOBER, 0.1)):
        store.materialize(instant(cutoff, ZONE))
        store.write_scores(scores(cutoff, ("007", probability, "high", "[]")))
    served = store.online(["007"])
    np.testing.assert_array_equal(served[list(FEATURE_NAMES)].to_numpy(float)[0], expected(5000, 0))
    assert served["probability"].tolist() == [0.9]


def test_before_anything_is_online_everybody_is_answered_with_nulls(store: FeatureStore) -> None:
    served = store.online(["007", "unknown"])
    assert served["customer_id"].tolist() == ["007", "unknown"]
    assert list(served.columns) == ["customer_id", *FEATURE_NAMES, *SCORE_NAMES]
    assert served.drop(columns="customer_id").isna().all(axis=None)


def test_erased_scores_are_served_no_more_and_features_are(store: FeatureStore) -> None:
    store.materialize(instant(NOVEMBER, ZONE))
    store.write_scores(scores(NOVEMBER, ("007", 0.9, "high", "[]"), ("NA", 0.1, "low", "[]")))
    store.erase_scores(["007", "unknown"])
    served = store.online(["007", "NA"])
    assert served["tier"].isna().tolist() == [True, False]
    assert served["days_since_order"].notna().all()


def test_scores_written_are_the_scores_served(store: FeatureStore) -> None:
    reasons = json.dumps([{"family": "rhythm", "text": "silent for 31 days, usually orders every 12 – “late”"}])
    scored = pd.DataFrame(
        {
            "customer_id": ["007"],
            "event_timestamp": [pd.Timestamp(instant(NOVEMBER, ZONE))],
            "probability": [0.625],
            "tier": ["high"],
            "reasons": [reasons],
            "model_version": ["3"],
            "basis": ["cohort"],
            "expected_spend": [12.5],
            "value_at_risk": [20.25],
            "lifetime_value": [250.75],
            "persona": ["P2"],
            "persona_name": ['{"en": "orders often", "zh": "下单频繁"}'],
        }
    )
    store.write_scores(scored)
    served = store.online(["007"]).iloc[0]
    assert (served["probability"], served["tier"], served["model_version"]) == (0.625, "high", "3")
    assert served["reasons"] == reasons
    worth = [served[name] for name in ("basis", "expected_spend", "value_at_risk", "lifetime_value")]
    assert worth == ["cohort", 12.5, 20.25, 250.75]
    assert (served["persona"], served["persona_name"]) == ("P2", '{"en": "orders often", "zh": "下单频繁"}')


def test_labels_are_in_no_view_and_no_service(feast_store: FeastStore) -> None:
    import feast

    opened = feast.FeatureStore(repo_path=str(feast_store._repo))
    served = {field.name for view in opened.list_feature_views() for field in view.features}
    assert served == {*FEATURE_NAMES, *SCORE_NAMES}
    assert "churned" not in served


def test_our_own_join_answers_as_feast_does(feast_store: FeastStore, settings: Settings) -> None:
    customers = [f"c{i}" for i in range(40)]
    for i, week in enumerate(range(0, 22, 3)):
        feast_store.write(tables(OCTOBER - timedelta(weeks=week), customers[i:], base=100_000 * i))
    for family in FAMILIES:  # a correction of some rows, created later, in a file of its own
        folder = settings.feast_offline / family.view
        fixed = pd.read_parquet(folder / "2017-10-29.parquet").iloc[::3]
        fixed[[feature.name for feature in family.features]] *= -1.0
        write_parquet(
            folder / "correction.parquet",
            fixed.assign(created_timestamp=fixed["created_timestamp"] + pd.Timedelta(hours=1)),
        )
    draw = np.random.default_rng(3)
    moments = pd.Timestamp(instant(OCTOBER, ZONE)) + pd.to_timedelta(draw.integers(-4000, 1000, 1500), unit="h")
    asked = pd.DataFrame({"customer_id": draw.choice([*customers, "unknown", ""], 1500), "event_timestamp": moments})
    on_the_edge = pd.Timestamp(instant(OCTOBER, ZONE)) + pd.to_timedelta([0, 35, 35, 36], unit="D")
    edges = pd.DataFrame(
        {"customer_id": "c9", "event_timestamp": on_the_edge + pd.to_timedelta([0, 0, 1, 0], unit="us")}
    )
    asked = pd.concat([asked, edges]).drop_duplicates(ignore_index=True)
    asked["event_timestamp"] = asked["event_timestamp"].dt.as_unit("us")

    online = writer(settings.feast_online)
    ours = FeastStore(settings.feast_repo, settings.feast_offline, datetime.now(UTC), online, own_join_above=0)
    joined = ours.historical(asked)
    pd.testing.assert_frame_equal(joined, feast_store.historical(asked))
    answered = joined["days_since_order"].notna()
    assert 100 < answered.sum() < len(asked) - 100
    assert (joined["days_since_order"] < 0).any(), "a correction was read"


def test_two_runs_at_once_declare_the_same_views(settings: Settings) -> None:
    database.upgrade(settings.operations)
    both = Barrier(2)

    def declared(_: int) -> list[str]:
        engine = database.connect(settings.operations)
        store = FeastStore(
            settings.feast_repo,
            settings.feast_offline,
            datetime(2017, 11, 26, tzinfo=UTC),
            writer(settings.feast_online),
            alone=lambda: database.exclusive(engine),
        )
        both.wait()
        names = store.apply()
        assert {view.name for view in store.sdk.list_feature_views()} == set(names)
        return names

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(declared, range(2))
    assert one == two


def test_a_look_up_before_the_registry_knows_the_service_says_what_to_run(settings: Settings) -> None:
    online = writer(settings.feast_online)
    empty = FeastStore(settings.feast_repo, settings.feast_offline, datetime(2017, 11, 26, tzinfo=UTC), online)
    with pytest.raises(FeatureStoreError, match="features DAG first"):
        empty.online(["007"])
