"""Training as of a cutoff, from the lake to the champion."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from holdfast.errors import ImmatureLabelError, MissingDataError, ModelError, SettingsError
from holdfast.features.log import COLUMNS
from holdfast.model.record import FeatureService
from holdfast.pipelines.train import BACKTESTS, Training
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.shop import Line, Tables, tables
from tests.fakes.small_shop import RULES, feature_store, lake, lines, shop

CUTOFF = "2017-06-04"


class Bench:
    """A training use case on fakes, and the fakes."""

    def __init__(self, of: Tables, rules: Rules = RULES) -> None:
        self.lake, self.store, self.scratch = lake(of), feature_store(of), FakeScratch()
        self.registry = FakeRegistry()
        self.training = self.use_case(self.store, rules)

    def use_case(self, store: FakeFeatureStore, rules: Rules) -> Training:
        return Training(self.lake, store, self.registry, self.scratch, rules)

    def run(self, cutoff: str = CUTOFF) -> dict[str, Any]:
        """All steps of one DAG run; every step's answer passes through JSON, as it does in Airflow."""
        prepared = through_json(self.training.prepare(cutoff))
        fitted = [through_json(self.training.fit(name, prepared)) for name in RULES.training.candidates]
        return through_json(self.training.promote(through_json(self.training.register(fitted)), prepared))


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return answer


def with_training(**changes: object) -> Rules:
    return RULES.model_copy(update={"training": RULES.training.model_copy(update=changes)})


@pytest.fixture(scope="module")
def small() -> Tables:
    return shop()


@pytest.fixture
def bench(small: Tables) -> Bench:
    return Bench(small)


