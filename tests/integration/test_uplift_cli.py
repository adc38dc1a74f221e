"""`holdfast uplift show` and `budget`, as typed, on a home whose campaign has learned."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.cli import app
from holdfast.effect.learners import learner
from holdfast.effect.uplift_model import UpliftRun, fit_model
from holdfast.model.approval import Approval
from holdfast.model.promotion import Check, Verdict
from holdfast.model.record import FeatureService
from holdfast.pipelines.uplift_scores import ARM_SHARES, UPLIFTS
from tests.fakes.operations import campaign
from tests.fakes.randomised import FEATURES, trial

CUTOFF = "2018-03-04"
ARM = {"name": "mail", "message": {"channel": "email", "template": "win_back"}, "cost_per_contact": "1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with the campaign ``keep`` of one arm, whose message costs 1 and for which 100 is planned."""
    import mlflow

    before = dict(os.environ), mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    budget = {"money": 100, "contacts": 1_000}
    policy = {"by": "uplift", "until": {"by": "random"}, "explore": 0.1}
    keep = campaign(name="keep", arms=[ARM], policy=policy, budget=budget, audience={"tiers": ["high"]})
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "keep.yaml").write_text(yaml.safe_dump(keep.model_dump(mode="json")))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOLDFAST_CAMPAIGNS", str(tmp_path / "campaigns"))
    wiring.prepare()
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before[0])
    mlflow.set_tracking_uri(before[1])
    mlflow.set_registry_uri(before[2])


def typed(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["uplift", *arguments])
    shown = capfd.readouterr()
    assert result.exit_code == code, shown.err + result.output
    return " ".join((shown.out + result.output).split())


def learned() -> None:
    """A model is challenger and champion of ``keep``, and the arms' shares were learned twice."""
    on = trial(400, 5)
    registry = wiring.uplift_registry("keep")
    run = UpliftRun(
        candidate="t_logistic",
        cutoff=date(2018, 3, 4),
        trained_to=date(2018, 3, 1),
        rules="{}",
        model=fit_model(learner("t_logistic"), on, (None,)),
        service=FeatureService("churn_model", FEATURES),
        parameters={},
        lake_versions={},
        example=pd.DataFrame([dict.fromkeys(FEATURES, 0.0)]),
        plots={},
    )
    version = registry.register(registry.log(run))
    verdict = Verdict((Check("gain", True, "brings 12 USD more per 1,000 than choosing by random"),))
    registry.judge(version, verdict, "a story")
    registry.decide(version, Approval(True, "Ann", datetime(2018, 3, 4, tzinfo=UTC)), replacing=None)
    for cutoff, share in (("2018-02-25", 0.25), (CUTOFF, 0.8)):
        rows = pd.DataFrame({"segment": ["high"], "arm": ["mail"], "share": [share], "effect": [1.5], "error": [0.5]})
        rows = rows.assign(campaign="keep", cutoff=cutoff, customers=1_234, runs=3)
        wiring.lake().replace(ARM_SHARES, rows, where={"campaign": ["keep"], "cutoff": [cutoff]})


def scored(customers: int = 200) -> None:
    """Of customers worth 100 each to the shop, every second one is surely moved, by 10 down to 0.1 points."""
    ids = [f"c{i:03}" for i in range(customers)]
    scores = pd.DataFrame({"customer_id": ids, "cutoff": CUTOFF, "tier": "high", "probability": 0.5, "value": 100.0})
    wiring.lake().replace("scores", scores, where={"cutoff": [CUTOFF]})
    uplift = np.where(np.arange(customers) % 2 == 0, np.linspace(0.5, 0.005, customers), -0.1)
    rows = pd.DataFrame({"customer_id": ids, "arm": "mail", "uplift": uplift, "harms": uplift < 0})
    rows = rows.assign(cutoff=CUTOFF, campaign="keep", model_version="1")
    wiring.lake().replace(UPLIFTS, rows, where={"cutoff": [CUTOFF], "campaign": ["keep"]})


def test_it_is_shown_which_model_chooses_what_the_gate_said_and_the_latest_shares(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = typed(capfd, "show", "keep")
    assert "No uplift model of keep was registered yet. Run the learn DAG." in told
    assert "Until one is champion, customers are chosen by random." in told
    learned()
    scored()
    told = typed(capfd, "show", "keep")
    assert "@champion 1 t_logistic 2018-03-01" in told
    assert "@champion: Passed: brings 12 USD more per 1,000 than choosing by random." in told
    assert "@challenger" not in told, "it is the champion now"
    assert "Until" not in told
    assert "Of 200 customers predicted, every arm surely harms 100." in told
    assert "80.0% +1.50 ±0.98 1,234" in told
    assert "25.0%" not in told, "an earlier learning's shares are no longer in force"
    [earlier] = wiring.uplift_standings("2018-02-25")
    assert earlier.shares["share"].tolist() == [0.25]
    assert earlier.predicted == 0


def test_what_more_budget_would_bring_is_told_and_drawn(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = typed(capfd, "budget", "keep", "--cutoff", CUTOFF, code=1)
    assert f"no uplift model of keep has scored {CUTOFF}. Run the learn DAG, then the score DAG." in told
    scored()
    told = typed(capfd, "budget", "keep", "--cutoff", CUTOFF)
    figures = re.findall(r"(\d+\.\d\d) (\d+\.\d\d) (\d+\.\d\d\d)", told.replace(",", ""))
    rows = [tuple(map(float, row)) for row in figures]
    assert [money for money, _, _ in rows] == [10, 20, 35, 50, 75, 100, 125, 150, 200, 300]
    values = [value for _, value, _ in rows]
    assert values == sorted(values)
    margin = wiring.rules().outreach.margin
    best = np.linspace(0.5, 0.005, 200)[::2][:10] * 100 * margin - 1
    assert values[0] == pytest.approx(best.sum(), abs=0.02), "the ten whom the mail moves most, at 1 each"
    assert values[-1] == values[-2], "whom it harms it is not sent to, whatever the money"
    assert "Drawn in " in told
    assert (home / "reports" / f"budget-keep-{CUTOFF}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", [("show", "kepe"), ("budget", "kepe", "--cutoff", CUTOFF)])
def test_an_unknown_campaign_is_refused(
    home: Path, capfd: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert "kepe.yaml" in typed(capfd, *command, code=1)
