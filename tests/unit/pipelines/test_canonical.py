import pandas as pd

from holdfast.pipelines import canonical
from holdfast.schemas import REDEMPTIONS
from tests.fakes.lake import FakeLake


def test_a_table_of_which_nothing_has_landed_has_the_contracts_columns_and_no_rows() -> None:
    rows = canonical.read(FakeLake(), "redemptions")
    assert rows.empty
    assert tuple(rows.columns) == REDEMPTIONS.names
    assert str(rows["redeemed_at"].dtype) == "datetime64[us, UTC]"


def test_a_table_that_has_rows_is_read_as_it_is() -> None:
    lake = FakeLake()
    lake.append("redemptions", pd.DataFrame({"redemption_id": ["r1"], "batch": ["b"]}), ["b"])
    assert canonical.read(lake, "redemptions")["redemption_id"].tolist() == ["r1"]
