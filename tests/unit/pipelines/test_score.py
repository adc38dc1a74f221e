"""Scoring as of a cutoff: shards, tiers, reasons and one publication."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import MissingDataError, ModelError
from holdfast.features.catalog import FAMILIES, MODEL_SERVICE
from holdfast.model.record import FeatureService
from holdfast.pipelines.score import SCORES, shard_of
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore, by_view
from tests.fakes.scoring import CUTOFF, ON, Bench
from tests.fakes.small_shop import RULES, feature_store, shop


@pytest.fixture(scope="module")
def store() -> FakeFeatureStore:
    return feature_store(shop())


@pytest.fixture
def bench(store: FakeFeatureStore) -> Bench:
    bench = Bench(store)
    bench.crown()
    return bench


@given(st.text(), st.integers(1, 1024))
def test_every_customer_has_one_of_the_shards(customer: str, shards: int) -> None:
    assert 0 <= shard_of(customer, shards) < shards


def test_the_hash_of_a_shard_never_changes_between_versions() -> None:
    assert [shard_of(customer, 4) for customer in ("1", "2", "00123", "NA")] == [1, 2, 3, 0]


def test_every_active_customer_is_scored_once_and_nobody_else(bench: Bench) -> None:
    published = bench.run()
    scores = bench.lake.read(SCORES)
    known = bench.store.snapshot(date.fromisoformat(CUTOFF))
    active = known[known["days_since_order"] < 28]
    assert sorted(scores["customer_id"]) == sorted(active["customer_id"])
    assert published["customers"] == len(active) < len(known)


def test_whoever_objects_is_neither_scored_nor_served_a_score_any_more(bench: Bench) -> None:
    before = bench.run()["customers"]
    gone, stays = sorted(bench.lake.read(SCORES)["customer_id"])[:2]
    assert {gone, stays} <= bench.store.scores.keys()
    parts = [bench.scoring.score(CUTOFF, shard) for shard in bench.scoring.shards()]
    bench.objectors.add(gone)  # while the shards are scored
    assert bench.scoring.publish(CUTOFF, parts)["customers"] == before - 1
    assert bench.run()["customers"] == before - 1
    assert gone not in set(bench.lake.read(SCORES)["customer_id"])
    assert gone not in bench.store.scores
    assert stays in bench.store.scores


def test_the_number_of_shards_changes_no_score(bench: Bench) -> None:
    bench.run()
    unsharded = Bench(bench.store, RULES.model_copy(update={"scoring": RULES.scoring.model_copy(update={"shards": 1})}))
    unsharded.crown()
    unsharded.run()
    by_customer = [one.lake.read(SCORES).sort_values("customer_id", ignore_index=True) for one in (bench, unsharded)]
    pd.testing.assert_frame_equal(*by_customer)


def test_a_score_tells_tier_value_reasons_and_the_model_behind_it(bench: Bench) -> None:
    bench.run()
    known = bench.store.snapshot(date.fromisoformat(CUTOFF))
    scores = bench.lake.read(SCORES)
    row = scores.loc[scores["probability"].idxmax()]
    own, model = known[known["customer_id"] == row["customer_id"]], bench.registry.load(bench.registry.versions["1"])
    assert row["tier"] == ("high" if row["probability"] >= 0.5 else "medium" if row["probability"] >= 0.2 else "low")
    assert row["value"] == pytest.approx(model.spend_if_buying(own)[0])
    assert row["lifetime_value"] == pytest.approx(model.lifetime_value(own)[0])
    assert row["expected_spend"] == pytest.approx((1 - row["probability"]) * row["value"])
    assert row["basis"] == "model"
    assert row["value_at_risk"] == pytest.approx(row["probability"] * row["value"])
    assert (row["model_version"], row["run_id"]) == ("1", "run-1")
    assert row["event_timestamp"] == pd.Timestamp("2017-06-04 04:00", tz="UTC")
    reasons = json.loads(row["reasons"])
    assert 1 <= len(reasons) <= 2
    assert set(reasons[0]) == {"family", "feature", "text", "contribution"}
    assert all(reason["contribution"] > 0 for reason in reasons)


def test_a_score_names_the_customers_persona_in_every_language(bench: Bench) -> None:
    fitted = bench.scoring.personas(CUTOFF)
    bench.run()
    scores = bench.lake.read(SCORES)
    assert set(scores["persona"]) == set(fitted["personas"])
    assert {tuple(json.loads(name)) for name in scores["persona_name"]} == {("en", "zh")}
    assert bench.store.online([scores["customer_id"].iloc[0]])["persona"].iloc[0] == scores["persona"].iloc[0]


def test_without_personas_scores_have_none(bench: Bench) -> None:
    bench.run()
    assert bench.lake.read(SCORES)["persona"].isna().all()


def test_all_reasons_can_be_told_for_every_customer(bench: Bench) -> None:
    bench.run()
    stored = [json.loads(reasons) for reasons in bench.lake.read(SCORES)["reasons"]]
    texts = [text for reasons in stored for reason in reasons for text in reason["text"].values()]
    assert texts
    assert not [text for text in texts if "nan" in text or "{" in text]


def test_single_buyers_whom_the_model_cannot_tell_apart_have_their_cohorts_rate_as_their_reason() -> None:
    bench = Bench(feature_store(shop()))
    bench.crown()
    [model] = [run.model for run in bench.registry.runs.values()]
    rows = bench.store.snapshot(date.fromisoformat(CUTOFF)).assign(order_count=1.0)
    bench.store.write(by_view(rows))
    [run_id] = bench.registry.runs
    bench.registry.runs[run_id] = replace(bench.registry.runs[run_id], model=replace(model, cohort_rate=0.34))
    bench.run()
    scores = bench.lake.read(SCORES)
    assert set(scores["basis"]) == {"cohort"}
    [told] = json.loads(scores["reasons"].iloc[0])
    assert told["text"]["en"] == "has ordered once so far, and 34% of such customers do not come back in time"


def test_who_is_hardly_at_risk_gets_no_reasons_where_the_rules_say_so(bench: Bench) -> None:
    scoring = RULES.scoring.model_copy(update={"reasons_from": 0.2})
    sparing = Bench(bench.store, RULES.model_copy(update={"scoring": scoring}))
    for one in (bench, sparing):
        one.crown()
        one.run()
    all_told, some_told = (
        one.lake.read(SCORES).sort_values("customer_id", ignore_index=True) for one in (bench, sparing)
    )
    risky = all_told["probability"] >= 0.2
    assert (some_told["reasons"] == all_told["reasons"].where(risky, "[]")).all()
    assert 0 < risky.sum() < len(risky)


def test_the_same_scores_are_served_online(bench: Bench) -> None:
    bench.run()
    row = bench.lake.read(SCORES).iloc[0]
    online = bench.store.online([row["customer_id"]]).iloc[0]
    assert (online["probability"], online["tier"]) == (row["probability"], row["tier"])


def test_publishing_again_replaces_the_cutoffs_scores_and_leaves_other_cutoffs(bench: Bench) -> None:
    first, _ = bench.run(), bench.run("2017-05-28")
    assert bench.run() == first
    scores = bench.lake.read(SCORES)
    assert not scores.duplicated(["cutoff", "customer_id"]).any()
    assert set(scores["cutoff"]) == {"2017-05-28", CUTOFF}


def test_a_tier_is_measured_against_the_latest_earlier_scoring_and_no_later_one(bench: Bench) -> None:
    bench.run()
    scores = bench.lake.read(SCORES)
    rising = scores.loc[(scores["probability"] - 0.5).abs().idxmin(), ["customer_id", "probability"]]
    steady = {"by": "threshold", "high": float(rising["probability"]) - 0.001, "medium": 0.01, "margin": 0.01}
    rules = Rules.model_validate({**RULES.model_dump(), "tiers": steady})

    def tier_after(*earlier: tuple[str, str]) -> str:
        again = Bench(bench.store, rules)
        again.crown()
        held = [{"cutoff": day, "customer_id": rising["customer_id"], "tier": tier} for day, tier in earlier]
        again.lake.replace(SCORES, pd.DataFrame(held, columns=["cutoff", "customer_id", "tier"]), where={})
        again.run()
        now = again.lake.read(SCORES, where={"cutoff": [CUTOFF], "customer_id": [rising["customer_id"]]})
        return str(now["tier"].iloc[0])

    assert tier_after() == "high"
    assert tier_after(("2017-05-21", "high"), ("2017-05-28", "medium")) == "medium"
    assert tier_after(("2017-05-28", "high"), (CUTOFF, "low"), ("2017-06-11", "low")) == "high"


def test_counts_per_tier_add_up(bench: Bench) -> None:
    published = bench.run()
    assert list(published["tiers"]) == ["high", "medium", "low"]
    assert sum(published["tiers"].values()) == published["customers"]
    assert published["model_version"] == "1"


def test_shards_scored_by_different_champions_are_not_mixed(bench: Bench) -> None:
    first = bench.scoring.score(CUTOFF, 0)
    bench.crown()
    with pytest.raises(ModelError, match="were scored by versions 1, 2: the champion changed"):
        bench.scoring.publish(CUTOFF, [first, bench.scoring.score(CUTOFF, 1)])
    assert not bench.lake.exists(SCORES)


def test_without_a_champion_nobody_is_scored(store: FakeFeatureStore) -> None:
    with pytest.raises(MissingDataError, match="no model is champion yet"):
        Bench(store).scoring.score(CUTOFF, 0)


def test_a_champion_whose_feature_is_no_longer_served_scores_nobody(store: FakeFeatureStore) -> None:
    bench = Bench(store)
    bench.crown(FeatureService(MODEL_SERVICE, (*ON, "favourite_colour")))
    with pytest.raises(ModelError, match=r"version 1 \(logistic\).*'churn_model_v1', of which favourite_colour are no"):
        bench.scoring.score(CUTOFF, 0)


def test_a_champion_of_another_version_of_the_feature_service_scores_nobody(store: FakeFeatureStore) -> None:
    bench = Bench(store)
    bench.crown(FeatureService("churn_model_v0", ON))
    with pytest.raises(ModelError, match=r"'churn_model_v0', but 'churn_model_v1' is served now.*Run the train DAG"):
        bench.scoring.score(CUTOFF, 0)


def test_a_champion_of_a_family_that_is_off_now_scores_nobody(store: FakeFeatureStore) -> None:
    bench = Bench(store)
    bench.crown(FeatureService(MODEL_SERVICE, (*ON, "rating_mean")))
    with pytest.raises(ModelError, match="of which rating_mean are no longer served"):
        bench.scoring.score(CUTOFF, 0)


def test_features_added_since_change_no_score_and_no_reason(store: FakeFeatureStore) -> None:
    rows = store.snapshot(date.fromisoformat(CUTOFF))
    [habits] = [family for family in FAMILIES if family.name == "habits"]
    added = [feature.name for feature in habits.features]
    known = tuple(name for name in ON if name not in added)
    without = FakeFeatureStore()
    without.write(by_view(rows.drop(columns=added)))
    before, since = Bench(without), Bench(store)
    for one in (before, since):
        one.crown(FeatureService(MODEL_SERVICE, known))
        one.run()
    pd.testing.assert_frame_equal(since.lake.read(SCORES), before.lake.read(SCORES))


def test_an_empty_shard_is_no_error(bench: Bench) -> None:
    many = Bench(bench.store, RULES.model_copy(update={"scoring": RULES.scoring.model_copy(update={"shards": 500})}))
    many.crown()
    empty = next(shard for shard in range(500) if not any(shard_of(f"c{i:02}", 500) == shard for i in range(60)))
    assert many.scratch.read(many.scoring.score(CUTOFF, empty)).empty


def test_probabilities_are_probabilities(bench: Bench) -> None:
    bench.run()
    probability = bench.lake.read(SCORES)["probability"].to_numpy()
    assert np.isfinite(probability).all()
    assert ((probability > 0) & (probability < 1)).all()
