"""The gate between challenger and champion."""

from dataclasses import replace
from datetime import date

from holdfast.model.evaluation import Evaluation, Metrics
from holdfast.model.promotion import Incumbent, decide, trusted_cutoffs

SEPTEMBER, OCTOBER, NOVEMBER = date(2017, 9, 3), date(2017, 10, 1), date(2017, 10, 29)
BASE = Metrics(
    rows=100, base_rate=0.2, auc=0.5, average_precision=0.2, brier=0.1, log_loss=0.3, calibration_error=0.02,
    lift_top_tenth=1,
)  # fmt: skip


def auc(values: dict[date, float]) -> Evaluation:
    return Evaluation({cutoff: replace(BASE, auc=value) for cutoff, value in values.items()})


CHALLENGER = auc({SEPTEMBER: 0.80, OCTOBER: 0.84, NOVEMBER: 0.88})
RULES = {
    "recency_rule": auc({SEPTEMBER: 0.7, OCTOBER: 0.7, NOVEMBER: 0.7}),
    "rhythm_rule": auc({SEPTEMBER: 0.8, OCTOBER: 0.8, NOVEMBER: 0.8}),
}


def incumbent(values: dict[date, float] | None) -> Incumbent:
    return Incumbent("3", trained_to=OCTOBER, evaluation=auc(values) if values else None)


def test_the_first_model_is_promoted_when_it_beats_the_rules() -> None:
    verdict = decide("auc", CHALLENGER, RULES, None)
    assert verdict.promote
    assert verdict.reason == (
        "Promoted as the first champion: the challenger beats rhythm_rule "
        "(auc 0.8400 against 0.8000, 3 cutoffs from 2017-09-03 to 2017-10-29)."
    )


def test_a_model_that_only_beats_the_weaker_rule_is_not_promoted() -> None:
    weak = auc(dict.fromkeys((SEPTEMBER, OCTOBER, NOVEMBER), 0.75))
    verdict = decide("auc", weak, RULES, None)
    assert not verdict.promote
    assert "does not beat rhythm_rule" in verdict.reason


def test_a_tie_with_the_rule_is_not_enough() -> None:
    assert not decide("auc", RULES["rhythm_rule"], RULES, None).promote


def test_the_champion_is_met_only_on_the_cutoffs_it_was_scored_on() -> None:
    # On all three cutoffs the challenger's mean is 0.84; on the later two, where the champion counts, it is 0.86.
    verdict = decide("auc", CHALLENGER, RULES, incumbent({OCTOBER: 0.85, NOVEMBER: 0.85}))
    assert verdict.promote
    against = verdict.comparisons[1]
    assert (against.rival, against.cutoffs) == ("champion version 3", (OCTOBER, NOVEMBER))
    assert abs(against.challenger_value - 0.86) < 1e-12


def test_a_champion_that_is_better_stays() -> None:
    verdict = decide("auc", CHALLENGER, RULES, incumbent({OCTOBER: 0.87, NOVEMBER: 0.87}))
    assert not verdict.promote
    assert verdict.reason.startswith("The champion version 3 stays: the challenger beats rhythm_rule")
    assert "does not beat champion version 3 (auc 0.8600 against 0.8700" in verdict.reason


def test_a_tie_with_the_champion_leaves_it_in_place() -> None:
    assert not decide("auc", CHALLENGER, RULES, incumbent({NOVEMBER: 0.88})).promote


def test_without_a_cutoff_later_than_its_labels_the_champion_stays_and_the_reason_says_why() -> None:
    verdict = decide("auc", CHALLENGER, RULES, incumbent(None))
    assert not verdict.promote
    assert verdict.reason == (
        "The champion version 3 stays: its training labels end on 2017-10-01 and the last test cutoff is 2017-10-29, "
        "so no test cutoff is later than what it has seen."
    )


def test_a_cutoff_on_the_day_the_labels_end_is_later_than_what_was_seen() -> None:
    assert trusted_cutoffs((SEPTEMBER, OCTOBER, NOVEMBER), trained_to=OCTOBER) == (OCTOBER, NOVEMBER)


def test_the_configured_metric_decides() -> None:
    better_precision = Evaluation({NOVEMBER: replace(BASE, auc=0.6, average_precision=0.5)})
    rules = {"rhythm_rule": Evaluation({NOVEMBER: replace(BASE, auc=0.8, average_precision=0.4)})}
    assert decide("average_precision", better_precision, rules, None).promote
    assert not decide("auc", better_precision, rules, None).promote
