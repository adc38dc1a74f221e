"""Commands that look at a home through which the loop has gone, as typed."""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.campaign.outbox import CustomerRecord
from holdfast.cli import app
from tests.dags.conftest import CUTOFF, Loop

RUN = f"win_back@{CUTOFF}"


def typed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    shown = capfd.readouterr()
    assert result.exit_code == 0, shown.err + result.output
    return shown.out + result.output


def treated() -> tuple[str, CustomerRecord]:
    """A customer who was written to, and what became of it."""
    scored = wiring.lake().read("scores", ["customer_id"], {"cutoff": [CUTOFF]})["customer_id"]
    with wiring.operations().reading() as tx:
        met = ((one, record) for one in sorted(scored) for record in tx.history(one) if record.campaign_id == RUN)
        return next((one, record) for one, record in met if record.code)


def test_a_customers_card_tells_score_reasons_features_and_campaigns(
    loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    customer, record = treated()
    own_id = str(wiring.vault().own_id(customer))
    [score] = wiring.lake().read("scores", None, {"cutoff": [CUTOFF], "customer_id": [customer]}).to_dict("records")
    lines = typed(capfd, "customer", own_id).splitlines()
    version = wiring.registry().aliased("champion")
    assert version is not None
    assert lines[0] == (
        f"{own_id}  {score['tier']} risk, probability {score['probability']:.3f} (model version {version.version})"
    )
    assert lines[1] == f"  {score['persona']}: {json.loads(score['persona_name'])['en']}"
    reasons = json.loads(score["reasons"])
    assert [line for line in lines if line.startswith("  • ")] == [f"  • {one['text']['en']}" for one in reasons]
    table = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("  ") and len(line.split()) == 2}
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF)).set_index("customer_id")
    assert table["days_since_order"] == f"{snapshot.loc[customer, 'days_since_order']:,.4g}"
    assert record.valid_until is not None
    campaigns = lines[lines.index(next(line for line in lines if line.startswith("campaign "))) + 1 :]
    told = [RUN, "coupon", f"{record.code},", "until", f"{record.valid_until:%Y-%m-%d}", "sent", "–"]
    assert [line.split() for line in campaigns] == [told]
    chinese = typed(capfd, "customer", own_id, "--locale", "zh-CN")
    assert all(one["text"]["zh"] in chinese for one in reasons)


def test_the_card_of_a_customer_who_was_not_scored_says_so(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    scored = set(wiring.lake().read("scores", ["customer_id"], {"cutoff": [CUTOFF]})["customer_id"])
    gone = sorted(set(wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))["customer_id"]) - scored)[0]
    own_id = wiring.vault().own_id(gone)
    lines = typed(capfd, "customer", str(own_id)).splitlines()
    assert lines[0] == f"{own_id}  not scored: not active at the latest cutoff"
    assert not [line for line in lines if line.startswith("  • ")]
    assert lines[-1] == "no campaign has met this customer"


def test_the_report_is_written_anew_where_it_is_said_to_be(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    path = loop.settings.reports / f"{CUTOFF}.html"
    before = path.read_text()
    path.unlink()
    assert typed(capfd, "report").splitlines()[-1] == str(path)
    assert RUN in path.read_text()
    assert len(path.read_text()) == pytest.approx(len(before), rel=0.01)


def test_the_models_are_shown_by_alias_with_the_gates_verdict(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    champion = wiring.registry().aliased("champion")
    assert champion is not None
    told = " ".join(typed(capfd, "model", "show").replace("│", " ").split())
    assert f"@champion {champion.version} {champion.candidate} {champion.trained_to} Passed: better than" in told


def test_a_training_set_under_the_shops_own_ids_is_audited_as_one_under_pseudonyms(
    loop: Loop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_parquet(wiring.training_set(None))
    own_ids = {one: wiring.vault().own_id(one) for one in rows["customer_id"].unique()}
    file = tmp_path / "own.parquet"
    rows.assign(customer_id=rows["customer_id"].map(own_ids)).to_parquet(file)
    told = typed(capfd, "audit", "leakage", "--file", str(file), "--cutoff", CUTOFF)
    assert f"own.parquet: {len(rows):,} rows" in told
    assert told.endswith("✓ nothing in it knows the future\n")
