"""Canonical tables out of the lake, empty where a shop has none of the kind."""

from __future__ import annotations

import pandas as pd

from holdfast.ports import Lake
from holdfast.schemas import TABLES, Type

_DTYPES = {Type.STRING: "object", Type.FLOAT: "float64", Type.TIMESTAMP: "datetime64[us, UTC]"}


def read(lake: Lake, table: str) -> pd.DataFrame:
    """The table's rows; without any landed yet, no rows with the contract's columns."""
    if lake.exists(table):
        return lake.read(table)
    return pd.DataFrame({one.name: pd.Series(dtype=_DTYPES[one.type]) for one in TABLES[table].columns})
