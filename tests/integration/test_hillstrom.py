"""Hillstrom's e-mail test end to end: imported as a finished campaign, read out, learned from, decided upon."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.effect.uplift_gate import Terms, told
from holdfast.errors import CampaignError, SourceError
from holdfast.mapping import Mapping
from holdfast.pipelines.compare_uplift import ComparedUplift, compare_uplift, covariates_of
from holdfast.pipelines.ingest import QUARANTINE, Ingest
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.trials import Trials
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.operations import operations_engine
from tests.fakes.vault import FakeVault
from tests.machine import shared_data

COVARIATES = ["recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel"]
TERMS = Terms(budget_share=0.3, folds=5, resamples=200, seed=7)


@pytest.fixture(scope="module")
def file(project: Path) -> Path:
    return shared_data(project, "hillstrom.csv")


@pytest.fixture(scope="module")
def rows(file: Path) -> pd.DataFrame:
    return pd.read_csv(file)


@pytest.fixture(scope="module")
def shop(project: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """The lake after the file has gone in through the committed mapping."""
    root = tmp_path_factory.mktemp("hillstrom")
    landing = root / "landing" / "2008-03-15"
    landing.mkdir(parents=True)
    (landing / "hillstrom.csv").symlink_to(file)
    lake = DeltaLake(root / "lake")
    ingest = Ingest(
        landing=LandingDirectory(root / "landing"),
        source=load(project / "sources" / "hillstrom.yaml", Mapping),
        zone=ZoneInfo("UTC"),
        lake=lake,
        vault=FakeVault(),
        quality=GreatExpectations(project / "great_expectations", root / "quality"),
        now=datetime(2008, 3, 16, 5, tzinfo=UTC),
    )
    ingest.run(["2008-03-15/hillstrom.csv"])
    engine = operations_engine(root)
    return Trials(
        lake, OperationsDatabase(engine), TrialDatabase(engine), load(project / "config" / "hillstrom.yaml", Rules)
    )


def learned(shop: Trials, rows: pd.DataFrame, outcome: str, arm: str, learners: list[str]) -> ComparedUplift:
    return compare_uplift(
        shop,
        FakeFeatureStore(),
        "hillstrom",
        outcome=outcome,
        arm=arm,
        learners=learners,
        terms=TERMS,
        covariates=covariates_of(rows, COVARIATES, "hillstrom.csv"),
    )


def test_every_row_is_a_customer_also_those_that_are_alike_and_nothing_is_rejected(
    shop: Trials, rows: pd.DataFrame
) -> None:
    assert len(rows) == 64_000
    assert int(rows.duplicated().sum()) == 6_562
    assert shop.lake.read("customers")["customer_id"].nunique() == 64_000
    assert not shop.lake.exists(QUARANTINE) or shop.lake.read(QUARANTINE).empty
    arms = shop.lake.read("past_assignments")["arm"].value_counts().to_dict()
    assert arms == {"mens": 21_307, "womens": 21_387, "control": 21_306}
    assert shop.lake.read("order_lines")["amount"].sum() == pytest.approx(rows["spend"].sum())


def test_it_is_read_out_as_a_randomised_campaign(shop: Trials, rows: pd.DataFrame) -> None:
    trial = shop.trial("hillstrom")
    assert trial.randomised
    readout = Measuring(shop, date(2008, 3, 15)).readout("hillstrom")
    assert readout.final
    visited = rows.groupby("segment")["visit"].mean()
    found = shop.observed(trial).results.groupby("arm")["visited"].mean()
    assert found["womens"] == pytest.approx(visited["Womens E-Mail"])
    assert found["control"] == pytest.approx(visited["No E-Mail"])


def test_the_womens_e_mail_moves_those_whom_learners_find_and_churn_risk_does_not(
    shop: Trials, rows: pd.DataFrame
) -> None:
    """The reference: Qini 0.062 for the S-learner with interactions, 0.005 by churn risk; 21 visits against 13.6."""
    found = learned(shop, rows, "visited", "womens", ["s_logistic", "x_logistic", "churn_risk"])
    assert found.assessment.verdict.passed
    assert told(found.assessment.verdict).startswith("Accepted: ")
    by_name = {one.learner.name: one for one in found.assessment.learners}
    assert 0.045 < by_name["s_logistic"].rankings["womens"].qini < 0.075
    assert abs(by_name["churn_risk"].rankings["womens"].qini) < 0.015
    at_random = found.assessment.random.value
    assert 1000 * at_random == pytest.approx(13.6, abs=0.3)
    assert 18 < 1000 * (at_random + by_name["s_logistic"].over_random.value) < 24
    chosen = found.chosen(TERMS)
    assert (chosen["arm"] == "womens").mean() == pytest.approx(0.3, abs=0.001)
    bought_womens = rows["womens"].to_numpy()[chosen["customer_id"].astype(int) - 1]
    assert bought_womens[chosen["arm"] == "womens"].mean() > 0.8  # as one would have guessed


@pytest.mark.parametrize(
    ("outcome", "arm"),
    [
        ("visited", "mens"),
        pytest.param("revenue", "womens", marks=pytest.mark.full),
        pytest.param("revenue", "mens", marks=pytest.mark.full),
    ],
)
def test_the_mens_e_mail_and_every_spend_are_declined(shop: Trials, rows: pd.DataFrame, outcome: str, arm: str) -> None:
    verdict = learned(shop, rows, outcome, arm, ["s_logistic", "x_logistic"]).assessment.verdict
    assert not verdict.passed
    assert told(verdict).startswith("Declined: ")
    assert "is not shown to bring more than treating at random" in told(verdict)


def test_both_e_mails_compete_for_the_same_budget(shop: Trials, rows: pd.DataFrame) -> None:
    found = compare_uplift(
        shop,
        FakeFeatureStore(),
        "hillstrom",
        outcome="visited",
        learners=["x_logistic"],
        terms=TERMS,
        covariates=covariates_of(rows, COVARIATES, "hillstrom.csv"),
    )
    assert len(found.on) == 64_000
    given = found.chosen(TERMS)["arm"].value_counts(normalize=True)
    assert given["mens"] + given["womens"] == pytest.approx(0.3, abs=0.001)
    assert given["mens"] > given["womens"] > 0


def test_what_is_asked_wrongly_is_told(shop: Trials, rows: pd.DataFrame) -> None:
    with pytest.raises(SourceError, match=r"hillstrom.csv has no column 'recensy'; .*recency"):
        covariates_of(rows, ["recensy"], "hillstrom.csv")
    with pytest.raises(CampaignError, match=r"has no arm 'women'; .*womens"):
        learned(shop, rows, "visited", "women", ["s_logistic"])
    with pytest.raises(CampaignError, match="no outcome is called 'visit'"):
        learned(shop, rows, "visit", "womens", ["s_logistic"])
