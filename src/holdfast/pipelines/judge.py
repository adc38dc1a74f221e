"""Mapped text against the data contract and the lake, table by table, so that rows may refer to rows beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.contract import BATCH, check, no_rejections, together
from holdfast.errors import QualityError
from holdfast.ports import Lake, Quality
from holdfast.schemas import TABLES, Home, Table


@dataclass(frozen=True)
class Judged:
    """Accepted rows by table (with ``numbers``, their rows in the file) and all rejections (``contract.REJECTED``)."""

    accepted: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    rejected: pd.DataFrame = field(default_factory=no_rejections)


def judge(texts: Sequence[Mapping[str, pa.Table]], lake: Lake) -> Judged:
    """Check files' mapped text (rows by canonical table, as ``contract.check`` takes them), files in the given order.

    A row may refer to an accepted row of these files or of the lake, and must not repeat the key of one.
    """
    accepted: dict[str, pd.DataFrame] = {}
    numbers: dict[str, NDArray[np.int64]] = {}
    rejected = []
    for table in TABLES.values():
        parts = [file[table.name] for file in texts if table.name in file]
        if not parts:
            continue
        rows = pa.concat_tables(parts, promote_options="default")
        known, stored = {}, {}
        for column in table.columns:
            if column.references is not None:
                reference = TABLES[column.references]
                stored[column.name] = _stored_keys(lake, reference, _distinct(rows[column.name]))
                known[column.name] = stored[column.name] | _keys(accepted, reference)
        checked = check(table, rows, known, _held(lake, table, rows, stored))
        accepted[table.name], numbers[table.name] = checked.accepted, checked.numbers
        rejected.append(checked.rejected)
    return Judged(accepted, numbers, together(rejected))


def expect(quality: Quality, accepted: Mapping[str, pd.DataFrame], name: str) -> None:
    """Hold accepted rows to their expectations, recorded under ``name``; the record is published when one breaks.

    Raises QualityError.
    """
    try:
        for table, rows in accepted.items():
            if TABLES[table].home is Home.LAKE and not rows.empty:
                quality.check(table, rows, name)
    except QualityError:
        quality.publish()
        raise


def _keys(accepted: Mapping[str, pd.DataFrame], table: Table) -> set[str]:
    return set(accepted[table.name][table.key[0]]) if table.name in accepted else set()


def _stored_keys(lake: Lake, table: Table, wanted: Set[str]) -> set[str]:
    """Those of the wanted keys that the lake holds."""
    if not lake.exists(table.name):
        return set()
    key = table.key[0]
    return set(lake.read(table.name, [key], {key: list(wanted)})[key])


def _held(lake: Lake, table: Table, rows: pa.Table, stored: Mapping[str, Set[str]]) -> pd.DataFrame:
    """Rows in the lake that may have a key of ``rows``; ``stored`` as from ``_stored_keys``, by column.

    A row whose first key column refers to another table can only be held where that table holds the reference.
    """
    first = table.key[0]
    wanted = stored[first] if first in stored else _distinct(rows[first])
    columns = [*table.names, BATCH]
    if table.home is Home.VAULT or not wanted or not lake.exists(table.name):
        return pd.DataFrame(columns=columns)
    return lake.read(table.name, columns, {first: list(wanted)})


def _distinct(values: pa.ChunkedArray) -> set[str]:
    return set(values.unique().drop_null().to_pylist())
