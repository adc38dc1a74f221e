"""From challenger to champion, on training runs of a small shop."""

from dataclasses import replace

import pytest

from holdfast.errors import MissingDataError, ModelError
from holdfast.model.record import FeatureService
from holdfast.pipelines.train import BACKTESTS
from tests.fakes.promoting import CUTOFF, LENIENT, NO, YES, Bench
from tests.fakes.shop import Tables
from tests.fakes.small_shop import RULES, shop


@pytest.fixture(scope="module")
def small() -> Tables:
    return shop()


@pytest.fixture
def bench(small: Tables) -> Bench:
    return Bench(small)


def test_the_first_model_that_beats_the_rules_is_champion_once_approved(bench: Bench) -> None:
    weighed = bench.weigh()
    assert (weighed["passed"], weighed["candidate"], weighed["replacing"]) == (True, "logistic", None)
    assert bench.holder("champion") is None
    done = bench.promotion.decide(weighed, YES)
    assert done["promoted"]
    assert done["reason"].endswith("Approved by ann at 2026-01-05 09:30 utc.")
    assert bench.holder("champion") == weighed["version"]


def test_the_story_shows_every_condition_every_candidate_and_where_to_look(bench: Bench) -> None:
    weighed = bench.weigh()
    for told in ("✓ simple rules", "✓ calibration", "✓ scoring time", "✓ data", "| **logistic** |", "page/1"):
        assert told in weighed["story"]
    for name in RULES.training.candidates:
        assert name in weighed["story"]
    assert bench.registry.stories[weighed["version"]] == weighed["story"]


def test_a_rejected_challenger_is_not_champion_and_says_who_rejected_it(bench: Bench) -> None:
    assert bench.promotion.decide(bench.weigh(), NO)["promoted"] is False
    assert bench.holder("champion") is None
    assert bench.registry.decisions["1"] == NO


@pytest.mark.parametrize(
    ("gate", "name"),
    [({"calibration_error": -1.0}, "calibration"), ({"scoring_milliseconds": 1}, "scoring time")],
)
def test_one_condition_that_fails_keeps_a_challenger_from_being_proposed(
    small: Tables, gate: dict[str, float], name: str
) -> None:
    bench = Bench(small, LENIENT.model_copy(update={"gate": LENIENT.gate.model_copy(update=gate)}))
    weighed = bench.weigh()
    assert not weighed["passed"]
    assert weighed["reason"] == f"Not passed: {bench.found(weighed, name)}."
    with pytest.raises(ModelError, match="version 1 did not pass the gate"):
        bench.promotion.decide(weighed, YES)


def test_training_again_at_the_same_cutoff_leaves_the_champion_and_says_why(bench: Bench) -> None:
    bench.crown()
    again = bench.weigh()
    assert (again["passed"], again["version"]) == (False, "2")
    assert again["reason"] == (
        "Not passed: champion version 1 has learned from outcomes up to 2017-06-04, and no test cutoff is later (the "
        "last is 2017-05-21), so there is nothing to compare them on."
    )


def test_later_the_champion_is_met_and_makes_way_for_one_that_is_not_worse_and_knows_more(bench: Bench) -> None:
    bench.crown()
    weighed = bench.weigh("2017-07-02")
    assert (weighed["passed"], weighed["replacing"]) == (True, "1")
    assert "than champion version 1 (auc " in bench.found(weighed, "champion")
    bench.promotion.decide(weighed, YES)
    assert (bench.holder("champion"), bench.holder("previous")) == ("2", "1")


def test_a_champion_of_features_no_longer_served_gives_way(bench: Bench) -> None:
    bench.crown()
    champion = bench.registry.versions["1"]
    bench.registry.versions["1"] = replace(
        champion, service=FeatureService("churn_model_v0", champion.service.features)
    )
    weighed = bench.weigh()
    assert weighed["passed"]
    assert bench.found(weighed, "champion").startswith("the champion cannot score any more: version 1 (logistic) was")


def test_data_that_the_lake_no_longer_has_are_unknown(bench: Bench) -> None:
    registered, prepared = bench.train()
    prepared["lake_versions"]["orders"] = 99
    weighed = bench.promotion.weigh(registered, prepared)
    assert weighed["reason"] == "Not passed: its data are unknown: the lake has no orders v99."


def test_weighing_and_deciding_again_after_success_changes_nothing(bench: Bench) -> None:
    trained = bench.train()
    bench.promotion.decide(bench.promotion.weigh(*trained), YES)
    again = bench.promotion.weigh(*trained)
    assert (again["passed"], again["reason"]) == (True, "It is the champion.")
    assert bench.promotion.decide(again, YES)["promoted"]
    assert (bench.holder("champion"), bench.holder("previous")) == ("1", None)


def test_a_challenger_overtaken_by_a_later_run_is_not_weighed(bench: Bench) -> None:
    registered, prepared = bench.train()
    bench.registry.register(bench.training.fit("logistic", prepared)["run_id"])
    with pytest.raises(ModelError, match="version 1 was registered, but the challenger now is 2"):
        bench.promotion.weigh(registered, prepared)


def test_a_verdict_on_another_champion_does_not_count(bench: Bench) -> None:
    weighed = bench.weigh()
    bench.registry.aliases["champion"] = "7"
    with pytest.raises(ModelError, match="version 1 was weighed against None, but 7 is champion"):
        bench.promotion.decide(weighed, YES)


def test_without_its_backtests_a_challenger_cannot_be_weighed(bench: Bench) -> None:
    registered, prepared = bench.train()
    kept = bench.lake.read(BACKTESTS)
    bench.lake.replace(BACKTESTS, kept[kept["candidate"] != "logistic"], where={"trained_at": [CUTOFF]})
    with pytest.raises(MissingDataError, match="no backtest of logistic at 2017-06-04"):
        bench.promotion.weigh(registered, prepared)


def test_a_promotion_is_taken_back_and_the_taking_back_too(bench: Bench) -> None:
    bench.crown()
    bench.crown("2017-07-02")
    assert bench.promotion.rollback(YES).version == "1"
    assert (bench.holder("champion"), bench.holder("previous")) == ("1", "2")
    assert bench.promotion.rollback(YES).version == "2"


def test_the_first_champion_cannot_be_taken_back(bench: Bench) -> None:
    bench.crown()
    with pytest.raises(ModelError, match="no previous champion"):
        bench.promotion.rollback(YES)
