"""Intermediate tables: what the fake and the files must both do."""

from pathlib import Path

import pandas as pd
import pytest

from holdfast.adapters.scratch import FileScratch
from holdfast.errors import MissingDataError
from holdfast.ports import Scratch
from tests.fakes.scratch import FakeScratch

ROWS = pd.DataFrame(
    {
        "customer_id": ["00123", "NA"],
        "event_timestamp": pd.Series([pd.Timestamp("2017-11-26 05:00", tz="UTC")] * 2).dt.as_unit("us"),
        "churned": pd.Series([0, 1], dtype="int8"),
        "gap_mean_days": [2.5, float("nan")],
    }
)


@pytest.fixture(params=["fake", "files"])
def scratch(request: pytest.FixtureRequest, tmp_path: Path) -> Scratch:
    return FakeScratch() if request.param == "fake" else FileScratch(tmp_path)


def test_rows_come_back_as_they_were_written(scratch: Scratch) -> None:
    pd.testing.assert_frame_equal(scratch.read(scratch.write("2017-11-26/training", ROWS)), ROWS)


def test_a_second_write_takes_the_place_of_the_first(scratch: Scratch) -> None:
    first = scratch.write("2017-11-26/training", ROWS)
    assert scratch.write("2017-11-26/training", ROWS.head(1)) == first
    assert len(scratch.read(first)) == 1


def test_a_table_that_is_gone_is_named(scratch: Scratch) -> None:
    with pytest.raises(MissingDataError, match=r"2017-11-26/training\.parquet is gone"):
        scratch.read("2017-11-26/training.parquet")
