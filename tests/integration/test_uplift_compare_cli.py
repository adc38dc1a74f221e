"""`holdfast uplift compare`, as typed, on a finished campaign that came in as a landing file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.cli import app

ARMS = ("Womens E-Mail", "Mens E-Mail", "No E-Mail")
KNOWN = "recency,history_segment,history,mens,womens,zip_code,newbie,channel"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Path]:
    """A home whose lake holds an e-mail test in Hillstrom's form, ingested under pseudonyms."""
    before, home = dict(os.environ), tmp_path_factory.mktemp("emails")
    os.environ.update(HOLDFAST_HOME=str(home), HOLDFAST_RULES=str(project / "config" / "hillstrom.yaml"))
    wiring.prepare()
    landed = home / "landing" / "2008-03-15" / "hillstrom.csv"
    landed.parent.mkdir(parents=True)
    emails(1_500).to_csv(landed, index=False)
    wiring.ingest().run(["2008-03-15/hillstrom.csv"])
    yield home
    os.environ.clear()
    os.environ.update(before)


def emails(customers: int) -> pd.DataFrame:
    """Invented customers: the women's e-mail brings back those, and only those, who have bought for women."""
    draw = np.random.default_rng(3)
    womens = draw.integers(0, 2, customers)
    segment = np.array(ARMS, dtype=object)[np.arange(customers) % 3]
    visits = draw.random(customers) < np.where((womens == 1) & (segment == ARMS[0]), 0.9, 0.1)
    return pd.DataFrame(
        {
            "recency": draw.integers(1, 13, customers),
            "history_segment": "1) $0 - $100",
            "history": draw.uniform(1, 99, customers).round(2),
            "mens": 1 - womens,
            "womens": womens,
            "zip_code": "Urban",
            "newbie": 0,
            "channel": "Web",
            "segment": segment,
            "visit": visits.astype(int),
            "conversion": 0,
            "spend": 0.0,
        }
    )


def typed(capfd: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    words = ["uplift", "compare", "hillstrom", "--outcome", "visited", "--arm", "womens", *map(str, arguments)]
    result = CliRunner().invoke(app, words)
    shown = capfd.readouterr()
    assert result.exit_code == code, shown.err + result.output + repr(result.exception)
    return " ".join((shown.out + result.output).split())


def test_learners_are_compared_on_a_files_covariates_and_whom_to_mail_is_written_by_pseudonym(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = home / "landing" / "2008-03-15" / "hillstrom.csv"
    scores, figures = home / "whom.csv", home / "figures.json"
    told = typed(
        capfd, "--covariates", file, "--columns", KNOWN, "--learners", "s_logistic, churn_risk",
        "--scores", scores, "--json", figures,
    )  # fmt: skip
    assert "learner Qini, womens gain over random treated" in told
    assert "Accepted: " in told
    assert f"Whom s_logistic would treat is in {scores}" in told
    told = json.loads(figures.read_text())
    assert told["customers"] == 1_000
    assert list(told["learners"]) == ["s_logistic", "churn_risk"]
    assert told["decision"].startswith("Accepted: ")
    gain, low, _ = told["learners"]["s_logistic"]["over_random_per_1000"]
    assert gain > low > 0
    assert told["learners"]["s_logistic"]["treated"] == 0.3
    chosen = pd.read_csv(scores)
    assert sorted(chosen["arm"].unique()) == ["control", "womens"]
    rows = emails(1_500).assign(customer_id=[wiring.customer_id(f"{row}") for row in range(1, 1_501)])
    mailed = rows[rows["customer_id"].isin(chosen.loc[chosen["arm"] == "womens", "customer_id"])]
    assert len(mailed) == 300
    assert mailed["womens"].all(), "those whom it moves"
    assert set(mailed["segment"]) == {ARMS[0], ARMS[2]}


@pytest.mark.parametrize("called", [wiring.customer_id, str], ids=["by pseudonym", "by the shop's id"])
def test_a_file_names_customers_as_the_shop_does_or_by_pseudonym(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], called: object
) -> None:
    rows = emails(1_500).assign(customer_id=[called(f"{row}") for row in range(1, 1_501)])  # type: ignore[operator]
    rows.sample(frac=1, random_state=1).to_csv(tmp_path / "known.csv", index=False)
    asked = ("--covariates", tmp_path / "known.csv", "--columns", "womens", "--learners", "s_logistic")
    assert "Accepted: " in typed(capfd, *asked)


def test_what_does_not_fit_the_campaign_is_told(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "known.csv"
    asked = ("--covariates", file, "--columns", "womens")
    emails(1_499).to_csv(file, index=False)
    assert f"no row of customer '{wiring.customer_id('1500')}', whom hillstrom assigned" in typed(capfd, *asked, code=1)
    twice = emails(1_500).assign(customer_id=[f"{max(row, 2)}" for row in range(1, 1_501)])
    twice.to_csv(file, index=False)
    assert "known.csv has more than one row of customer '2'" in typed(capfd, *asked, code=1)
    assert "covariates and columns belong together" in typed(capfd, "--covariates", file, code=1)
    assert "has no column 'womans'; did you mean 'womens'" in typed(capfd, *asked[:3], "womans", code=1)
