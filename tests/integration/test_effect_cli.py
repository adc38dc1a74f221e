"""`holdfast effect …`, as typed, on a home with a planned run."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.campaign.assignment import draw
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.policy import Selection
from holdfast.cli import app
from holdfast.wiring import effects
from tests.fakes.operations import campaign

CUTOFF = date(2017, 10, 1)
RUN = f"win_back@{CUTOFF}"
CUSTOMERS = [f"=c{i:03}" for i in range(400)]  # as a formula begins


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose lake is complete up to 2017-11-01, with a run that brought back every fourth of the treated."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    wiring.prepare()
    for known in (wiring, effects):
        monkeypatch.setattr(known, "latest_cutoff", lambda: date(2017, 11, 1))
    drawn = draw(RUN, CUSTOMERS, 0.5, ["treatment"], np.array([[1.0]]))
    assigned = pd.DataFrame({"customer_id": CUSTOMERS, "arm": drawn.arm, "propensity": drawn.propensity}).assign(
        tier="high", probability=0.5, value=40.0, cost=Decimal(0)
    )
    skipped = pd.DataFrame({"customer_id": ["@s"], "reason": ["no_consent"]})
    run = CampaignRun(campaign(offer=None), CUTOFF, datetime(2017, 10, 1, 12, tzinfo=UTC), 401, 401)
    with wiring.operations().planning() as tx:
        tx.add(run, Selection(assigned, skipped), [], [])
    orders = [
        one for i, (one, arm) in enumerate(zip(CUSTOMERS, drawn.arm, strict=True)) if i % 4 < 1 + (arm != "control")
    ]
    table = pd.DataFrame({"order_id": orders, "customer_id": orders, "status": "completed"})
    table["ordered_at"] = pd.Timestamp("2017-10-05T12:00", tz="UTC")
    wiring.lake().replace("orders", table, where={"status": ["completed"]})
    lines = pd.DataFrame({"order_id": orders, "amount": 20.0, "line_id": "1"})
    wiring.lake().replace("order_lines", lines, where={"line_id": ["1"]})
    return tmp_path


def typed(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["effect", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_run_is_read_with_its_effects_and_checks(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    typed("show", RUN)
    told = one_line(capfd.readouterr().out)
    assert told.startswith("Kept ")
    assert "treated customers for 28 days" in told
    assert "sample ratio" in told
    assert "0 of 199 treated customers were sent the message" in told  # and everybody counts all the same
    assert not wiring.lake().exists("readouts")


def test_a_shorter_time_may_be_asked_about(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    typed("show", RUN, "--days", "3")
    assert "too small" in one_line(capfd.readouterr().out).lower()


def test_an_unknown_run_is_refused(home: Path) -> None:
    assert "was never planned" in one_line(typed("show", "win_bakc@2017-10-01", code=1))


def test_what_a_campaign_can_show_is_told_before_it_starts(capfd: pytest.CaptureFixture[str]) -> None:
    typed("power", "--customers", "2200", "--control", "0.1", "--retained", "0.5", "--effect", "5")
    told = one_line(capfd.readouterr().out)
    assert "With 2,200 customers and a 10 % control the smallest detectable effect is 10 points" in told
    assert "An effect of 5 points takes 8,721 customers: 4 runs, one every 7 days, and 49 days" in told
    refused = one_line(typed("power", "--customers", "2200", code=1))
    assert "name a --campaign, or give --customers, --control and --retained" in refused


def test_without_a_holdout_the_programme_says_what_it_takes(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    typed("programme")
    assert "No quarter can be read yet" in capfd.readouterr().out


def test_the_decision_log_is_written_as_csv_that_no_spreadsheet_runs_and_as_parquet(home: Path) -> None:
    table, parquet = home / "log.csv", home / "log.parquet"
    typed("export", str(table))
    typed("export", str(parquet), "--run", RUN)
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 401
    assert {row["customer_id"][:2] for row in rows} == {"'=", "'@"}
    assert {row["decision"] for row in rows} == {"assigned", "skipped"}
    read = pd.read_parquet(parquet)
    assert sorted(read["customer_id"]) == ["=c" + f"{i:03}" for i in range(400)] + ["@s"]
    assert read["retained"].sum() == sum(float(row["retained"] or 0) for row in rows) > 100
    assert read.loc[read["decision"] == "assigned", "propensity"].unique().tolist() == [0.5]


def test_another_kind_of_file_is_refused(home: Path) -> None:
    assert "end the name on one of them" in one_line(typed("export", str(home / "log.xlsx"), code=1))
