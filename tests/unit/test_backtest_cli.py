"""What `holdfast backtest` prints and writes."""

import json
from dataclasses import replace
from datetime import date

import pytest
import typer.testing

from holdfast import wiring
from holdfast.backtest_cli import beside
from holdfast.cli import app
from holdfast.model.candidates import CANDIDATES
from holdfast.pipelines.compare import Compared, compare
from tests.fakes.small_shop import RULES, shop
from tests.fakes.training import CUTOFF, Bench


@pytest.fixture(scope="module")
def found() -> list[Compared]:
    bench = Bench(shop())
    rows = bench.scratch.read(bench.training.prepare(CUTOFF)["path"])
    return list(compare(rows, ["recency_rule", "logistic"], RULES, date.fromisoformat(CUTOFF)))


@pytest.fixture
def asked(found: list[Compared], monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Stands in for the shop; what was asked of it."""
    questions: list[tuple[object, ...]] = []

    def answer(*question: object) -> list[Compared]:
        questions.append(question)
        return found

    monkeypatch.setattr(wiring, "prepare", lambda: None)
    monkeypatch.setattr(wiring, "rules", lambda: RULES)
    monkeypatch.setattr(wiring, "compare", answer)
    return questions


def test_beside_the_table_stands_what_chance_would_give(found: list[Compared]) -> None:
    text = " ".join(beside(found))
    assert "Test cutoffs 2017-05-07, 2017-05-21" in text
    assert "Calling everyone what most are has an accuracy of 0.739" in text
    assert "a perfect model of this size would still have a calibration error of" in text
    assert "AUC of logistic by past orders" in text


def test_candidates_and_the_blends_members_can_be_named(asked: list[tuple[object, ...]]) -> None:
    names = ["backtest", "--cutoff", CUTOFF, "--candidates", "mlp, blend", "--blend", "mlp,svm"]
    assert typer.testing.CliRunner().invoke(app, names).exit_code == 0
    assert asked == [(["mlp", "blend"], date(2017, 6, 4), ["mlp", "svm"])]


def test_all_are_compared_but_those_whose_package_is_not_installed_which_are_named(
    asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CANDIDATES, "gru", replace(CANDIDATES["gru"], requires="no_such_package"))
    monkeypatch.setitem(CANDIDATES, "logistic", replace(CANDIDATES["logistic"], requires="pandas"))
    assert typer.testing.CliRunner().invoke(app, ["backtest", "--cutoff", CUTOFF, "--candidates", "all"]).exit_code == 0
    assert asked == [([name for name in CANDIDATES if name != "gru"], date(2017, 6, 4), None)]
    assert "gru is left out: it needs no_such_package, which is not installed." in capfd.readouterr().out
    typer.testing.CliRunner().invoke(app, ["backtest", "--cutoff", CUTOFF, "--candidates", "gru"])
    assert asked[1][0] == ["gru"], "named by hand it is asked for, and says itself what it lacks"


def test_all_figures_are_written_as_json(
    asked: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("figures") / "figures.json"
    typer.testing.CliRunner().invoke(app, ["backtest", "--cutoff", CUTOFF, "--json", str(path)])
    rule, model = json.loads(path.read_text(encoding="utf-8"))
    assert "treatment" not in rule
    assert set(model["by_cutoff"]) == {"2017-05-07", "2017-05-21"}
    low, high = model["intervals"]["auc"]
    assert low <= model["mean"]["auc"] <= high
    assert model["treatment"]["calibration"] in {"none", "platt", "isotonic", "beta"}
