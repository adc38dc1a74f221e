from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from holdfast.adapters.sources import LandingDirectory
from holdfast.contract import WITHHELD
from holdfast.errors import MissingDataError
from holdfast.pipelines.quarantine import MASKED, Reason, masked, reasons, row_values, standing
from tests.fakes.landing_shop import SOURCE, ZONE, Shop, first_day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = first_day(tmp_path / "landing")
    shop.land_sales(
        "2017-03-02",
        "o1,c1,2017-03-01 12:00:00,p1,1,2.50",
        "o2,c1,2017-03-02 12:00:00,p1,1,-2",
        "o2,c1,2017-03-02 12:00:00,p2,1,-1",
    )
    shop.land_sales("2017-03-03", "o3,c1,2017-03-03 12:00:00,p1,1,-2")
    shop.land("2017-03-04/other.csv", "x")
    shop.run()
    return shop


def counts(found: list[Reason]) -> list[tuple[str, str | None, int, int, int]]:
    return [(one.rule, one.file, one.files, one.rows, one.open) for one in found]


def test_without_quarantine_nothing_stands(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    shop.run()
    assert standing(shop.lake).empty
    assert reasons(standing(shop.lake)) == []


def test_reasons_count_what_is_open_first(shop: Shop) -> None:
    assert counts(reasons(standing(shop.lake))) == [
        ("below minimum", None, 2, 3, 3),
        ("file refused", None, 1, 1, 1),
        ("duplicate", None, 0, 1, 0),
        ("duplicate", None, 0, 1, 0),
    ]
    by_file = counts(reasons(standing(shop.lake), by_file=True))
    assert by_file[:2] == [
        ("below minimum", "2017-03-02/sales.csv", 1, 2, 2),
        ("below minimum", "2017-03-03/sales.csv", 1, 1, 1),
    ]


def test_a_repeated_row_needs_nobody(shop: Shop) -> None:
    rows = standing(shop.lake)
    assert set(rows.loc[rows["rule"] == "duplicate", "how"]) == {"held already"}


def test_quarantine_written_before_rows_could_be_left_out_on_purpose_is_read(shop: Shop) -> None:
    shop.lake.replace(
        "quarantine", shop.lake.read("quarantine").drop(columns="deliberate"), {"rule": ["below minimum", "duplicate"]}
    )
    assert len(standing(shop.lake).query("how != how")) >= 3


@pytest.mark.parametrize(
    ("table", "field", "value", "shown"),
    [
        ("orders", "ordered_at", "soon", "soon"),
        ("orders", "customer_id", "c1", "c1"),
        ("customers", "age_band", "19-24", MASKED),
        ("customers", "age_band", "", ""),
        ("contacts", "email", WITHHELD, WITHHELD),
        ("order_lines", "order_id, line_id", "o1, p1", "o1, p1"),
        (None, "AgeOfBuyer", "24", MASKED),
        (None, None, "3 columns, not 8", "3 columns, not 8"),
    ],
)
def test_personal_values_are_masked_unless_asked_for(
    table: str | None, field: str | None, value: str, shown: str
) -> None:
    rows = pd.DataFrame({"table": [table], "field": [field], "value": [value]})
    assert list(masked(rows)["value"]) == [shown]
    assert list(masked(rows, personal=True)["value"]) == [value]


def test_a_row_is_shown_as_mapped_without_the_address(shop: Shop) -> None:
    landing = LandingDirectory(shop.directory)
    values = row_values(landing, SOURCE, ZONE, file="2017-03-01/customers.csv", number=3, personal=True)
    assert values == {"customers": {"customer_id": "c2"}, "contacts": {"customer_id": "c2", "email": WITHHELD}}
    with pytest.raises(MissingDataError, match="Land it again"):
        row_values(landing, SOURCE, ZONE, file="2017-03-09/customers.csv", number=3)
