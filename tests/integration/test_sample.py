from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from holdfast.adapters.sample import land
from holdfast.errors import SettingsError


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("landing")
    land(directory, date(2017, 1, 8), customers_share=0.1)
    return directory


def test_the_first_day_brings_what_the_shop_knows_already(landing: Path) -> None:
    assert sorted(path.name for path in (landing / "2017-01-01").iterdir()) == [
        "consents.csv",
        "contacts.csv",
        "customers.csv",
        "products.parquet",
        "transactions.csv",
    ]


def test_later_days_bring_what_happened_then(landing: Path) -> None:
    days = sorted(path.name for path in landing.iterdir())
    assert days == [f"2017-01-0{day}" for day in range(1, 8)]
    assert {path.name for path in landing.glob("2017-01-0[2-7]/*")} <= {"transactions.csv", "redemptions.csv"}


def test_a_file_holds_one_day_of_the_shop_in_times_written_as_utc(landing: Path) -> None:
    text = (landing / "2017-01-03" / "transactions.csv").read_text(encoding="utf-8")
    assert re.search(r",2017-01-0\d \d\d:\d\d:\d\d\n", text)
    times = pd.to_datetime(pd.read_csv(landing / "2017-01-03" / "transactions.csv")["transaction_timestamp"], utc=True)
    assert set(times.dt.tz_convert("America/New_York").dt.date) == {date(2017, 1, 3)}


def test_landing_again_or_later_writes_only_what_is_new(tmp_path: Path) -> None:
    first = land(tmp_path, date(2017, 1, 3), customers_share=0.1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert land(tmp_path, date(2017, 1, 3), customers_share=0.1).files == 0
    assert land(tmp_path, date(2017, 1, 4), customers_share=0.1).files == 1
    assert first.files == len(before) == 6
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_share_of_customers_is_chosen_by_hash_and_the_same_everywhere(landing: Path) -> None:
    customers, contacts, consents = (
        set(pd.read_csv(landing / "2017-01-01" / f"{name}.csv")["household_id"])
        for name in ("customers", "contacts", "consents")
    )
    assert customers == contacts == consents
    assert 200 < len(customers) < 300
    buyers = {one for path in landing.rglob("transactions.csv") for one in pd.read_csv(path)["household_id"]}
    assert buyers <= customers


def test_about_one_customer_in_twenty_gives_no_consent(tmp_path: Path) -> None:
    land(tmp_path, date(2017, 1, 2))
    status = pd.read_csv(tmp_path / "2017-01-01" / "consents.csv")["status"]
    assert len(status) == 2469
    assert 0.03 < (status == "withdrawn").mean() < 0.07


@pytest.mark.parametrize("until", [date(2016, 5, 1), date(2017, 1, 1), date(2018, 1, 2)])
def test_a_day_outside_the_data_is_refused_before_anything_is_written(tmp_path: Path, until: date) -> None:
    with pytest.raises(SettingsError, match="2017-01-01 to 2017-12-31"):
        land(tmp_path, until)
    assert list(tmp_path.iterdir()) == []
