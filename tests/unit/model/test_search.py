"""The search for parameters: within its budget, resumable, and never worse on its own cutoffs than the defaults."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.dataset import Split
from holdfast.errors import SettingsError
from holdfast.model.candidates import Candidate, Range
from holdfast.model.fitted import FittedModel
from holdfast.model.logistic import fit_logistic
from holdfast.model.matrix import Vector
from holdfast.model.search import tuned
from holdfast.rules import Search
from tests.fakes.small_shop import RULES

MAY, JUNE, JULY = (date(2017, month, 1) for month in (5, 6, 7))
SPLITS = [Split(JUNE, (MAY,)), Split(JULY, (MAY, JUNE))]


def training_rows() -> pd.DataFrame:
    draw = np.random.default_rng(1)
    silence = draw.uniform(0, 60, 600)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(200)] * 3,
            "cutoff": np.repeat([day.isoformat() for day in (MAY, JUNE, JULY)], 200),
            "days_since_order": silence,
            "noise": draw.uniform(size=600),
            "churned": (draw.uniform(size=600) < silence / 60).astype(int),
        }
    )


ROWS = training_rows()


def counting(fits: list[float]) -> Candidate:
    """A candidate that writes down the parameter of each fit; it is better the more it looks at the silence."""

    def fit(rows: pd.DataFrame, churned: Vector, seed: int, attention: float) -> FittedModel:
        fits.append(attention)
        mixed = rows.assign(noise=rows["noise"] * 0 + rows["days_since_order"]) if attention > 0.5 else rows
        return fit_logistic(mixed, churned, seed, ["days_since_order"] if attention > 0.5 else ["noise"])

    return Candidate("counting", "counts", fit, {"attention": 0.1}, {"attention": Range(0.0, 1.0)})


def search(
    candidate: Candidate, trials: int, journal: Path | None = None, rows: pd.DataFrame = ROWS
) -> dict[str, object]:
    rules = RULES.training.model_copy(update={"search": Search(trials=trials, seconds=60)})
    found = tuned(candidate, rows, SPLITS, ["days_since_order", "noise"], rules=rules, journal=journal)
    return {**found.told, **found.candidate.parameters}


def test_a_search_keeps_to_its_trials_and_finds_what_is_better() -> None:
    fits: list[float] = []
    found = search(counting(fits), trials=8)
    assert len(set(fits)) == found["search_done"] == 8
    assert fits[0] == 0.1
    assert float(str(found["attention"])) > 0.5


def test_trials_that_fall_behind_are_pruned_before_their_last_cutoff() -> None:
    fits: list[float] = []
    found = search(counting(fits), trials=25)
    assert found["search_pruned"] == 25 * len(SPLITS) - len(fits)
    assert int(str(found["search_pruned"])) > 0


def test_a_search_broken_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first: list[float] = []
    search(counting(first), trials=3, journal=tmp_path / "studies" / "one.log")
    second: list[float] = []
    found = search(counting(second), trials=5, journal=tmp_path / "studies" / "one.log")
    assert found["search_done"] == 5
    assert len(set(second)) == 2


def test_other_rows_are_another_search(tmp_path: Path) -> None:
    search(counting([]), trials=2, journal=tmp_path / "one.log")
    fits: list[float] = []
    search(counting(fits), trials=2, journal=tmp_path / "one.log", rows=ROWS.assign(noise=0.5))
    assert len(set(fits)) == 2


def test_without_a_search_in_the_rules_nothing_is_changed() -> None:
    fits: list[float] = []
    one = counting(fits)
    assert tuned(one, ROWS, SPLITS, ["days_since_order"], rules=RULES.training).candidate is one
    assert tuned(replace(one, space={}), ROWS, [], ["days_since_order"], rules=RULES.training).told == {}
    assert fits == []


def test_a_history_too_short_to_search_on_is_refused() -> None:
    rules = RULES.training.model_copy(update={"search": Search(trials=1, seconds=1)})
    with pytest.raises(SettingsError, match="needs cutoffs before the first test cutoff to search on"):
        tuned(counting([]), ROWS, [], ["days_since_order"], rules=rules)
