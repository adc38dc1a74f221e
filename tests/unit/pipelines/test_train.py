"""Training as of a cutoff, from the lake to the challenger."""

import json
from datetime import date

import pandas as pd
import pytest

from holdfast.errors import ImmatureLabelError, MissingDataError, SettingsError
from holdfast.features.log import COLUMNS
from holdfast.pipelines.train import BACKTESTS
from holdfast.rules import Rules
from holdfast.weeks import WEEK_COLUMNS
from tests.fakes.feature_store import FakeFeatureStore, by_view
from tests.fakes.shop import Line, Tables, tables
from tests.fakes.small_shop import RULES, lines, shop
from tests.fakes.training import CUTOFF, Bench


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
    patchy.write(by_view(bench.store.snapshot(date(2017, 2, 5))))
    with pytest.raises(MissingDataError, match=r"15 of 16 training cutoffs .* the first 2017-02-12; older"):
        bench.use_case(patchy, RULES).prepare(CUTOFF)


@pytest.mark.parametrize("candidates", [["logistic", "lightgbm"], ["recency_rule", "rhythm_rule"]])
def test_there_must_be_a_rule_to_beat_and_a_model_to_beat_it(bench: Bench, candidates: list[str]) -> None:
    with pytest.raises(SettingsError, match="at least one rule"):
        bench.use_case(bench.store, with_training(candidates=candidates)).prepare(CUTOFF)


def test_the_last_weeks_are_prepared_for_a_candidate_that_reads_them_and_for_no_other(bench: Bench) -> None:
    plain = bench.scratch.read(bench.training.prepare(CUTOFF)["path"])
    assert not set(WEEK_COLUMNS) & set(plain.columns)
    deep = bench.use_case(bench.store, with_training(candidates=["recency_rule", "gru"]))
    rows = bench.scratch.read(deep.prepare(CUTOFF)["path"])
    assert rows["orders_week_1"].sum() > 0
    assert rows["orders_week_1"].max() <= 7


def test_what_was_decided_about_the_model_is_in_its_record(bench: Bench) -> None:
    run = bench.registry.runs[bench.training.fit("logistic", bench.training.prepare(CUTOFF))["run_id"]]
    assert run.parameters["calibration"] in {"none", "platt", "isotonic", "beta"}
    assert set(run.notes) == {"calibration", "single_buyers"}
    assert run.figures["orders_from_11/rows"] > 0
    assert (
        run.evaluation.mean_intervals["auc"].low < run.evaluation.mean.auc < run.evaluation.mean_intervals["auc"].high
    )
    assert run.model.worth is not None


def test_a_rule_is_recorded_as_it_is(bench: Bench) -> None:
    run = bench.registry.runs[bench.training.fit("recency_rule", bench.training.prepare(CUTOFF))["run_id"]]
    assert (run.parameters["calibration"], run.parameters["single_buyers"]) == ("none", "model")
    assert run.notes["calibration"] == "A baseline is shown as it is."
    assert run.model.worth is None


def test_a_fit_is_one_run_with_metrics_plots_and_data_versions(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = bench.training.fit("logistic", prepared)
    run = bench.registry.runs[fitted["run_id"]]
    assert run.evaluation.cutoffs == (date(2017, 5, 7), date(2017, 5, 21))
    assert run.trained_to == date(2017, 6, 4)
    assert run.lake_versions == prepared["lake_versions"]
    assert run.parameters["seed"] == 7
    drawn = {name for name in run.plots if not name.startswith("dependence_")}
    assert drawn == {"roc", "precision_recall", "calibration", "gain", "retention", "importance"}
    assert len(run.plots) > len(drawn), "partial dependence"
    assert fitted["metrics"]["auc"] == run.evaluation.mean.auc


def test_a_fit_carries_its_model_card_with_figures_importance_and_fairness(small: Tables) -> None:
    bands = {f"c{i:02}": "young" if i % 2 else "old" for i in range(60)}
    customers = pd.DataFrame({"customer_id": list(bands), "age_band": list(bands.values())})
    rule = {"columns": {"age_band": "asked for | <b>when</b> signing up"}, "least_customers": 5}
    bench = Bench(small, Rules.model_validate({**RULES.model_dump(), "fairness": rule}))
    bench.lake.replace("customers", customers, where={})
    fitted = bench.training.fit("logistic", bench.training.prepare(CUTOFF))
    run = bench.registry.runs[fitted["run_id"]]
    card, page = run.texts["card/model_card.md"], run.texts["card/model_card.html"]
    assert f"| auc | {fitted['metrics']['auc']:.4g} |" in card
    assert "| lake table orders | version 0 |" in card
    assert "| age band: young |" in card
    assert list(json.loads(run.texts["importance.json"])) == ["family", "feature"]
    assert [one["name"] for one in json.loads(run.texts["fairness.json"])["groups"]] == ["old", "young"]
    assert "&lt;b&gt;when" in page
    assert "<b>when" not in page
    assert "../plots/" not in page, "every plot is held by the page itself"
    assert page.count("data:image/png;base64,") >= 3


def test_the_example_shown_to_reviewers_is_nobodys_data(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    fitted = bench.training.fit("recency_rule", prepared)
    example = bench.registry.runs[fitted["run_id"]].example
    assert "customer_id" not in example.columns
    rows = bench.scratch.read(prepared["path"])
    assert not (rows[example.columns].fillna(0.0) == example.iloc[0]).all(axis=1).any()


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
