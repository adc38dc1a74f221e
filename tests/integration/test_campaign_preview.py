"""What a marketer asks before a campaign starts, as typed, on a home with five months of a simulated shop's orders."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.operations import database
from holdfast.adapters.yaml_files import load
from holdfast.cli import app
from holdfast.pipelines import rehearse_campaign
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.shop import SimulatedShop
from holdfast.wiring import effects
from tests.fakes.operations import KEYRING, reachable

DAYS = 150
LAST = date(2024, 1, 1) + timedelta(days=DAYS)
THEN = LAST - timedelta(days=30)
AT_RISK = 400


@pytest.fixture(scope="module")
def lived(project: Path) -> dict[str, pd.DataFrame]:
    shop = SimulatedShop(load(project / "config" / "simulator.yaml", ShopConfig), 600, 3)
    parts = [part for _ in range(DAYS) for part in shop.live()]
    names = ("orders", "order_lines")
    tables = {name: pa.concat_tables([one[name] for one in parts if name in one]).to_pandas() for name in names}
    return {name: rows.assign(batch="history") for name, rows in tables.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lived: dict[str, pd.DataFrame]) -> Path:
    """The shop's orders up to ``LAST``, and scores of its customers then and a month before."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_VAULT_KEYS", json.dumps(KEYRING.keys))
    for known in (wiring, effects):
        monkeypatch.setattr(known, "latest_cutoff", lambda: LAST)
    monkeypatch.setattr(rehearse_campaign, "CUSTOMERS", 4_096)
    wiring.prepare()
    for name, rows in lived.items():
        wiring.lake().replace(name, rows, where={"batch": ["history"]})
    customers = sorted(lived["orders"]["customer_id"].unique())[:AT_RISK]
    reachable(database.connect(wiring.settings().operations), customers)
    for cutoff in (THEN, LAST):
        scores = pd.DataFrame({"customer_id": customers, "probability": 0.45, "tier": "high", "value": 50.0})
        scores = scores.assign(cutoff=cutoff.isoformat(), reasons="[]")
        wiring.lake().replace("scores", scores, where={"cutoff": [cutoff.isoformat()]})
    return tmp_path


def a_run_that_brought_back(share: float) -> None:
    """A month ago win_back was planned; of its treated, this share of those silent since then ordered after all."""
    run = wiring.campaign("win_back")
    at = datetime.combine(THEN, datetime.min.time(), UTC) + timedelta(hours=8)
    wiring.planning().plan(run, THEN.isoformat(), at)
    evidence = wiring.trials().evidence(run.run_id(THEN))
    silent = evidence.results.query("arm == 'coupon' and retained == 0")["customer_id"].tolist()
    back = silent[: round(share * len(silent))]
    orders, lines = wiring.lake().read("orders"), wiring.lake().read("order_lines")
    late = pd.Timestamp(at + timedelta(days=2))
    more = orders.head(len(back)).assign(order_id=[f"late-{one}" for one in back], customer_id=back, ordered_at=late)
    wiring.lake().replace("orders", pd.concat([orders, more]), where={"batch": ["history"]})
    bought = lines.head(len(back)).assign(order_id=more["order_id"].to_numpy())
    wiring.lake().replace("order_lines", pd.concat([lines, bought]), where={"batch": ["history"]})
    wiring.measuring().measure(at + timedelta(days=29))


def typed(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    shown = capfd.readouterr()
    assert result.exit_code == code, shown.err + result.output
    return " ".join((shown.out + result.output).split())


def points(told: str) -> tuple[float, float]:
    """The expected and the assumed effect of the only arm, in points."""
    found = re.search(r"coupon: ([-+][\d.]+) points of retention \(assumed ([-+][\d.]+)\)", told)
    assert found, told
    return float(found[1]), float(found[2])


def test_without_any_finished_campaign_the_rehearsal_rests_on_assumption(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = typed(capfd, "campaign", "rehearse", "win_back")
    assert "SIMULATED" in told
    assert "by assumption alone" in told
    assert "Months are taken to be alike: the history holds June not at all; a season takes two." in told
    expected, assumed = points(told)
    assert expected == assumed


def test_what_a_finished_run_measured_moves_the_rehearsal(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a_run_that_brought_back(0.8)
    measured = wiring.measuring().readout(f"win_back@{THEN}").reading("coupon").effect("retained")
    told = typed(capfd, "campaign", "rehearse", "win_back")
    assert "by 1 measured run of it" in told
    expected, assumed = points(told)
    assert measured.difference > 0.2, "the story is one of a strong effect"
    assert assumed < expected < 100 * measured.difference
    assert (expected - assumed) / (100 * measured.difference - assumed) == pytest.approx(
        _weight(assumed / 100, measured.high - measured.low), abs=0.02
    )
    assert wiring.lake().read("readouts")["campaign_id"].tolist() == [f"win_back@{THEN}"], "nothing was written"


def _weight(assumed: float, width: float) -> float:
    """How far a measurement with a 95 % interval of this width moves an assumption that may be off by all it says."""
    sure, trusted = (2 * 1.96 / width) ** 2, max(abs(assumed), 0.02) ** -2
    return sure / (sure + trusted)


def test_the_smallest_effect_that_a_campaign_can_show_is_told_of_its_own_audience(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = typed(capfd, "effect", "power", "--campaign", "win_back", "--effect", "3")
    found = re.search(r"With (\d+) customers and a 20 % control the smallest detectable effect is (\d+) points", told)
    assert found, told
    plan = wiring.planning().preview(wiring.campaign("win_back"), LAST.isoformat(), wiring.now(), 0).plan
    customers = int(found[1])
    assert customers == plan["control"] + plan["treated"] > 300
    # Two shares about 0.55, of a fifth and of the others: 2.8 standard errors (95 % confidence, 80 % power).
    assert int(found[2]) == round(100 * 2.8 * np.sqrt(0.55 * 0.45 * (5 / customers + 1.25 / customers)))
    assert "Without treatment 55.0% are expected to order" in told
    assert "An effect of 3 points takes" in told


def test_where_nobody_would_be_treated_the_reasons_are_told(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wiring.planning().plan(wiring.campaign("win_back"), LAST.isoformat(), wiring.now())
    for command in (("campaign", "rehearse", "win_back"), ("effect", "power", "--campaign", "win_back")):
        told = typed(capfd, *command, code=1)
        assert f"win_back@{LAST} would treat nobody of the 400 in its audience" in told
        assert "skipped: " in told


def test_a_campaign_and_figures_of_ones_own_are_not_taken_together(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = typed(capfd, "effect", "power", "--campaign", "win_back", "--customers", "9", code=1)
    assert "either name a --campaign, or give --customers, --control and --retained" in told
