"""The DAG that learns, on runs put into the log as if the coupon had moved those whose last order is long ago."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from holdfast import wiring
from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import Campaign, CampaignRun
from holdfast.campaign.policy import Selection
from holdfast.pipelines.uplift_scores import ARM_SHARES, UPLIFTS
from tests.dags.conftest import CUTOFF, Loop, run
from tests.fakes.operations import campaign

CUTOFFS = [date.fromisoformat(CUTOFF) - timedelta(days=28 + 7 * back) for back in range(6)]
MESSAGE = {"channel": "email", "template": "win_back"}
ARMS = [{"name": name, "message": MESSAGE, "cost_per_contact": "0.10"} for name in ("coupon", "reminder")]


@pytest.fixture
def learning(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """The only campaign is one that learns, by two learners."""
    chosen = campaign(
        name="learning",
        arms=ARMS,
        audience={"tiers": ["high", "medium", "low"]},
        control_share=0.4,
        policy={"by": "uplift", "until": {"by": "random"}, "explore": 0.2},
        arm_shares={"segments": "tier", "floor": 0.2},
    )
    rules = yaml.safe_load(loop.settings.rules_file.read_text())
    rules["uplift"] = {"learners": ["s_logistic", "t_logistic"], "resamples": 200, "folds": 3}
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "templates").symlink_to(loop.settings.campaigns_dir / "templates")
    (tmp_path / "campaigns" / "learning.yaml").write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    monkeypatch.setenv("HOLDFAST_CAMPAIGNS", str(tmp_path / "campaigns"))
    monkeypatch.setenv("HOLDFAST_RULES", str(tmp_path / "rules.yaml"))
    return chosen


def as_if_it_had_moved_the_silent(one: Campaign, cutoff: date) -> None:
    """A run in which, of those silent for long, they who then ordered are mostly said to have been given the coupon."""
    known = wiring.feature_store().snapshot(cutoff)
    run_id, ids = one.run_id(cutoff), known["customer_id"].tolist()
    orders = wiring.lake().read("orders")
    zone = wiring.rules().shop.zone
    start = pd.Timestamp(datetime(cutoff.year, cutoff.month, cutoff.day, tzinfo=zone))
    ordered = set(orders[orders["ordered_at"].between(start, start + pd.Timedelta(days=28))]["customer_id"])
    silent = (known["days_since_order"] > known["days_since_order"].median()).to_numpy()
    kept = np.array([customer in ordered for customer in ids])
    odds = np.where(silent & kept, 0.55, np.where(silent, 0.05, 0.3))
    number = uniforms(run_id, ids)
    arm = np.where(number < odds, "coupon", np.where(number < odds + 0.3, "reminder", "control")).astype(object)
    chance = pd.Series(arm).map({"coupon": 0.3, "reminder": 0.3, "control": 0.4})
    assigned = pd.DataFrame({"customer_id": ids, "arm": arm, "propensity": chance}).assign(
        tier="high", probability=0.2, value=40.0, cost=Decimal("0.10"), chances=[[0.3, 0.3]] * len(ids)
    )
    at = datetime(cutoff.year, cutoff.month, cutoff.day, 12, tzinfo=UTC)
    skipped = pd.DataFrame({"customer_id": [], "reason": []})
    with wiring.operations().planning() as tx:
        tx.add(CampaignRun(one, cutoff, at, len(ids), len(ids)), Selection(assigned, skipped), [], [])


def test_from_the_log_to_a_champion_that_the_next_plan_goes_by(loop: Loop, learning: Campaign) -> None:
    for cutoff in CUTOFFS:
        as_if_it_had_moved_the_silent(learning, cutoff)
    done = run(loop, "learn")
    [weighed] = done.value("weigh")
    assert weighed["passed"], weighed["reason"]
    assert done.value("promote")[0]["promoted"]
    standing = wiring.uplift_standing("learning")
    assert standing.models["champion"].version == weighed["version"]
    assert standing.models["champion"].verdict.startswith("Passed: ")
    shares = wiring.lake().read(ARM_SHARES)
    assert shares.groupby("segment")["share"].sum().tolist() == pytest.approx([1.0] * shares["segment"].nunique())

    scored = run(loop, "score")
    [told] = scored.value("uplift")
    assert told["customers"] == scored.value("publish")["customers"]
    uplifts = wiring.lake().read(UPLIFTS, where={"campaign": ["learning"]})
    assert len(uplifts) == 2 * told["customers"]
    plan = wiring.planning().preview(learning, CUTOFF, datetime(2017, 11, 26, 17, tzinfo=UTC), 5).plan
    version = weighed["version"]
    assert plan["chosen_by"].startswith(f"uplift, by version {version} of the uplift model of learning")
    curve = wiring.uplift_budget("learning", CUTOFF)
    assert curve.picture.stat().st_size > 1_000
    values = [point.value for point in curve.points]
    assert values == sorted(values)
    assert values[-1] > 0

    again = run(loop, "learn")
    assert not again.value("weigh")[0]["passed"]
    assert "no run has matured since the champion" in again.value("weigh")[0]["reason"]
    assert again.value("promote") is None
    assert wiring.uplift_standing("learning").models["champion"].version == version


def test_without_a_campaign_that_learns_there_is_nothing_to_do(loop: Loop) -> None:
    done = run(loop, "learn")
    assert done.value("campaigns") == []
    assert done.value("weigh") is None