def test_the_training_set_spans_the_matured_cutoffs_and_says_what_it_rests_on(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    assert (prepared["train_cutoffs"][0], prepared["train_cutoffs"][-1]) == ("2017-02-05", "2017-05-21")
    assert prepared["test_cutoffs"] == ["2017-05-07", "2017-05-21"]
    assert prepared["lake_versions"] == dict.fromkeys(COLUMNS, 0)
    rows = bench.scratch.read(prepared["path"])
    assert prepared["rows"] == len(rows)
    assert sorted(rows["cutoff"].unique()) == prepared["train_cutoffs"]


def test_only_customers_active_at_the_cutoff_are_in_the_training_set(bench: Bench) -> None:
    rows = bench.scratch.read(bench.training.prepare(CUTOFF)["path"])
    assert rows["days_since_order"].max() < 28
    assert len(rows) < len(bench.store.asked)


def test_features_are_asked_as_of_the_instant_of_their_cutoff(bench: Bench) -> None:
    bench.training.prepare(CUTOFF)
    assert bench.store.asked["event_timestamp"].min() == pd.Timestamp("2017-02-05 05:00", tz="UTC")
    assert bench.store.asked["event_timestamp"].max() == pd.Timestamp("2017-05-21 04:00", tz="UTC")


def test_orders_at_or_after_the_cutoff_change_nothing(bench: Bench) -> None:
    later = [Line(f"c{i:02}", f"{CUTOFF}T00:00:00") for i in range(60)]
    before = [line for line in lines() if line.at < CUTOFF]
    ends_there, goes_on = Bench(tables(before)), Bench(tables([*before, *later]))
    expected = ends_there.scratch.read(ends_there.training.prepare(CUTOFF)["path"])
    for other in (goes_on, bench):
        pd.testing.assert_frame_equal(other.scratch.read(other.training.prepare(CUTOFF)["path"]), expected)


def test_a_history_too_short_to_test_on_is_refused(bench: Bench) -> None:
    with pytest.raises(ImmatureLabelError):
        bench.training.prepare("2017-02-26")


def test_missing_features_are_named_before_anything_is_trained(bench: Bench) -> None:
    patchy = FakeFeatureStore()
    patchy.write({"all": bench.store.snapshot(date(2017, 2, 5))})
    with pytest.raises(MissingDataError, match="no features, the first at cutoff 2017-02-12"):
        bench.use_case(patchy, RULES).prepare(CUTOFF)


@pytest.mark.parametrize("candidates", [["logistic", "lightgbm"], ["recency_rule", "rhythm_rule"]])
def test_there_must_be_a_rule_to_beat_and_a_model_to_beat_it(bench: Bench, candidates: list[str]) -> None:
    with pytest.raises(SettingsError, match="at least one rule"):
        bench.use_case(bench.store, with_training(candidates=candidates)).prepare(CUTOFF)


def test_a_fit_is_one_run_with_metrics_plots_and_data_versions(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = bench.training.fit("logistic", prepared)
    run = bench.registry.runs[fitted["run_id"]]
    assert run.evaluation.cutoffs == (date(2017, 5, 7), date(2017, 5, 21))
    assert run.trained_to == date(2017, 6, 4)
    assert run.lake_versions == prepared["lake_versions"]
    assert run.parameters["seed"] == 7
    assert set(run.plots) == {"roc", "precision_recall", "calibration", "gain", "importance"}
    assert fitted["metrics"]["auc"] == run.evaluation.mean.auc


def test_the_example_shown_to_reviewers_is_nobodys_data(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = bench.training.fit("recency_rule", prepared)
    example = bench.registry.runs[fitted["run_id"]].example
    assert "customer_id" not in example.columns
    rows = bench.scratch.read(prepared["path"])
    assert not (rows[example.columns].fillna(0.0) == example.iloc[0]).all(axis=1).any()


def test_the_first_model_that_beats_the_rule_is_promoted(bench: Bench) -> None:
    promoted = bench.run()
    assert promoted["promoted"]
    assert promoted["candidate"] == "logistic"
    assert promoted["reason"].startswith("Promoted as the first champion: the challenger beats recency_rule (auc 0.")
    champion = bench.registry.aliased("champion")
    assert champion is not None
    assert champion.version == promoted["version"]


def test_a_rule_is_never_registered_however_good(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    results = [bench.training.fit(name, prepared) for name in ("recency_rule", "logistic")]
    results[0]["metrics"]["auc"] = 1.0
    assert bench.training.register(results)["candidate"] == "logistic"


def test_out_of_time_predictions_of_every_candidate_are_kept_once(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    results = [bench.training.fit(name, prepared) for name in ("recency_rule", "logistic")]
    first = bench.training.register(results)
    assert bench.training.register(results) == first
    kept = bench.lake.read(BACKTESTS)
    assert not kept.duplicated(["trained_at", "candidate", "cutoff", "customer_id"]).any()
    assert set(kept["candidate"]) == {"recency_rule", "logistic"}
    assert set(kept["cutoff"]) == {"2017-05-07", "2017-05-21"}


def test_training_again_at_the_same_cutoff_leaves_the_champion_and_says_why(bench: Bench) -> None:
    bench.run()
    again = bench.run()
    assert not again["promoted"]
    assert again["version"] == "2"
    assert again["reason"] == (
        "The champion version 1 stays: its training labels end on 2017-06-04 and the last test cutoff is 2017-05-21, "
        "so no test cutoff is later than what it has seen."
    )


def test_later_the_champion_is_met_only_on_cutoffs_after_its_labels(bench: Bench) -> None:
    bench.run(CUTOFF)
    later = bench.run("2017-07-02")
    against = later["comparisons"][1]
    assert against["rival"] == "champion version 1"
    # Test cutoffs are 06-04 and 06-18; the champion's labels ended on 06-04, so it has seen neither.
    assert against["cutoffs"] == ["2017-06-04", "2017-06-18"]
    assert later["promoted"] == against["won"]


def test_a_cutoff_inside_the_champions_label_windows_does_not_count(bench: Bench) -> None:
    bench.run("2017-06-11")
    later = bench.run("2017-07-02")
    assert later["comparisons"][1]["cutoffs"] == ["2017-06-18"]


def test_a_champion_of_features_no_longer_served_gives_way(bench: Bench) -> None:
    bench.run()
    champion = bench.registry.versions["1"]
    gone = FeatureService("churn_model_v0", champion.service.features)
    bench.registry.versions["1"] = replace(champion, service=gone)
    promoted = bench.run()
    assert promoted["promoted"]
    assert "the champion cannot score any more: version 1 (logistic) was trained on" in promoted["reason"]


def test_promoting_again_after_success_changes_nothing(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = [bench.training.fit(name, prepared) for name in RULES.training.candidates]
    registered = bench.training.register(fitted)
    bench.training.promote(registered, prepared)
    again = bench.training.promote(registered, prepared)
    assert again["promoted"]
    assert again["reason"] == "Version 1 is the champion already."


def test_a_challenger_overtaken_by_a_later_run_is_not_promoted(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = [bench.training.fit(name, prepared) for name in RULES.training.candidates]
    registered = bench.training.register(fitted)
    bench.registry.register(bench.training.fit("logistic", prepared)["run_id"])
    with pytest.raises(ModelError, match="version 1 was registered, but the challenger now is 2"):
        bench.training.promote(registered, prepared)
