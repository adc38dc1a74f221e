"""Candidates side by side on the backtest."""

from datetime import date

import pandas as pd
import pytest

from holdfast.errors import MissingDataError
from holdfast.pipelines.compare import compare
from holdfast.weeks import WEEK_COLUMNS
from holdfast.wiring import models
from tests.fakes.small_shop import RULES, shop
from tests.fakes.training import CUTOFF, Bench


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(shop())


def test_a_comparison_gives_the_figures_of_the_training_run(bench: Bench) -> None:
    prepared = bench.training.prepare(CUTOFF)
    run = bench.registry.runs[bench.training.fit("logistic", prepared)["run_id"]]
    rows = bench.scratch.read(prepared["path"])
    rule, model = compare(rows, ["recency_rule", "logistic"], RULES, date.fromisoformat(CUTOFF))
    assert (rule.candidate, rule.baseline, model.baseline) == ("recency_rule", True, False)
    assert model.evaluation.mean == run.evaluation.mean
    assert model.treatment.calibration.reason == run.notes["calibration"]


def test_a_candidate_that_reads_weeks_asks_for_a_training_set_with_them(bench: Bench) -> None:
    rows = bench.scratch.read(bench.training.prepare(CUTOFF)["path"])
    with pytest.raises(MissingDataError, match="gru reads the customers' last weeks, which the training set lacks"):
        list(compare(rows, ["gru"], RULES, date.fromisoformat(CUTOFF)))


@pytest.mark.parametrize(("names", "blend"), [(["logistic", "gru"], None), (["blend"], ["logistic", "gru"])])
def test_whatever_is_named_for_a_comparison_gets_its_columns(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, names: list[str], blend: list[str] | None
) -> None:
    given: list[pd.DataFrame] = []
    monkeypatch.setattr(models, "training", lambda: bench.training)
    monkeypatch.setattr(models, "scratch", lambda: bench.scratch)
    monkeypatch.setattr(models, "rules", lambda: RULES)
    monkeypatch.setattr(models, "_compare", lambda rows, *_: given.append(rows))
    models.compare(names, date.fromisoformat(CUTOFF), blend)
    assert set(WEEK_COLUMNS) <= set(given[0].columns)
