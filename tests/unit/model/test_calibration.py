"""Calibration: fitted on what happened, used only where it helped later."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.calibration import Calibration, Method, choose, fit
from holdfast.model.matrix import Vector

METHODS: list[Method] = ["platt", "isotonic", "beta"]
CUTOFFS = ("2017-06-04", "2017-07-02", "2017-07-30")


def predictions(truths: dict[str, Vector], said: Vector) -> pd.DataFrame:
    """At each cutoff, customers of whom ``said`` was predicted and who churned at the rates of ``truths``."""
    draw = np.random.default_rng(2)
    frames = [
        pd.DataFrame(
            {
                "customer_id": [f"c{i}" for i in range(len(said))],
                "cutoff": cutoff,
                "churned": (draw.uniform(size=len(said)) < truth).astype(int),
                "probability": said,
            }
        )
        for cutoff, truth in truths.items()
    ]
    return pd.concat(frames, ignore_index=True)


SAID = np.random.default_rng(1).beta(2, 5, 3000)
OVERSURE = SAID**2 / (SAID**2 + (1 - SAID) ** 2)  # twice the log-odds


@pytest.mark.parametrize("method", METHODS)
def test_every_method_mends_a_model_that_is_twice_too_sure(method: Method) -> None:
    rows = predictions({CUTOFFS[0]: SAID}, OVERSURE)
    mended = fit(method, rows["probability"].to_numpy(), rows["churned"].to_numpy(float))(OVERSURE)
    assert np.abs(mended - SAID).mean() < np.abs(OVERSURE - SAID).mean() / 4


def test_what_helps_at_every_later_cutoff_is_chosen() -> None:
    decision = choose(predictions(dict.fromkeys(CUTOFFS, SAID), OVERSURE), METHODS, horizon_days=28, seed=1)
    assert decision.method in METHODS
    assert [str(cutoff) for cutoff in decision.cutoffs] == list(CUTOFFS[1:])
    assert {trial.method for trial in decision.trials} == {"none", *METHODS}
    assert "lowers the calibration error from" in decision.reason


def test_what_is_right_already_is_left_alone() -> None:
    assert choose(predictions(dict.fromkeys(CUTOFFS, SAID), SAID), ["platt"], horizon_days=28, seed=1).method == "none"


def test_a_season_that_turns_makes_last_months_calibration_a_mistake() -> None:
    seasons = {CUTOFFS[0]: SAID * 0.5, CUTOFFS[1]: np.minimum(SAID * 1.5, 1), CUTOFFS[2]: SAID * 0.5}
    decision = choose(predictions(seasons, SAID), METHODS, horizon_days=28, seed=1)
    assert decision.method == "none"
    assert decision.reason.startswith("No method lowers the Brier score (")


def test_labels_that_had_not_matured_teach_nothing() -> None:
    decision = choose(predictions(dict.fromkeys(CUTOFFS, SAID), OVERSURE), METHODS, horizon_days=90, seed=1)
    assert (decision.method, decision.trials) == ("none", ())
    assert decision.reason.startswith("The history is too short")


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.integers(0, 5))
def test_calibration_never_turns_the_ranking_round(method: Method, probability: list[float], seed: int) -> None:
    draw = np.random.default_rng(seed)
    said = draw.uniform(size=200)
    learnt = fit(method, said, (draw.uniform(size=200) < said).astype(float))
    calibrated = learnt(np.sort(np.array(probability)))
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert all(later >= earlier for earlier, later in pairwise(calibrated))


def test_no_calibration_changes_nothing() -> None:
    assert Calibration()(SAID) is SAID
